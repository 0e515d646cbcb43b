"""The distribution of one entry, and how far a sample of it may be off, against scipy."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from scipy import stats

from initguide.model.distributions import (
    UNSCALED,
    EntryDistribution,
    Limits,
    critical_value,
    degrees_of_freedom,
    distance,
    distance_limit,
    is_value,
    mean_error,
    std_error,
)

BOUNDS = [(-2, 2), (0, 3), (-1, 4), (1, 2), (-0.5, math.inf), (-math.inf, -1)]


LAWS = {
    "normal": (EntryDistribution("normal", 0.5, 2.0), stats.norm(0.5, 2)),
    "uniform": (EntryDistribution("uniform", 1.0, 3.0, -1.0, 1.0), stats.uniform(-2, 6)),
    "cut": (EntryDistribution("normal", 0.5, 2.0, -2.0, 2.0), stats.truncnorm(-2, 2, 0.5, 2)),
    "lopsided": (
        EntryDistribution("normal", 0.5, 2.0, -0.5, 3.0),
        stats.truncnorm(-0.5, 3, 0.5, 2),
    ),
    "a tail": (
        EntryDistribution("normal", 0.5, 2.0, 2.0, math.inf),
        stats.truncnorm(2, math.inf, 0.5, 2),
    ),
}


def normal(low=-math.inf, high=math.inf, centre=3.0, scale=0.2):
    return EntryDistribution("normal", centre=centre, scale=scale, low=low, high=high)


UNIFORM = EntryDistribution("uniform", centre=-1.0, scale=0.5, low=-1.0, high=1.0)
CONSTANT = EntryDistribution("constant", centre=0.7)
KNOWN = [(normal(*bounds), stats.truncnorm(*bounds, loc=3.0, scale=0.2)) for bounds in BOUNDS]
KNOWN += [(normal(), stats.norm(3.0, 0.2)), (UNIFORM, stats.uniform(-1.5, 1.0))]


@pytest.mark.parametrize("bounds", [*BOUNDS, (13, math.inf), (-math.inf, -13), (-14, -12.5)])
def test_the_kurtosis_of_a_cut_normal(bounds):
    low, high = bounds
    if math.isinf(low) or math.isinf(high):
        # By integration: far out, the moments of scipy lose all digits.
        z = np.linspace(max(low, -25), min(high, 25), 200_001)
        density = np.exp(-(z**2 - np.min(z**2)) / 2)
        mean = (z * density).sum() / density.sum()
        second, fourth = (((z - mean) ** k * density).sum() / density.sum() for k in (2, 4))
        want = fourth / second**2
    else:
        want = stats.truncnorm(*bounds).stats("k").item() + 3
    assert normal(*bounds).kurtosis == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize(("found", "known"), KNOWN)
def test_moments_and_probabilities_are_those_of_scipy(found, known):
    assert (found.mean, found.std) == pytest.approx((known.mean(), known.std()))
    assert found.kurtosis == pytest.approx(known.stats("k").item() + 3, rel=1e-3)
    values = np.linspace(-2, 5, 701)
    cdf = found.cdf(torch.tensor(values)).numpy()
    np.testing.assert_allclose(cdf, known.cdf(values), rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2.0, 1.0, -0.5])
@pytest.mark.parametrize(("found", "known"), KNOWN)
def test_a_multiple_has_the_moments_and_probabilities_of_the_multiple(found, known, factor):
    many = found.multiplied(factor)
    assert (many.mean, many.std) == pytest.approx(
        (factor * known.mean(), abs(factor) * known.std())
    )
    values = np.linspace(-4, 8, 601)
    below = known.cdf(values / factor) if factor > 0 else known.sf(values / factor)
    cdf = many.cdf(torch.tensor(values)).numpy()
    np.testing.assert_allclose(cdf, below, rtol=0, atol=1e-12)


def test_what_has_no_width_is_constant():
    for each in (normal(-2, 2).multiplied(0), CONSTANT.multiplied(0), UNIFORM.multiplied(0)):
        assert (each.kind, each.mean, each.std) == ("constant", 0, 0)
    assert (CONSTANT.mean, CONSTANT.std) == (0.7, 0)
    flat = EntryDistribution("uniform", centre=2.0, scale=0.0)
    assert (flat.mean, flat.std) == (2, 0)


@pytest.mark.parametrize(("found", "known"), KNOWN)
def test_moments_can_be_chosen_and_the_shape_stays(found, known):
    moved = found.with_moments(10.0, 4.0)
    assert (moved.mean, moved.std) == pytest.approx((10, 4))
    values = np.linspace(-2, 5, 71)
    at = 10 + 4 * (values - known.mean()) / known.std()
    cdf = moved.cdf(torch.tensor(at)).numpy()
    np.testing.assert_allclose(cdf, known.cdf(values), rtol=0, atol=1e-9)


def test_the_distributions_of_methods_before_they_are_scaled():
    stds = {name: each.std for name, each in UNSCALED.items()}
    cut = stats.truncnorm(-2, 2).std()
    assert stds == pytest.approx({"normal": 1, "uniform": 3**-0.5, "truncated_normal": cut})
    assert {each.mean for each in UNSCALED.values()} == {0}


# Samples.

P = 1e-6
LIMIT = stats.norm.isf(P / 2)
STANDARD = normal(centre=0.0, scale=1.0)
# The normal values above zero: their tail is long.
HALF = normal(0, math.inf, centre=0.0, scale=1.0)


def quantiles(known, count):
    """A sample whose distance from its distribution is the least, with its exact mean and std."""
    values = known.ppf((np.arange(count) + 0.5) / count)
    return torch.tensor((values - values.mean()) / values.std() * known.std() + known.mean())


@pytest.mark.parametrize("p", [0.5, 0.05, 1e-6, 1e-9])
def test_the_critical_value_is_that_of_both_sides(p):
    assert critical_value(p) == pytest.approx(stats.norm.isf(p / 2))
    assert Limits(p).errors == critical_value(p)


def test_errors_are_counted_in_standard_errors():
    values = 3 + 0.2 * torch.tensor([1.0, 2.0, -0.5, 0.5, 0.0, 1.5, 1.0, -0.5, -0.5]).double()
    # The mean is 0.5 std off, and the standard error of 9 values is 1/3 of the std.
    assert mean_error(normal(), values) == pytest.approx(1.5)


@pytest.mark.parametrize(("found", "count"), [(normal(), 40), (UNIFORM, 16), (normal(-1, 1), 25)])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.7])
def test_the_error_of_a_std_has_the_tail_of_a_chi_square(found, count, ratio):
    freedom = 2 * count / (found.kurtosis - 1)
    assert degrees_of_freedom(found, count) == pytest.approx(freedom)
    off = math.sqrt(ratio) * found.std
    values = found.mean + off * torch.tensor([-1.0, 1.0]).double().repeat(count)[:count]
    tail = stats.chi2(freedom)
    below = tail.cdf(ratio * freedom), tail.sf(ratio * freedom)
    want = stats.norm.ppf(below[0]) if below[0] < below[1] else stats.norm.isf(below[1])
    assert std_error(found, values) == pytest.approx(want, abs=0.03)


@pytest.mark.parametrize("shift", [-0.3, 0.0, 0.2])
def test_the_distance_is_that_of_kolmogorov(shift):
    values = np.random.default_rng(0).normal(3 + shift, 0.25, 50)
    want = stats.kstest(values, stats.norm(3, 0.2).cdf).statistic
    assert distance(normal(), torch.tensor(values)) == pytest.approx(want)


@pytest.mark.parametrize(("count", "p"), [(10, 0.1), (1000, 1e-6)])
def test_the_limit_of_the_distance_is_that_of_massart(count, p):
    assert 2 * math.exp(-2 * count * distance_limit(count, p) ** 2) == pytest.approx(p)


def test_a_value_may_be_off_by_four_roundings():
    eps = torch.finfo(torch.float64).eps
    target = -3.0
    near = torch.tensor([0.0, 3.9, -3.9, 4.4, -4.4]).double() * eps * 3 + target
    assert is_value(near, target).tolist() == [True, True, True, False, False]
    assert is_value(torch.tensor([2, 3]), 2).tolist() == [True, False]
    assert is_value(torch.tensor([0.0, 1e-30]), 0.0).tolist() == [True, False]


def test_a_constant_fits_its_value_alone():
    limits = Limits(P)
    assert limits.fits(CONSTANT, torch.tensor([0.7, 0.7], dtype=torch.float64))
    assert not limits.fits(CONSTANT, torch.tensor([0.7, 0.70001], dtype=torch.float64))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("part", "fits"), [(0.97, True), (1.03, False)])
def test_a_mean_and_a_std_may_be_off_by_their_errors(part, fits, sign):
    count, limits = 1500, Limits(P)
    for each, known in ((STANDARD, stats.norm), (UNSCALED["truncated_normal"], KNOWN[0][1])):
        values = (quantiles(known, count) - known.mean()) / known.std() * each.std
        moved = values + sign * part * LIMIT * each.std / math.sqrt(count)
        freedom = 2 * count / (each.kurtosis - 1)
        tail = stats.chi2(freedom)
        edge = tail.isf(P / 2) if sign > 0 else tail.ppf(P / 2)
        wide = values * (edge / freedom) ** (part / 2)
        if each is STANDARD:
            assert limits.fits(each, moved) == fits
            assert limits.fits(each, wide) == fits
        else:
            assert abs(mean_error(each, moved)) == pytest.approx(part * LIMIT)
            assert (abs(std_error(each, wide)) < LIMIT) == fits


def test_of_few_values_with_a_long_tail_only_the_shape_counts():
    for count, fits in ((999, True), (1000, False)):
        values = quantiles(stats.halfnorm, count)
        moved = values + 1.03 * LIMIT * stats.halfnorm.std() / math.sqrt(count)
        assert Limits(P).misfit(HALF, moved) == ""
        assert Limits(P).fits(HALF, moved) == fits
        assert not Limits(P).fits(HALF, values + 0.5)
    short = quantiles(stats.norm, 999) + 1.03 * LIMIT / math.sqrt(999)
    assert Limits(P).misfit(STANDARD, short) == ""
    assert not Limits(P).fits(STANDARD, short)


@pytest.mark.parametrize(
    ("expected", "edge", "bound"),
    [
        (UNIFORM, 1, "0.5"),
        (normal(-2, 2), 2, "0.4"),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_no_value_may_be_beyond_a_bound(expected, edge, bound, side):
    known = next(known for each, known in KNOWN if each == expected)
    values = quantiles(known, 300)
    for beyond, words in ((0.009, ""), (0.011, f"1 values beyond ±{bound}")):
        values[0] = expected.centre + side * (edge + beyond) * expected.scale
        assert Limits(P).misfit(expected, values) == words
    # One-sided bounds are left to the distance.
    assert Limits(P).misfit(HALF, quantiles(stats.halfnorm, 300) - 0.1) == ""


@pytest.mark.parametrize(
    ("count", "used"), [(400, 400), (19_999, 19_999), (20_000, 10_000), (30_001, 10_001)]
)
def test_a_shape_may_differ_by_the_limit_of_the_distance(count, used):
    limit = math.sqrt(math.log(2 / P) / (2 * used))
    for part, is_near in ((0.97, True), (1.04, False)):
        # Two normal distributions that are moved by 2 d are 2 cdf(d) - 1 apart.
        shift = 2 * stats.norm.ppf((1 + part * limit - 0.5 / used) / 2)
        found = Limits(P).misfit(STANDARD, quantiles(stats.norm, count) + shift)
        far = f"distance {part * limit:.2g}, where chance gives up to {limit:.2g}"
        assert found == ("" if is_near else far)


def bent(kurtosis, count):
    """A symmetric sample of a kurtosis, near a normal one."""
    z = quantiles(stats.norm, count).numpy()

    def power(p):
        return np.sign(z) * np.abs(z) ** p

    p = scipy.optimize.brentq(lambda p: stats.kurtosis(power(p), fisher=False) - kurtosis, 0.3, 1.5)
    return torch.tensor(power(p) / power(p).std())


def test_a_normal_sample_may_have_a_kurtosis_below_three_by_chance():
    least = 3 - LIMIT * math.sqrt(24 / 2400)
    assert Limits(P).misfit(STANDARD, bent(least + 0.03, 2400)) == ""
    low = bent(least - 0.03, 2400)
    words = f"kurtosis {least - 0.03:.2g}, where chance gives at least {least:.2g}"
    assert Limits(P).misfit(STANDARD, low) == words
    # The mean does not matter, and other distributions have another kurtosis.
    assert Limits(P).misfit(normal(centre=5.0, scale=2.0), 5 + 2 * low) == words
    for other in (normal(-9, 9, 0.0, 1.0), normal(-9, math.inf, 0.0, 1.0)):
        assert Limits(P).misfit(other, low) == ""
    assert Limits(P).misfit(UNIFORM, quantiles(KNOWN[-1][1], 2400)) == ""


@pytest.mark.parametrize(("distribution", "law"), LAWS.values(), ids=LAWS)
def test_a_distribution_has_the_moments_and_the_shape_of_its_law(distribution, law):
    mean, variance, excess = (float(value) for value in law.stats("mvk"))
    assert distribution.mean == pytest.approx(mean, rel=1e-6)
    assert distribution.std == pytest.approx(math.sqrt(variance), rel=1e-6)
    assert distribution.kurtosis == pytest.approx(excess + 3, rel=1e-4)
    x = torch.linspace(-6, 8, 57, dtype=torch.float64)
    torch.testing.assert_close(distribution.cdf(x), torch.from_numpy(law.cdf(x.numpy())))
    scaled = distribution.multiplied(-0.5)
    assert (scaled.mean, scaled.std) == pytest.approx((-0.5 * mean, 0.5 * math.sqrt(variance)))
    torch.testing.assert_close(
        scaled.cdf(-0.5 * x), torch.from_numpy(law.sf(x.numpy())), atol=1e-7, rtol=0
    )
    moved = distribution.with_moments(7.0, 0.1)
    assert (moved.mean, moved.std) == pytest.approx((7.0, 0.1))


def test_the_distance_is_scipys():
    source = torch.Generator().manual_seed(0)
    values = torch.randn(500, generator=source, dtype=torch.float64)
    want = stats.kstest(values.numpy(), "norm").statistic
    assert distance(EntryDistribution("normal"), values) == pytest.approx(want)


@pytest.mark.parametrize(("distribution", "law"), LAWS.values(), ids=LAWS)
def test_standard_errors_are_standard_even_for_fifteen_values(distribution, law):
    samples = torch.from_numpy(law.rvs((4000, 15), random_state=0))
    means = torch.tensor([mean_error(distribution, sample) for sample in samples])
    stds = torch.tensor([std_error(distribution, sample) for sample in samples])
    # 4.55 % of normal numbers are beyond 2; of 4000 that leaves 0.33 % for chance.
    assert (means.abs() > 2).float().mean().item() == pytest.approx(0.0455, abs=0.02)
    assert (stds.abs() > 2).float().mean().item() == pytest.approx(0.0455, abs=0.025)
    assert stds.std().item() == pytest.approx(1, abs=0.15)
