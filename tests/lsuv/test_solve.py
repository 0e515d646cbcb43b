"""The search for the scale at which a variance is one."""

import math

import pytest
import torch
from lsuv_networks import generator
from torch import nn

from initguide.lsuv import solve
from initguide.lsuv.solve import find_scale

# A variance as a function of the scale; where it crosses one, nearest to the start.
CROSSINGS = {
    "rises": (lambda a: a**2 / 9, 1e-3, 3.0),
    "falls": (lambda a: a**2 / 9, 1e3, 3.0),
    "is met": (lambda a: a**2 / 9, 3.0, 3.0),
    "saturates": (lambda a: 2 * a / (1 + a), 0.1, 1.0),
    "falls with the scale": (lambda a: 4 / (1 + a), 0.5, None),
    "steep": (lambda a: a**12, 0.01, 1.0),
    "jumps from zero": (lambda a: max(a - 2, 0.0), 0.5, 3.0),
    "a hump between two steps": (
        lambda a: 1.05 * math.exp(-20 * math.log(a / 3.1) ** 2),
        0.7,
        3.1 * math.exp(-math.sqrt(math.log(1.05) / 20)),
    ),
    "bounded": (lambda a: a / (1 + a), 1.0, None),
    "rounded up to one": (lambda a: min(a, 1 + 1.5e-6), 0.01, None),
    "too large everywhere": (lambda a: 2 + a, 1.0, None),
    "zero": (lambda a: 0.0, 1.0, None),
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_the_scale_at_which_a_variance_is_one(name):
    variance, start, expected = CROSSINGS[name]
    calls = []

    def counted(scale):
        calls.append(scale)
        return variance(scale)

    found, extreme = find_scale(counted, start)
    if expected is None:
        assert found is None
        assert (extreme < 1 + 2e-6) == (variance(start) < 1)
    else:
        assert found == pytest.approx(expected, rel=3e-6)
        assert variance(found) == pytest.approx(1, abs=2e-6)
        # The start may be far away, and the hump must be found first.
        assert len(calls) <= 40


def test_a_usual_search_is_short():
    evaluations = []

    def counted(z):
        evaluations.append(1)
        return nn.functional.gelu(z)

    y = torch.randn(64, 20, generator=generator(1))
    bias = torch.randn(20, generator=generator(2))
    solve.solve_after_activation("0", y, 0.5 * bias, 1, counted, "gelu", lambda *numbers: numbers)
    assert len(evaluations) <= 10
