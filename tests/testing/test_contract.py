"""What every initializer must do, checked by one call."""

import numpy as np
import pytest
import torch

import initguide as init
from initguide.testing.adapters import initializer, reference
from initguide.testing.contract import at, contract, described

SHAPE = (4, 3)


def found(function, like):
    reader = initializer(function, reference(like, function, None), None)
    return [(each.kind, each.message) for each in contract(reader, SHAPE, 0)]


@pytest.mark.parametrize("change", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_the_shape_must_be_that_which_was_asked_for(change):
    def draw(shape, rng):
        return rng.normal(size=np.add(shape, change))

    # An array has its inputs first.
    got = tuple(map(int, np.add((3, 4), change)))
    message = f"the shape must be (3, 4); got {got}"
    assert found(draw, "normal") == [("wrong shape", message)]

    def draw_(tensor, generator):
        tensor.data = torch.empty(tuple(np.add(SHAPE, change))).normal_(generator=generator)
        return tensor

    got = tuple(map(int, np.add(SHAPE, change)))
    message = f"the shape must be (4, 3); got {got}"
    assert found(draw_, "normal_") == [("wrong shape", message)]


def test_right_ones_have_no_finding():
    assert found(init.normal, "normal") == []
    assert found(init.normal_, "normal_") == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_all_entries_must_be_finite(bad):
    def draw(shape, rng):
        values = rng.normal(size=shape)
        values[1, 2] = values[0, 0] = bad
        return values

    message = "all entries must be written and finite; 2 of 12 are not at shape (3, 4)"
    assert found(draw, "normal") == [("not finite", message)]


def test_an_error_is_described_by_its_first_line():
    assert described(ValueError("one\ntwo")) == "ValueError: one"
    assert described(ValueError("  \n")) == "ValueError"
    assert at((2, 3)) == "at shape (2, 3)"
