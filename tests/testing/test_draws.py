"""How often an initializer is called to have enough values."""

from itertools import count
from types import SimpleNamespace

import pytest
import torch

from initguide.testing.draws import Source


@pytest.mark.parametrize(
    ("shape", "options", "times"),
    [
        # 48 000 values: 83.3 draws of 576, one of 48 000, which is too few, and 8000 of 6.
        ((24, 24), {}, 84),
        ((1000, 48), {}, 4),
        ((2, 3), {}, 400),
        ((4, 5, 3, 2), {}, 400),
        ((4, 5, 6, 1), {"values": 1200}, 10),
        ((4, 5), {"values": 41}, 4),
        ((4, 5), {"values": 41, "least": 1}, 3),
        ((4, 5), {"values": 40, "least": 1}, 2),
    ],
)
def test_there_are_enough_values_and_at_most_400_draws(shape, options, times):
    seen = []

    def values(shape, seed):
        seen.append(seed)
        return torch.full(shape, float(seed))

    initializer = SimpleNamespace(values=values, own=lambda shape: shape[::-1])
    source = Source(initializer, count(7))
    draws = source.draw(shape, **options)
    assert seen == [*range(7, 7 + times)]
    assert [draw[(0,) * len(shape)] for draw in draws.draws] == seen
    assert (draws.shape, draws.own) == (shape, shape[::-1])
    assert len(draws.flat) == times * torch.Size(shape).numel()
