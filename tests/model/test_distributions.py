"""The distribution of one entry: its moments, against those of scipy."""

import math

import pytest
from scipy import stats

from initguide.model.distributions import EntryDistribution


@pytest.mark.parametrize(
    "bounds", [(-2, 2), (0, 3), (-1, 4), (1, 2), (-0.5, math.inf), (-math.inf, -1)]
)
def test_the_kurtosis_of_a_cut_normal(bounds):
    found = EntryDistribution("normal", centre=3.0, scale=0.2, low=bounds[0], high=bounds[1])
    excess = stats.truncnorm(*bounds).stats("k").item()
    assert found.kurtosis == pytest.approx(excess + 3, rel=1e-3)
