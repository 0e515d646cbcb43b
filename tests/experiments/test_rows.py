"""Rows: grids of settings, joined tables, averaged losses."""

import pytest
import torch

from initguide.experiments.rows import final_losses, grid, join, loss_curves, span


def test_loss_curves_are_means_of_a_few_steps():
    losses = torch.tensor([[1.0, 10.0], [3.0, 30.0], [7.0, 70.0]])
    assert loss_curves([{"seed": 4}, {"seed": 5}], losses, every=2) == [
        {"seed": 4, "step": 2, "loss": 2.0},
        {"seed": 4, "step": 3, "loss": 7.0},
        {"seed": 5, "step": 2, "loss": 20.0},
        {"seed": 5, "step": 3, "loss": 70.0},
    ]


def test_loss_curves_have_a_row_for_every_ten_steps_and_for_the_rest():
    (first, second) = loss_curves([{}], torch.arange(13.0)[:, None])
    assert (first, second) == ({"step": 10, "loss": 4.5}, {"step": 13, "loss": 11.0})


def test_grid_has_each_combination_and_the_last_setting_changes_fastest():
    assert grid(name={"He": 1, "Xavier": 2}, lr=[0.1], seed=iter(range(2))) == [
        {"name": "He", "lr": 0.1, "seed": 0},
        {"name": "He", "lr": 0.1, "seed": 1},
        {"name": "Xavier", "lr": 0.1, "seed": 0},
        {"name": "Xavier", "lr": 0.1, "seed": 1},
    ]


def test_join_adds_the_settings_of_a_run_to_each_of_its_rows():
    runs = [{"seed": 0}, {"seed": 1}]
    curves = [[{"loss": 3.0}, {"loss": 2.0}], [{"loss": 1.0}]]
    assert join(runs, iter(curves)) == [
        {"seed": 0, "loss": 3.0},
        {"seed": 0, "loss": 2.0},
        {"seed": 1, "loss": 1.0},
    ]
    with pytest.raises(ValueError, match="shorter"):
        join(runs, curves[:1])


def test_final_losses_are_means_of_the_last_steps_and_a_lost_run_stays_lost():
    losses = torch.tensor([[9.0, 1.0], [2.0, 1.0], [4.0, float("inf")]])
    assert final_losses([{"seed": 4}, {"seed": 5}], losses, last=2) == [
        {"seed": 4, "loss": 3.0},
        {"seed": 5, "loss": float("inf")},
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.3, 0.1, 0.2], "0.10 to 0.30"), ([0.301, 0.299], "0.30"), (torch.tensor([2.0]), "2.00")],
)
def test_a_span_is_one_number_if_its_ends_look_the_same(values, text: str):
    assert span(values, ".2f") == text
    assert span(iter(values), ".2f") == text
