"""Biases and scales that are far from their usual values are kept, and others are set anew."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import initguide as init

FAR = "kept: far from its usual values"


def spread(mean, std, count=64):
    """Values with this mean and std, in random order."""
    values = stats.norm.ppf((np.arange(count) + 0.5) / count)
    values = np.random.default_rng(0).permutation(values / values.std())
    return torch.tensor(mean + std * values, dtype=torch.float32)


def note_of(values, parameter="1.weight"):
    count = len(values)
    model = nn.Sequential(nn.Linear(50, count), nn.BatchNorm1d(count), nn.Linear(count, 3))
    with torch.no_grad():
        model.get_parameter(parameter).copy_(values)
    rows = {row["parameter"]: row for row in init.plan(model).rows}
    return rows[parameter]["note"] or ""


@pytest.mark.parametrize(
    ("mean", "std", "kept"),
    # The usual scale is one. The standard error of 64 values is std / 8.
    [
        (5.0, 0.1, True),
        (-5.0, 0.1, True),
        (1.0, 0.5, False),
        (1.49, 0.5, False),
        (1.51, 0.5, True),
        (0.51, 0.5, False),
        (0.49, 0.5, True),
        # Draws around zero are not meant, as some libraries make them for all weights.
        (0.0, 0.02, False),
        (0.0099, 0.02, False),
        (0.0101, 0.02, True),
        (-0.0101, 0.02, True),
    ],
)
def test_scales_of_a_norm(mean, std, kept):
    assert (note_of(spread(mean, std)) == FAR) == kept


@pytest.mark.parametrize(("count", "kept"), [(15, True), (16, False), (1, True)])
def test_few_scales_were_chosen_one_by_one(count, kept):
    values = spread(0.0, 0.02, count) if count > 1 else torch.tensor([0.5])
    assert bool(note_of(values)) == kept


@pytest.mark.parametrize(
    ("mean", "std", "kept"),
    # The default of torch is uniform within 1 / sqrt(50) = 0.1414.
    [
        (3.0, 0.1, True),
        (0.0, 0.05, False),
        (0.0, 0.5, False),
        (0.49, 0.5, False),
        (0.51, 0.5, True),
        (-0.51, 0.5, True),
    ],
)
def test_biases_of_a_layer(mean, std, kept):
    assert (note_of(spread(mean, std), "0.bias") == FAR) == kept


@pytest.mark.parametrize(("share", "kept"), [(1.0, False), (1.009, False), (1.02, True)])
def test_biases_within_the_default_of_torch_are_not_meant(share, kept):
    bound = share / math.sqrt(50)
    few = bound * torch.linspace(-1, 1, 7).roll(3)
    assert (note_of(few, "0.bias") == FAR) == kept
    one = torch.tensor([bound])
    assert bool(note_of(one, "0.bias")) == kept
    if kept:
        assert note_of(one, "0.bias") == f"kept: all {bound:.4g}"
