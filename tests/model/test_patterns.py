"""Patterns in values: how near an identity a matrix must be."""

import numpy as np
import pytest

from initguide.model.patterns import _is_near_identity


@pytest.mark.parametrize("size", [30, 100, 400])
def test_a_diagonal_is_seen_beyond_eight_standard_errors(size):
    noise = np.random.default_rng(0).normal(size=(size, size))
    np.fill_diagonal(noise, 0.0)
    # The mean of the diagonal is the factor over the root of the size, in units of the std.
    for factor, right in ((7.0, False), (10.0, True), (-10.0, True)):
        matrix = noise + factor / size**0.5 * np.eye(size)
        assert _is_near_identity(matrix / matrix.std()) == right
        assert _is_near_identity(0.001 * matrix) == right
