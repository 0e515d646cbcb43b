"""The checks of independent entries, on samples whose moments and distances are known."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch

from initguide.diagnostics.mistakes import NEAR
from initguide.testing import entries
from initguide.testing.draws import LIMIT, Draws, P

ROWS, COLUMNS, TIMES = 50, 200, 2
N = ROWS * COLUMNS * TIMES
ORDER = np.random.default_rng(0).permutation(N)
LEVELS = (np.arange(N) + 0.5) / N


def sample(quantile=scipy.stats.norm.ppf, shape=(ROWS, COLUMNS), own=None):
    """The quantiles of a distribution in random order, as draws of mean 0 and std 1."""
    values = quantile(LEVELS)[ORDER]
    values = torch.tensor((values - values.mean()) / values.std()).view(TIMES, *shape)
    return Draws(shape, own or shape, list(values))


NORMAL = sample()
WIDE, TALL = NORMAL, sample(shape=(COLUMNS, ROWS))


def changed(draws, change):
    return Draws(draws.shape, draws.own, [change(each) for each in draws.draws])


def scaled(draws, factor):
    return changed(draws, lambda x: x * factor)


def findings(found, right, std_of=lambda shape: 1.0, name="normal"):
    lists = [each if isinstance(each, list) else [each] for each in (found, right)]
    made = entries.compare_entries(*lists, std_of, name)
    return [(each.kind, each.message) for each in made]


# Copies.


def draws(*rows):
    value = torch.tensor(rows, dtype=torch.float64)
    return Draws(tuple(value.shape), (9, 9), [value])


COPIES = {
    "none": (draws([1, 2], [3, 4]), None),
    "constant": (draws([2, 2], [2, 2]), ("constant", "entries must differ; all are 2")),
    "outputs": (
        draws([1, 2], [3, 4], [1, 2]),
        ("clones", "3 outputs must all differ; only 2 distinct"),
    ),
    "inputs": (
        draws([1, 2, 1], [3, 4, 3]),
        ("clones", "3 inputs must all differ; only 2 distinct"),
    ),
    "one column": (draws([1], [2], [1]), None),
    "one row": (draws([1, 2, 1]), None),
    "a vector": (draws(3, 3, 3), None),
}


@pytest.mark.parametrize(("found", "want"), COPIES.values(), ids=COPIES)
def test_units_must_not_be_copies(found, want):
    fine = draws([5, 6], [7, 8])
    got = [(each.kind, each.message) for each in entries.copies([fine, found])]
    assert got == ([] if want is None else [(want[0], f"{want[1]} at shape (9, 9)")])


# Means and stds, at the edges of their limits.


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_a_mean_may_be_off_by_its_error(scale, sign):
    right = scaled(NORMAL, scale)
    limit = sign * LIMIT * scale * math.sqrt(2 / N)
    near = changed(right, lambda x: x + 0.98 * limit)
    assert findings(near, right) == []
    far = changed(right, lambda x: x + 1.02 * limit)
    message = f"the mean must be 0; got {1.02 * limit:.3g} at shape (50, 200)"
    assert findings(far, right) == [("mean", message)]
    # A mean of the right values is shown if it is far from zero.
    for due, shown in ((9 * scale * math.sqrt(2 / N), 0), (0.5 * scale, 0.5 * scale)):
        moved = changed(right, lambda x, due=due: x + due)
        far = changed(moved, lambda x: x + 1.02 * limit)
        ((kind, message),) = findings(far, moved)
        assert kind == "mean"
        assert message.startswith(f"the mean must be {shown:.3g}; got {due + 1.02 * limit:.3g} at")


@pytest.mark.parametrize(
    ("quantile", "kurtosis"), [(scipy.stats.norm.ppf, 3), (scipy.stats.uniform.ppf, 1.8)]
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_std_may_be_off_by_its_error(quantile, kurtosis, sign):
    right = sample(quantile)
    # The relative variance of a mean of squares is (kurtosis - 1) / n.
    limit = sign * LIMIT * math.sqrt((kurtosis - 1) * 2 / N) / 2
    assert findings(scaled(right, math.exp(0.98 * limit)), right) == []
    ((kind, message),) = findings(scaled(right, math.exp(1.02 * limit)), right)
    assert kind == "std wrong"
    factor = f"{math.exp(1.02 * limit):.4g}"
    words = f"the std must be 1; got {factor} at shape (50, 200), {factor} times that"
    assert message.startswith(words)


# Wrong stds that no usual mistake explains.


def of_fan(shape):
    return 3 * shape[1] ** -0.5


def at_shapes(wide, tall):
    return [scaled(WIDE, wide), scaled(TALL, tall)]


RIGHT = at_shapes(of_fan(WIDE.shape), of_fan(TALL.shape))  # 0.2121 and 0.4243
UNEXPLAINED = {
    "one factor": (
        at_shapes(0.2121 * 1.17, 0.4243 * 1.16),
        ("gain wrong", "the std must be 0.2121; got 0.2482 at shape (50, 200), 1.17 times that at"),
    ),
    "one std": (
        at_shapes(0.37, 0.361),
        ("fan ignored", "the std must be 0.2121; got 0.37 at shape (50, 200), and the same at"),
    ),
    "nearly one std": (
        at_shapes(0.37, 0.357),
        ("std wrong", "the std must be 0.2121; got 0.37 at shape (50, 200), 1.744 times that"),
    ),
    "two factors": (
        at_shapes(0.2121 * 1.17, 0.4243 * 1.1),
        ("std wrong", "the std must be 0.2121; got 0.2482 at shape (50, 200), 1.17 times that"),
    ),
    "one is right": (
        at_shapes(0.2121, 0.4243 / 1.3),
        ("std wrong", "the std must be 0.4243; got 0.3264 at shape (200, 50), 0.7693 times that"),
    ),
}


@pytest.mark.parametrize(("found", "want"), UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_wrong_std_without_a_cause_is_shown_where_it_is_worst(found, want):
    ((kind, message),) = findings(found, RIGHT, of_fan)
    assert (kind, message[: len(want[1])]) == want
    assert message.removeprefix(want[1]) in ("", " every shape", " at every shape")


def test_a_std_that_is_a_number_has_no_gain():
    ((kind, message),) = findings(at_shapes(1.17, 1.17), at_shapes(1, 1))
    assert kind == "std wrong"
    assert message.endswith("1.17 times that at every shape")


def test_a_wrong_std_with_a_cause_names_it():
    doubled = at_shapes(9 / 3 * 0.212132, 9 / 3 * 0.424264)
    ((kind, message),) = findings(doubled, RIGHT, of_fan)
    assert kind == "gain squared"
    assert "as if" in message
    missing = at_shapes(0.0707107, 0.1414214)
    ((kind, message),) = findings(missing, RIGHT, of_fan)
    assert kind == "gain missing"
    assert "gain of about 3" in message


def test_a_wrong_mean_hides_a_wrong_std_that_nothing_explains():
    found = [changed(each, lambda x: x + 0.1) for each in at_shapes(0.2121 * 1.17, 0.4243 * 1.17)]
    assert [kind for kind, _ in findings(found, RIGHT, of_fan)] == ["mean"]


@pytest.mark.parametrize(
    ("std_of", "gain"),
    [
        (lambda shape: 3 / math.sqrt(shape[1]), 3),
        (lambda shape: 0.7 / math.sqrt(shape[0]), 0.7),
        (lambda shape: 0.1, None),
        (lambda shape: None, None),
        (lambda shape: 0.0, None),
        (lambda shape: None if shape[0] > 60 else 1.0, None),
        (lambda shape: 1 / shape[1], None),
        (
            lambda shape: 1 / math.sqrt(shape[1]) * (1 + 0.9 * NEAR * (shape[1] == 50)),
            1 + 0.9 * NEAR,
        ),
        (lambda shape: 1 / math.sqrt(shape[1]) * (1 + 1.1 * NEAR * (shape[1] == 50)), None),
        (lambda shape: 1 / math.sqrt(shape[1]) * (1 - 1.1 * NEAR * (shape[1] == 50)), None),
    ],
)
def test_the_gain_is_read_from_two_sizes(std_of, gain):
    assert entries._gain(std_of) == (None if gain is None else pytest.approx(gain))


# Distributions.


def truncated(levels):
    return scipy.stats.truncnorm.ppf(levels, -2, 2)


def student_at(distance):
    """Return the quantiles of a Student distribution, standardized, at a distance from normal."""
    x = np.linspace(0.01, 4, 2000)

    def far(df):
        wide = scipy.stats.t(df, scale=math.sqrt((df - 2) / df))
        return np.abs(wide.cdf(x) - scipy.stats.norm.cdf(x)).max()

    df = scipy.optimize.brentq(lambda df: far(df) - distance, 3, 200)
    return scipy.stats.t(df).ppf


@pytest.mark.parametrize(
    ("name", "quantile"),
    [
        ("normal", scipy.stats.norm.ppf),
        ("uniform", scipy.stats.uniform.ppf),
        ("truncated", truncated),
        ("other", scipy.stats.laplace.ppf),
        ("normal", student_at(0.0105)),
        ("other", student_at(0.0125)),
    ],
)
def test_a_distribution_is_the_nearest_one(name, quantile):
    assert entries.distribution_of([sample(quantile)]) == name


@pytest.mark.parametrize("quantile", [scipy.stats.norm.ppf, scipy.stats.uniform.ppf])
def test_a_distribution_is_read_at_each_shape_with_its_own_mean_and_std(quantile):
    found = sample(quantile)
    moved = changed(scaled(found, 0.01), lambda x: x + 7)
    assert entries.distribution_of([found, moved]) == entries.distribution_of([found]) != "other"


def test_two_distributions_may_differ_by_the_limit_for_their_sizes():
    # Two shapes of N values each.
    limit = math.sqrt(math.log(2 / P) / 2 * 2 / (2 * N))
    right = 2 * [NORMAL]
    assert findings(2 * [sample(student_at(0.96 * limit))], right) == []
    ((kind, message),) = findings(2 * [sample(student_at(1.04 * limit))], right)
    assert kind == "wrong distribution"
    far = f"{1.04 * limit:.2g}"
    assert message == f"the distribution functions must agree; they differ by {far}"


def test_a_wrong_distribution_is_named_with_its_largest_value():
    uniform, cut = sample(scipy.stats.uniform.ppf), sample(truncated)
    root = "1.73"
    message = f"the distribution must be normal; got uniform, up to {root} std"
    assert findings(uniform, NORMAL) == [("uniform for normal", message)]
    most, due = (x.flat.abs().max().item() for x in (NORMAL, cut))
    message = f"the distribution must be uniform; got normal, up to {most:.3g} std"
    assert findings(NORMAL, uniform, name="uniform") == [("normal for uniform", message)]
    message = f"no value may be beyond {due:.3g} std; some are {most:.3g} std out"
    # The two are 0.018 apart, which 80 000 values show.
    assert findings(4 * [NORMAL], 4 * [cut], name="truncated") == [("truncation absolute", message)]


# Dependence between entries.


def with_sums(draws, axis, factor):
    """Change the sums of rows or columns by a factor."""
    return changed(draws, lambda x: x + (factor - 1) * x.mean(1 - axis, keepdim=True))


@pytest.mark.parametrize(("axis", "name", "count"), [(0, "outputs", ROWS), (1, "inputs", COLUMNS)])
def test_sums_of_units_may_vary_by_chance_alone(axis, name, count):
    # The logarithm of the variance of each side has the variance 2 / n; twice that is the limit.
    limit = LIMIT * 2 * math.sqrt(2 / (count * TIMES))
    for sign in (-1, 1):
        assert findings(with_sums(NORMAL, axis, math.exp(sign * 0.98 * limit / 2)), NORMAL) == []
        far = with_sums(NORMAL, axis, math.exp(sign * 1.02 * limit / 2))
        ((kind, message),) = findings(far, NORMAL)
        assert kind == "entries dependent"
        ratio = f"{math.exp(sign * 1.02 * limit):.2g}"
        assert message == (
            f"the sums of the weights of {name} must vary by chance; their variance is {ratio}"
            " times that at shape (50, 200)"
        )


@pytest.mark.parametrize(("axis", "name"), [(0, "outputs"), (1, "inputs")])
def test_units_of_one_length_are_found(axis, name):
    found = changed(NORMAL, lambda x: x / x.norm(dim=1 - axis, keepdim=True) * x[axis].norm())
    found = scaled(found, 1 / found.flat.std().item())
    ((kind, message),) = findings(found, NORMAL)
    assert kind == "entries dependent"
    assert message.startswith(f"the lengths of the weights of {name} must vary by chance")


@pytest.mark.parametrize(("kurtosis", "found"), [(3.9, 1), (4.1, 0)])
def test_sums_are_not_compared_if_tails_are_long(kurtosis, found):
    def power(p):
        return lambda levels: (lambda z: np.sign(z) * np.abs(z) ** p)(scipy.stats.norm.ppf(levels))

    def far(p):
        return scipy.stats.kurtosis(power(p)(LEVELS), fisher=False) - kurtosis

    right = sample(power(scipy.optimize.brentq(far, 1, 2)))
    assert len(findings(with_sums(right, 0, 3.0), right)) == found


def test_vectors_have_no_rows_to_compare():
    right = Draws((N,), (N,), [NORMAL.flat])
    assert findings(changed(right, lambda x: x.sort().values), right) == []
