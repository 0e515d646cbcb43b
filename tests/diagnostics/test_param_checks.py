"""The checks of one parameter, on values of known moments and at the edges of their limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import initguide as init
from initguide.diagnostics.param_checks import _looks, check_buffer, check_param, described
from initguide.model.distributions import EntryDistribution, Limits

P = 1e-7
LIMIT = stats.norm.isf(P / 2)
OUT, INTO = 60, 120
N = OUT * INTO


def entry_of(law, module=None, parameter="weight", **options):
    """The plan of one parameter whose rule is given."""
    module = module or nn.Linear(INTO, OUT)
    rules = [init.Rule(parameter, law, **options)]
    rules += [init.Rule("*", "zeros_")] if len([*module.parameters()]) > 1 else []
    plan = init.plan(module, rules)
    return next(each for each in plan.entries if each.param.name == parameter)


def found(entry, values, default=None):
    made = check_param(entry, values, default, Limits(P))
    assert all(each.where == entry.param.name for each in made)
    return [(each.kind, each.message) for each in made]


def quantiles(known, mean=0.0, std=1.0, count=N):
    """The quantiles of a distribution in random order, with this mean and std."""
    values = known.ppf((np.arange(count) + 0.5) / count)
    values = (values - values.mean()) / values.std() * std + mean
    return torch.tensor(np.random.default_rng(0).permutation(values)).view(-1, INTO)


NORMAL = entry_of("normal_", std=0.1, mean=0.02)


def test_values_of_the_plan_have_no_finding():
    assert found(NORMAL, quantiles(stats.norm, 0.02, 0.1)) == []
    assert found(NORMAL, torch.empty(0, 5)) == []
    assert found(entry_of("uniform_", a=-1, b=3), quantiles(stats.uniform, 1, 4 / 12**0.5)) == []


# Memory that nothing was written to.


def test_values_must_be_finite():
    values = quantiles(stats.norm, 0.02, 0.1)
    values[3, 4], values[5, 6], values[7, 8] = math.nan, math.inf, -math.inf
    message = "3 of 7200 values are NaN or infinite"
    assert found(NORMAL, values) == [("not finite", message)]


@pytest.mark.parametrize(
    ("law", "options", "scale"),
    [
        ("normal_", {"std": 0.1, "mean": -0.02}, 0.12),
        ("constant_", {"val": -3.0}, 3.0),
        ("zeros_", {}, 0.01),
        ("normal_", {"std": 1e-5}, 0.01),
    ],
)
def test_values_a_million_times_too_large_were_never_written(law, options, scale):
    entry = entry_of(law, **options)
    for part, kind in ((0.99, False), (1.01, True)):
        values = torch.full((OUT, INTO), scale)
        values[1, 2] = -part * 1e6 * scale
        made = found(entry, values)
        assert (made[0][0] == "untouched memory") == kind
        if kind:
            size = f"{part * 1e6 * scale:.1e}"
            words = f"values up to {size}, as in memory that was never written"
            assert made == [("untouched memory", words)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.float16])
def test_denormal_values_were_never_written_except_in_half_precision(dtype):
    tiny = torch.finfo(dtype).tiny
    values = quantiles(stats.norm, 0.02, 0.1).to(dtype)
    values[0, :2] = torch.tensor([tiny / 2, -tiny / 2], dtype=dtype)
    values[1, :2] = torch.tensor([tiny, 0.0], dtype=dtype)
    words = "2 denormal values, as in memory that was never written"
    made = found(NORMAL, values)
    assert made == ([] if dtype == torch.float16 else [("untouched memory", words)])


def test_a_buffer_may_hold_all_but_nan_and_denormal_values():
    fine = torch.tensor([0.0, 1e30, math.inf, -math.inf, torch.finfo(torch.float32).tiny])
    assert check_buffer("b", fine) == []
    for bad in (math.nan, 1e-39, -1e-39):
        (one,) = check_buffer("b", torch.cat([fine, torch.tensor([bad, bad])]))
        assert (one.kind, one.where) == ("untouched memory", "b")
        assert one.message == "2 NaN or denormal values, as in memory that was never written"
    half = torch.tensor([1e-7, 1.0], dtype=torch.float16)
    assert check_buffer("b", half) == []
    assert len(check_buffer("b", half * math.nan)) == 1
    bad = torch.tensor([math.nan])
    for other in (bad.to("meta"), torch.tensor([3]), bad.to(torch.float8_e5m2)):
        assert check_buffer("b", other) == []


# Padding, constants and equal values.


@pytest.mark.parametrize("row", [0, 3, 59])
def test_a_row_of_padding_is_zero_and_left_out(row):
    entry = entry_of("normal_", nn.Embedding(OUT, INTO, padding_idx=row), std=0.1, mean=0.02)
    values = quantiles(stats.norm, 0.02, 0.1)
    words = f"row {row} is padding and must be zero"
    assert found(entry, values) == [("padding", words)]
    values[row] = 0
    assert found(entry, values) == []
    assert found(NORMAL, values)[0][0] == "constant rows"
    only = entry_of("normal_", nn.Embedding(1, INTO, padding_idx=0))
    assert found(only, torch.zeros(1, INTO)) == []


def test_each_value_of_a_constant_counts():
    values = torch.full((OUT, INTO), 0.3)
    values[0, 0], values[1, 1] = 0.5, 0.0
    assert found(entry_of("constant_", val=0.3), values) == [
        ("wrong values", "2 of 7200 values are not 0.3 throughout; the largest difference is 0.3")
    ]
    assert found(entry_of("constant_", val=0.3), torch.full((OUT, INTO), 0.3)) == []
    eye = torch.eye(OUT, INTO)
    eye[2, 2] = 0
    assert found(entry_of("eye_"), eye) == [
        ("wrong values", "1 of 7200 values are not eye_; the largest difference is 1")
    ]


def test_equal_values_where_random_ones_are_due():
    message = "all 7200 values are 0.25; they must be N(0.02, 0.1²)"
    assert found(NORMAL, torch.full((OUT, INTO), 0.25)) == [("constant", message)]
    message = "all 7200 values are 0.25; they must be sparse_"
    sparse = entry_of("sparse_", sparsity=0.5)
    assert found(sparse, torch.full((OUT, INTO), 0.25)) == [("constant", message)]
    for law, options in (("normal_", {}), ("sparse_", {"sparsity": 0.0})):
        assert found(entry_of(law, nn.Linear(1, 1), **options), torch.zeros(1, 1)) == []


@pytest.mark.parametrize(
    ("shape", "value", "kinds"),
    [
        ((4, 5), 0.25, ["constant"]),
        ((4, 5), 0.0, []),
        ((1, 5), 0.25, []),
        ((5, 1), 0.25, []),
        ((2, 2, 1), 0.25, ["constant"]),
        ((20,), 0.25, []),
    ],
)
def test_kept_weights_may_be_zero_but_not_equal(shape, value, kinds):
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(shape))

    entry = entry_of("normal_", Holder())
    entry = replace(entry, kept="a deliberate start", would_draw=True)
    made = found(entry, torch.full(shape, value))
    assert [kind for kind, _ in made] == kinds
    if kinds:
        count = math.prod(shape)
        assert made[0][1] == f"all {count} values are 0.25; units that start equal stay so"
    different = torch.full(shape, value)
    different.view(-1)[0] = 9
    assert found(entry, different) == []
    # A constant that the recipe would not draw at random, such as the size of a noise, is meant.
    assert found(replace(entry, would_draw=False), torch.full(shape, value)) == []


def test_complex_values_must_differ():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, dtype=torch.complex64))

    def draws_(tensor, generator):
        return tensor.normal_(generator=generator)

    entry = entry_of(draws_, Holder())
    equal = torch.full((4,), 1 + 2j)
    message = "all 4 values are 1+2j; they must be random"
    assert found(entry, equal) == [("constant", message)]
    assert found(entry, torch.tensor([1 + 2j, 1 + 2j, 1 + 2j, 1 - 2j])) == []
    assert found(entry, equal[:1]) == []
    assert found(entry, equal * math.nan)[0] == (
        "not finite",
        "8 of 8 values are NaN or infinite",
    )
    (kept,) = init.plan(Holder(), "keep").entries
    assert found(kept, equal) == []
    assert found(entry_of("zeros_", Holder()), equal) == []


# Rows and columns.


@pytest.mark.parametrize(
    ("dtype", "needed"),
    # The digits of all values but the first, less those of the number of rows, must reach 9.
    [(torch.float64, 2), (torch.float32, 3), (torch.float16, 5), (torch.bfloat16, 7)],
)
def test_a_row_of_one_value_is_found_if_chance_cannot_make_it(dtype, needed):
    digits = -math.log10(torch.finfo(dtype).eps)
    for length in (needed - 1, needed):
        assert ((length - 1) * digits - math.log10(200) >= 9) == (length == needed)
        values = torch.tensor(stats.norm.ppf((np.arange(200 * length) + 0.5) / 200 / length))
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
        values = values[order].view(200, length).to(dtype)
        values[7] = values[7, 0]
        for each, name, module in (
            (values, "rows", nn.Linear(length, 200)),
            (values.T, "columns", nn.Linear(200, length)),
        ):
            made = found(entry_of("normal_", module), each)
            message = f"all values must be random; each of these {name} has a single value: 7"
            want = [(f"constant {name}", message)] if length == needed else []
            assert made == want


def test_the_first_five_rows_of_one_value_are_named():
    values = quantiles(stats.norm, 0.02, 0.1)
    values[[1, 3, 4, 8, 9]] = 0.1
    words = "all values must be random; each of these rows has a single value: 1, 3, 4, 8, 9"
    assert found(NORMAL, values) == [("constant rows", words)]
    values[11] = 0.1
    assert found(NORMAL, values) == [("constant rows", f"{words}, …")]


# Means, stds and distributions.


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_mean_may_be_off_by_its_errors(sign):
    error = 0.1 / math.sqrt(N)
    near = quantiles(stats.norm, 0.02 + sign * 0.97 * LIMIT * error, 0.1)
    assert found(NORMAL, near) == []
    mean = 0.02 + sign * 1.03 * LIMIT * error
    message = f"the mean must be 0.02 ± {error:.2g}; got {mean:.3g}"
    # The std around the wrong mean is right, and no second finding.
    assert found(NORMAL, quantiles(stats.norm, mean, 0.1)) == [("mean", message)]


@pytest.mark.parametrize("tail", ["isf", "ppf"])
def test_a_std_may_be_off_by_its_errors(tail):
    edge = math.sqrt(getattr(stats.chi2(N), tail)(P / 2) / N)
    assert found(NORMAL, quantiles(stats.norm, 0.02, 0.1 * edge**0.97)) == []
    ((kind, message),) = found(NORMAL, quantiles(stats.norm, 0.02, 0.1 * edge**1.03))
    assert kind == "std wrong"
    ratio = f"{edge**1.03:.3g}"
    assert message == f"the std must be 0.1; got {0.1 * edge**1.03:.3g}, {ratio} times that"


def test_a_wrong_mean_and_a_wrong_std_are_two_findings():
    made = found(NORMAL, quantiles(stats.norm, 0.07, 0.15))
    assert [kind for kind, _ in made] == ["mean", "std wrong"]
    assert made[1][1] == "the std must be 0.1; got 0.15, 1.5 times that"


LAPLACE = quantiles(stats.laplace, 0, 1)
SHAPES = {
    "uniform for normal": (
        entry_of("normal_", std=1.0),
        quantiles(stats.uniform),
        "the distribution must be N(0, 1²); distance",
        "; the values look uniform",
    ),
    "normal for uniform": (
        entry_of("uniform_", a=-(3**0.5), b=3**0.5),
        quantiles(stats.norm),
        "the distribution must be U(±1.732); ",
        "; the values look normal",
    ),
    "truncation absolute": (
        entry_of("truncated_normal_", std=1.0),
        quantiles(stats.norm),
        "the distribution must be N(0, 1.137²) cut at 2.27; ",
        "; the values look normal",
    ),
    "wrong distribution": (
        entry_of("normal_", std=1.0),
        quantiles(stats.arcsine),
        "the distribution must be N(0, 1²); distance",
        "where chance gives up to 0.034",
    ),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_wrong_distribution_is_described(kind):
    entry, values, start, end = SHAPES[kind]
    ((got, message),) = found(entry, values)
    assert got == kind
    assert message.startswith(start)
    assert message.endswith(end)


def test_the_values_of_torch_s_default_are_named():
    module = nn.Linear(INTO, OUT)
    default = entry_of("uniform_", module, a=-0.1, b=0.1)
    values = quantiles(stats.uniform, 0, 0.1 / 3**0.5)
    words = "the values look like torch's own default, U(±0.1); they must be"
    for law, options, due in (
        ("normal_", {"std": 0.1}, "N(0, 0.1²)"),
        ("zeros_", {}, "0 throughout"),
        ("orthogonal_", {}, "orthogonal_"),
        ("eye_", {}, "eye_"),
    ):
        entry = entry_of(law, module, **options)
        assert found(entry, values, default) == [("torch default", f"{words} {due}")]
        assert found(entry, values)[0][0] != "torch default"
    # What the plan draws is right, whatever the default is.
    assert found(default, values, default) == []


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        (EntryDistribution("normal", 0, 0.1), "N(0, 0.1²)"),
        (EntryDistribution("normal", -0.25, 0.12345), "N(-0.25, 0.1235²)"),
        (EntryDistribution("normal", 0, 0.1, -2, 2), "N(0, 0.1²) cut at 0.2"),
        (EntryDistribution("uniform", 0, 0.5, -1, 1), "U(±0.5)"),
        (EntryDistribution("uniform", 1, 0.5, -1, 1), "U(1 ±0.5)"),
        (EntryDistribution("constant", 0.125), "0.125 throughout"),
        (EntryDistribution("normal", 3.0, 0.0), "3 throughout"),
    ],
)
def test_a_distribution_in_a_few_signs(spread, words):
    assert described(spread) == words


# Mistakes in the std of one weight.

MISTAKES = {
    # (law, options, the wrong std as a function of the fans) and what is named.
    "fans swapped": ("kaiming_normal_", {}, (2 / OUT) ** 0.5, "fan_in is 120 and fan_out is 60"),
    "square root missing": ("kaiming_normal_", {}, 2 / INTO, "as if"),
    "fan averaged": ("lecun_normal_", {}, (2 / (INTO + OUT)) ** 0.5, "fan_in is 120"),
    "std wrong": ("kaiming_normal_", {}, 0.2, "the std must be 0.129; got 0.2, 1.55 times that"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_in_the_std_is_named_with_the_fans(kind):
    law, options, std, words = MISTAKES[kind]
    ((got, message),) = found(entry_of(law, **options), quantiles(stats.norm, 0, std))
    assert got == kind
    assert words in message


def test_a_missing_gain_is_that_of_the_activation_after():
    model = nn.Sequential(nn.Linear(INTO, OUT), nn.ReLU(), nn.Linear(OUT, 2))
    values = quantiles(stats.norm, 0, INTO**-0.5)
    ((kind, message),) = found(init.plan(model, "kaiming").entries[0], values)
    assert kind == "gain missing"
    assert "the gain of relu, 1.414," in message
    # The law of LeCun has no gain, whatever follows.
    plan = init.plan(model, [init.Rule("*weight", "lecun_normal_"), "torch"])
    ((kind, _),) = found(plan.entries[0], 2**0.5 * values)
    assert kind != "gain missing"


@pytest.mark.parametrize(("part", "kind"), [(0.97, "gain missing"), (1.03, "std wrong")])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_mistake_explains_a_std_within_four_standard_errors(part, kind, sign):
    model = nn.Sequential(nn.Linear(INTO, OUT), nn.ReLU(), nn.Linear(OUT, 2))
    near = 4 / math.sqrt(2 * N) + 0.002
    values = quantiles(stats.norm, 0, INTO**-0.5 * math.exp(sign * part * near))
    assert found(init.plan(model, "kaiming").entries[0], values)[0][0] == kind


@pytest.mark.parametrize("descending", [True, False])
def test_values_are_not_equal_because_the_first_is_the_largest_or_the_least(descending):
    values = quantiles(stats.norm, 0.02, 0.1).flatten()
    values[0], values[values.argmax() if descending else values.argmin()] = (
        values.max() if descending else values.min(),
        values[0].clone(),
    )
    values = values.view(OUT, INTO)
    assert found(NORMAL, values) == []
    for law, options in (("sparse_", {"sparsity": 0.5}), ("orthogonal_", {})):
        assert "constant" not in dict(found(entry_of(law, **options), values))


CUT = stats.truncnorm(-2, 2)


@pytest.mark.parametrize(
    ("known", "count", "largest", "looks"),
    # A normal distribution cut at two has its ends at 2.27 stds. Of 2000 values, chance moves them
    # to 2.42 at most, and 31 normal ones would be beyond; of 900 values, 2.49 and 12.
    [
        (stats.norm, 2000, None, ("normal",)),
        (CUT, 2000, None, ("truncated",)),
        (CUT, 2000, 2.39, ("truncated",)),
        (CUT, 2000, 2.45, ("normal",)),
        (CUT, 900, None, ("normal", "truncated")),
        (stats.laplace(), 7000, None, ()),
    ],
)
def test_the_largest_value_tells_a_cut_distribution_from_a_normal_one(known, count, largest, looks):
    values = known.ppf((np.arange(count) + 0.5) / count)
    values = torch.tensor(
        np.random.default_rng(0).permutation((values - values.mean()) / values.std())
    )
    if largest is not None:
        values[7] = -largest
    # So few values may be uniform too.
    assert {*_looks(0.3 + 2 * values, Limits(P))} - {"uniform"} == {*looks}
