"""The search for the scale at which a variance is one."""

import math

import numpy as np
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
    "a dip between two steps": (
        lambda a: math.exp(min(20 * math.log(a / 3.1) ** 2, 99)) / 1.05,
        14.0,
        3.1 * math.exp(math.sqrt(math.log(1.05) / 20)),
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
        assert len(calls) <= (32 if "between" in name else 12)
    # Where there is none, 20 steps are tried, and 24 pairs around a peak.
    if expected is None:
        assert len(calls) == 21 + (48 if name == "rounded up to one" else 0)


def test_a_usual_search_is_short():
    evaluations = []

    def counted(z):
        evaluations.append(1)
        return nn.functional.gelu(z)

    y = torch.randn(64, 20, generator=generator(1))
    bias = torch.randn(20, generator=generator(2))
    solve.solve_after_activation("0", y, 0.5 * bias, 1, counted, "gelu", lambda *numbers: numbers)
    assert len(evaluations) <= 10


def alone(*numbers):
    return numbers


def doubled(*numbers):
    """The sums of two processes that hold the same part of the batch."""
    return tuple(2 * number for number in numbers)


def test_the_search_takes_steps_of_at_most_four_and_ends_after_twenty():
    tried = []

    def variance(scale):
        tried.append(scale)
        return scale / (1 + scale)

    assert find_scale(variance, 1.0) == (None, pytest.approx(1))
    # Seven tenths of the height log 2, twice that, and 4 from then on.
    ratios = np.array(tried[1:]) / np.array(tried[:-1])
    first = 2**0.7
    assert ratios == pytest.approx([first, first**2] + 18 * [4])


@pytest.mark.parametrize(("off", "meets"), [(0.9e-6, True), (1.1e-6, False)])
def test_a_variance_counts_as_one_within_a_millionth(off, meets):
    for sign in (-1, 1):
        calls = []

        def variance(scale, sign=sign, calls=calls):
            calls.append(scale)
            return scale**2 * math.exp(sign * off)

        found, _ = find_scale(variance, 1.0)
        assert (found == 1.0) == meets
        assert (len(calls) == 1) == meets
        assert found == pytest.approx(1, abs=2e-6)


# The moments, against double precision.

SAMPLES = {
    "usual": (0.3, 1.0),
    "a large mean": (1e4, 1.0),
    "a mean of three stds": (3.2, 1.0),
    "huge": (1e21, 1e21),
    "tiny": (1e-21, 1e-21),
    "with denormal squares": (1e-22, 1e-22),
    "tiny, with a large mean": (1.0, 1e-5),
}


@pytest.mark.parametrize(("mean", "std"), SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("total", [alone, doubled])
def test_moments_are_right_to_five_digits(mean, std, total):
    y = mean + std * torch.randn(40, 25, generator=generator(1))
    exact = y.numpy().astype(np.float64)
    found, variance, centred = solve.centred_moments(y, total)
    assert found == pytest.approx(exact.mean(), rel=1e-5, abs=1e-5 * std)
    assert variance == pytest.approx(exact.var(), rel=1e-5)
    # The mean that is left is smaller than the std, or taken away.
    assert abs(centred.double().mean().item()) <= 3.2 * exact.std()
    spread = centred.double() - centred.double().mean()
    np.testing.assert_allclose(spread, exact - exact.mean(), atol=1e-4 * std)


def test_a_constant_has_no_variance():
    for value in (0.1, 0.0, -1e20):
        assert solve.centred_moments(torch.full((7, 3), value), alone)[1] == 0


# One layer, against its equation.

AXES = {
    "rows": ((200, 6), 1),
    "an image": ((5, 6, 8, 9), 1),
    "sequences": ((7, 30, 6), 2),
    "one sample": ((6,), 0),
}


def layer(shape, axis, mean=0.2, size=0.4):
    """An output that depends on its unit, and a bias along the units that goes with it."""
    units = [1] * len(shape)
    units[axis] = shape[axis]
    each = torch.linspace(-1, 1, shape[axis])
    y = mean + 2 * torch.randn(shape, generator=generator(3)) + each.view(units)
    bias = size * (each + 0.5 + 0.3 * torch.randn(shape[axis], generator=generator(4)))
    return y, bias, units


@pytest.mark.parametrize("total", [alone, doubled])
@pytest.mark.parametrize("size", [0.4, -0.4, 1.1])
@pytest.mark.parametrize(("shape", "axis"), AXES.values(), ids=AXES)
def test_the_scale_brings_a_layer_with_its_bias_to_variance_one(shape, axis, size, total):
    y, bias, units = layer(shape, axis, size=size)
    scale, before = solve.solve("0", y, bias, axis, total)
    exact, added = y.double().numpy(), bias.double().view(units).numpy()
    assert (scale * exact + added).std() == pytest.approx(1, rel=1e-6)
    assert before == pytest.approx((exact + added).std(), rel=1e-6)
    scale, before = solve.solve("0", y, None, axis, total)
    assert (1 / scale, before) == pytest.approx((exact.std(), exact.std()), rel=1e-5)


def test_a_bias_of_variance_above_one_is_refused():
    y, bias, _ = layer((200, 6), 1)
    for size in (1.02, 3.0):
        wide = (bias - bias.mean()) / bias.std(correction=0) * math.sqrt(size)
        with pytest.raises(ValueError, match=rf"^layer '0' must have a bias .* got {size:.3g}: "):
            solve.solve("0", y, wide, 1, alone)
    within = (bias - bias.mean()) / bias.std(correction=0) * math.sqrt(0.98)
    assert solve.solve("0", y, within, 1, alone)[0] > 0


def test_a_bias_above_one_is_reached_if_the_output_opposes_it():
    # The output is the bias times -2: the scales 0.5 ± 0.5 / 1.1 give variance one.
    each = torch.tensor([-1.1, 1.1, -1.1, 1.1])
    scale, _ = solve.solve("0", (-2 * each).expand(50, 4), each, 1, alone)
    assert scale == pytest.approx(0.5 + 0.5 / 1.1)


ROUNDINGS = [
    # A relative std of 16 roundings of the precision in which it is computed, or of one of its own.
    (torch.float32, 15 * 2.0**-23, 17 * 2.0**-23),
    (torch.float64, 15 * 2.0**-52, 17 * 2.0**-52),
    (torch.bfloat16, 2.0**-7, 3 * 2.0**-7),
    (torch.float16, 2.0**-10, 3 * 2.0**-10),
]


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("dtype", "constant", "varies"), ROUNDINGS)
def test_an_output_that_varies_by_rounding_alone_is_constant(dtype, constant, varies, sign):
    def output(width):
        # Two values that are 2 d apart have the std d.
        return sign * torch.tensor([1.0, 1 + 2 * width], dtype=torch.float64).to(dtype)

    if dtype.itemsize == 2:
        constant, varies = constant / 2, varies / 2
    with pytest.raises(ValueError, match=r"^layer 'a' must vary over the batch; got variance"):
        solve.solve("a", output(constant), None, 0, alone)
    assert solve.solve("a", output(varies), None, 0, alone)[1] == pytest.approx(varies, rel=1e-3)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_output_that_is_not_finite_is_refused(value):
    y = torch.tensor([1.0, 2.0, value])
    with pytest.raises(ValueError, match=r"layer 'a' must have a finite output; got NaN or inf"):
        solve.solve("a", y, None, 0, alone)
    with pytest.raises(ValueError, match=r"must have a finite output after exp; got (inf|nan)"):
        solve.solve_after_activation(
            "a", torch.tensor([1.0, 2.0]), None, 0, lambda z: z.exp() + value, "exp", alone
        )


# A layer and its activation.

FUNCTIONS = {
    "relu": torch.relu,
    "leaky relu": nn.functional.leaky_relu,
    "in place": torch.relu_,
    "gelu": nn.functional.gelu,
    "softplus": nn.functional.softplus,
    "elu": nn.functional.elu,
    "hardswish": nn.functional.hardswish,
}


@pytest.mark.parametrize("total", [alone, doubled])
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("size", [None, 0.0, 0.3])
def test_the_scale_brings_an_activation_to_variance_one(function, size, total):
    y, bias, units = layer((300, 6), 1)
    bias = None if size is None else size * bias.view(units)
    given = y.clone()
    scale, before = solve.solve_after_activation("0", y, bias, 1, function, "f", total)
    assert torch.equal(y, given)
    shift = 0 if bias is None else bias.double()
    after = [function(a * y.double() + shift).std(correction=0).item() for a in (1, scale)]
    assert after == pytest.approx([before, 1], rel=3e-6)


@pytest.mark.parametrize(
    ("function", "calls"),
    # The variance once, and the test of the function at 3 scales.
    [
        (torch.relu, 4),
        (nn.functional.leaky_relu, 4),
        (lambda z: 1e-3 + torch.relu(z), None),
        (lambda z: torch.where(z > 900, 2 * z, z), None),
        (lambda z: torch.where(z.abs() < 2e-3, 2 * z, z), None),
    ],
)
def test_a_function_that_scales_needs_no_search(function, calls):
    made = []

    def counted(z):
        made.append(1)
        return function(z)

    y, bias, units = layer((300, 6), 1)
    solve.solve_after_activation("0", y, None, 1, counted, "f", alone)
    assert len(made) == calls if calls else len(made) > 4
    made.clear()
    solve.solve_after_activation("0", y, bias.view(units), 1, counted, "f", alone)
    assert len(made) > 4


def test_a_scale_that_does_not_exist_is_refused_with_the_nearest_std():
    y = torch.tensor([-1.0, 1.0]).repeat(50)
    with pytest.raises(ValueError, match=r"^layer 'a' .* std 1 after f .*; got at most 0\.9999$"):
        solve.solve_after_activation("a", y, None, 0, lambda z: 0.99999 * torch.tanh(z), "f", alone)
    with pytest.raises(ValueError, match=r"; got at most 0\.5$"):
        solve.solve_after_activation("a", y, None, 0, lambda z: 0.50001 * z.tanh(), "f", alone)
    with pytest.raises(ValueError, match=r"; got at least 3\.0[0-9]*$"):
        solve.solve_after_activation("a", y, None, 0, lambda z: 3.05 * z.sign() + z, "f", alone)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_search_on_a_part_of_a_large_batch_ends_on_the_whole(axis):
    sizes = []

    def function(z):
        sizes.append(z.numel())
        return nn.functional.gelu(z)

    y = torch.randn((2**17, 2) if axis else (2, 2**17), generator=generator(5))
    scale, _ = solve.solve_after_activation("0", y, None, axis, function, "gelu", alone)
    exact = nn.functional.gelu(scale * y.double()).std(correction=0).item()
    assert exact == pytest.approx(1, rel=3e-6)
    whole = [size for size in sizes if size == y.numel()]
    parts = [size for size in sizes if 31 < size < y.numel()]
    if axis:
        # One row of eight: 2**18 values over 2**15.
        assert set(parts) == {2**15}
        assert len(whole) <= 5
    else:
        assert not parts
