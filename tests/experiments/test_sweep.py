"""A sweep over learning rates equals plain training with torch's own optimizers, run by run."""

import inspect
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments import INITIALIZATIONS, digits, mlp, sweep
from initguide.experiments.data import random_indices

pytestmark = pytest.mark.usefixtures("random_states_kept")


@pytest.mark.parametrize(("adam", "rate"), [(False, 0.05), (True, 0.003)])
def test_each_run_is_plain_training(adam, rate):
    widths, steps, seed, data = (64, 256, 10), 20, 3, digits()
    rows = sweep(
        {name: INITIALIZATIONS[name] for name in ("Xavier", "He")},
        [rate, 2 * rate],
        adam=adam,
        widths=widths,
        steps=steps,
        seeds=[seed, 4],
    )
    assert len(rows) == 8
    model = mlp(widths, generator=(generator := torch.Generator().manual_seed(seed)))
    INITIALIZATIONS["He"](model, generator)
    kind = torch.optim.Adam if adam else torch.optim.SGD
    optimizer = kind(model.parameters(), lr=2 * rate)
    batches = random_indices(len(data.x_train), 50, [seed])
    losses = []
    for _ in range(steps):
        index = next(batches)[0]
        loss = F.cross_entropy(model(data.x_train[index]), data.y_train[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    (row,) = (
        row
        for row in rows
        if (row["initialization"], row["rate"], row["seed"]) == ("He", 2 * rate, seed)
    )
    right = (model(data.x_test).argmax(1) == data.y_test).double().mean().item()
    assert row["loss"] == pytest.approx(sum(losses[-2:]) / 2, rel=1e-4)
    assert row["accuracy"] == pytest.approx(right, abs=0.004)


def test_a_sweep_without_settings_has_those_of_the_documentation():
    he, by_hand = {"He": INITIALIZATIONS["He"]}, (64, 100, 100, 100, 10)
    settings = {"adam": False, "widths": by_hand, "nonlinearity": nn.ReLU, "batch": 50}
    rows = sweep(he, [0.1], steps=2)
    assert rows == sweep(he, [0.1], steps=2, seeds=[0, 1, 2], **settings)
    # As many steps as in `train`. So many would take seconds.
    assert inspect.signature(sweep).parameters["steps"].default == 300


def test_a_run_that_diverges_does_not_hide():
    rows = sweep({"std 1.0": INITIALIZATIONS["std 1.0"]}, [1e-4, 10.0], steps=5, seeds=[0])
    assert [math.isfinite(row["loss"]) for row in rows] == [True, False]
