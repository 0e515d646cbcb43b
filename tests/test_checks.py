"""The checks of arguments refuse with the rule and the value, and return plain numbers."""

import math

import numpy as np
import pytest
import torch

from initguide import _checks

REFUSED = [
    (lambda: _checks.check_number("x", True), TypeError, "x must be a number; got True"),
    (lambda: _checks.check_number("x", "1"), TypeError, "x must be a number; got '1'"),
    (lambda: _checks.check_number("x", torch.ones(1)), TypeError, "x must be a number; got tensor"),
    (lambda: _checks.check_number("x", math.nan), ValueError, "x must be finite; got nan"),
    (lambda: _checks.check_number("x", np.float32("inf")), ValueError, "x must be finite; got inf"),
    (lambda: _checks.check_not_negative("x", -0.1), ValueError, "x must be at least 0; got -0.1"),
    (lambda: _checks.check_std(-0.1), ValueError, "std must be at least 0; got -0.1"),
    (lambda: _checks.check_std(-0.1, zero=False), ValueError, "std must be positive; got -0.1"),
    (lambda: _checks.check_std(0.0, zero=False), ValueError, "std must be positive; got 0.0"),
    (lambda: _checks.check_bounds(1.1, 1.0), ValueError, "a must be at most b; got a=1.1 and b=1"),
    (lambda: _checks.check_count("n", 0), ValueError, "n must be a positive integer; got 0"),
    (lambda: _checks.check_count("n", True), ValueError, "n must be a positive integer; got True"),
    (lambda: _checks.check_count("n", 1.0), ValueError, "n must be a positive integer; got 1.0"),
    (lambda: _checks.check_shape((2, 0)), ValueError, r"positive sizes; got 0 in \(2, 0\)"),
    (lambda: _checks.check_shape((2, True)), TypeError, r"must hold integers; got True in"),
    (lambda: _checks.check_shape((2, 2.0)), TypeError, r"must hold integers; got 2.0 in"),
    (lambda: _checks.check_shape("23"), TypeError, "must be a sequence of integers; got '23'"),
    (lambda: _checks.check_shape({2, 3}), TypeError, "must be a sequence of integers; got {2, 3}"),
    (lambda: _checks.check_dimensions(torch.ones(2), 2, 3), ValueError, "must have 2 or 3 dim"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_wrong_arguments_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_right_arguments_come_back_as_plain_numbers():
    for value in (2, 2.0, np.float32(2), torch.tensor(2), np.array(2)):
        found = _checks.check_number("x", value)
        assert (type(found), found) == (float, 2.0)
    assert _checks.check_not_negative("x", 0) == 0
    assert _checks.check_not_negative("x", 0.1) == 0.1
    assert _checks.check_std(0) == 0
    assert _checks.check_std(0.1, zero=False) == 0.1
    assert _checks.check_bounds(1, 1) == (1, 1)
    assert _checks.check_count("n", np.int64(1)) == 1
    assert _checks.check_shape([1, np.int64(3)]) == (1, 3)
    assert _checks.check_shape(torch.Size([1, 3])) == (1, 3)
    assert _checks.one_of("ab") == "'a' or 'b'"
    assert _checks.one_of("abc") == "'a', 'b' or 'c'"
