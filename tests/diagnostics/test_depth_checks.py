"""The drift of sizes over a network's depth, on sequences worked by hand."""

import math

import pytest

from initguide.diagnostics.depth_checks import Drift, drift


def geometric(factor, count, start=1.0):
    return [start * factor**i for i in range(1, count + 1)]


def test_only_the_last_size_decides():
    assert drift([], 100) is None
    assert drift([1e-30, 1e30, 50.0], 100) is None
    for last in (99.9, 1 / 99.9, 1.0):
        assert drift([1.0, last], 100) is None
    for last in (100.1, 1 / 100.1):
        found = drift([1.0, last], 100)
        assert found is not None
        assert found.total == pytest.approx(last)


@pytest.mark.parametrize("factor", [0.7, 1.5, 1 / 3])
@pytest.mark.parametrize("count", [20, 47])
def test_a_factor_in_each_layer_is_found_from_the_first_layer_to_the_last(factor, count):
    found = drift(geometric(factor, count), 100)
    assert (found.start, found.culprits, found.rest) == (0, 0, 0)
    assert found.factor == pytest.approx(factor)
    assert found.total == pytest.approx(factor**count)


def test_a_drift_between_two_levels_begins_and_ends_with_the_steps():
    # Ten sizes of one, 39 that halve, and ten at the last level. A tenth of the way is passed at
    # index 13 and nine tenths at 45; a margin of an eighth of the distance adds 4 on each side.
    levels = 10 * [1.0] + geometric(0.5, 39) + 10 * [0.5**39]
    found = drift(levels, 100)
    assert (found.start, found.culprits, found.rest) == (9, 0, 9)
    assert found.factor == pytest.approx(0.5 ** (39 / 41))
    assert found.total == pytest.approx(0.5**39)


@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_one_step_that_makes_the_difference_is_the_culprit(factor):
    levels = 5 * [1.0] + 3 * [factor]
    assert drift(levels, 100) == Drift(5, pytest.approx(factor), pytest.approx(factor), 1, 2)
    # Of so few steps, none is larger than usual.
    assert drift([factor], 100) == Drift(0, pytest.approx(factor), pytest.approx(factor), 0, 0)
    assert drift([*(5 * [1.0]), factor], 100).rest == 0


def test_several_large_steps_are_counted():
    levels = [1.0, 1e2, 1e2, 1e4, 1e4, 1e6, 1e6, 1e6]
    assert drift(levels, 100) == Drift(1, pytest.approx(1e6), pytest.approx(1e2), 3, 6)
    # Each is a sixth of the way: not large, so that many small steps make the difference.
    small = [1.0, 10, 10, 1e2, 1e2, 1e3, 1e3, 1e4, 1e4, 1e5, 1e5, 1e6]
    assert drift(small, 100).culprits == 0


def steps(*shares, total=1e10):
    """Sizes that pass these shares of the logarithm of the whole way, one after the other."""
    done, levels = 0.0, []
    for share in shares:
        done += share
        levels.append(total**done)
    return levels


def test_a_large_step_is_a_fifth_of_the_way_and_three_times_a_usual_one():
    rest = 39 * [0.005]
    assert drift(steps(*rest, 0.21, 0.595), 100).culprits == 2
    assert drift(steps(*rest, 0.19, 0.615), 100).culprits == 0
    # Steps of a tenth are usual: only those of 0.3 and more are large.
    assert drift(steps(0.09, 0.09, 0.0, 0.41, 0.41), 100).culprits == 2
    assert drift(steps(0.15, -0.15, 0.15, 0.43, 0.42), 100).culprits == 0


def test_large_steps_must_make_three_quarters_of_the_way():
    many = 20 * [0.012]
    assert drift(steps(*many, 0.76), 100).culprits == 1
    many = 20 * [0.013]
    assert drift(steps(*many, 0.74), 100).culprits == 0


def test_a_size_of_zero_counts_as_the_least_number_of_single_precision():
    found = drift([1.0, 1.0, 1.0, 0.0], 100)
    assert found == Drift(3, pytest.approx(1e-45), pytest.approx(1e-45), 1, 0)
    assert drift([1.0, math.inf], 100).total == pytest.approx(1e45)
