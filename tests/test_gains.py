"""Gains against closed forms, scipy's integrals, torch's table; kinks anywhere."""

import math
import random

import anyinit
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import nn

import initguide as init
from initguide.activations import derivative_of

# From the published tables: forward, by std, backward (closed forms where there are any).
TABLE = {
    "relu": (math.sqrt(2), 1 / math.sqrt(0.5 - 0.5 / math.pi), math.sqrt(2)),
    "linear": (1, 1, 1),
    "tanh": (1.59254, 1.59254, 1.46741),
    "sigmoid": (1.84623, 4.80131, 4.72265),
    "gelu": (1.53353, 1.70093, 1.48111),
    "silu": (1.67653, 1.78719, 1.62332),
    "mish": (1.48685, 1.59203, 1.44476),
    "elu": (1.24520, 1.27084, 1.22343),
    "selu": (1, 1, 0.96602),
    "softplus": (1.04187, 1.91913, 1.84623),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("kind", "column"), [("forward", 0), ("std", 1), ("backward", 2)])
def test_gain_table(name, kind, column):
    assert init.gain(name, kind) == pytest.approx(TABLE[name][column], abs=1e-5)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "gelu", "silu", "mish", "elu", "softplus"])
def test_the_unit_gain_is_anyinits(name):
    assert init.gain(name, "unit") == pytest.approx(anyinit.gain(name), rel=1e-9)


def test_the_unit_gain_maps_one_onto_one():
    # E relu(s z)⁴ = 3 s⁴ / 2, and E exp(2 s z) = exp(2 s²), which is nowhere 1.
    assert init.gain(lambda z: torch.relu(z) ** 2, "unit") == pytest.approx(1.5**-0.25, rel=1e-9)
    assert init.gain(lambda z: z / 100, "unit") == pytest.approx(100)
    for never in ("tanh", "sigmoid", "hardtanh", torch.sin, torch.exp, lambda z: 0 * z):
        with pytest.raises(ValueError, match="must have a second moment of 1 at some scale; got"):
            init.gain(never, "unit")


@pytest.mark.parametrize("kink", [0.0, 0.3, -1.7, math.pi / 3])
def test_kinks_and_jumps_anywhere(kink):
    step = init.gain(lambda z: (z > kink).double())
    assert step == pytest.approx(norm.sf(kink) ** -0.5, rel=1e-9)
    hinge = init.gain(lambda z: np.maximum(z - kink, 0), "backward")
    assert hinge == pytest.approx(norm.sf(kink) ** -0.5, rel=1e-6)
    moment = quad(lambda z: (z - kink) ** 2 * norm.pdf(z), kink, 12, epsabs=1e-12)[0]
    assert init.gain(lambda z: torch.relu(z - kink)) == pytest.approx(moment**-0.5, rel=1e-8)


def test_name_module_and_functions_agree():
    for same in (nn.ReLU(), nn.ReLU(inplace=True), torch.relu, lambda z: np.maximum(z, 0)):
        for kind in ("forward", "std", "backward"):
            assert init.gain(same, kind) == pytest.approx(init.gain("relu", kind), rel=1e-6)


@pytest.mark.parametrize(
    ("same", "error"),
    [
        ("tanh", 1e-15),
        (nn.Tanh(), 1e-15),
        (torch.tanh_, 1e-15),
        # A difference over 2e-6 of values that are rounded to 1e-16.
        (np.tanh, 1e-9),
    ],
)
def test_only_the_derivative_of_a_function_of_arrays_is_a_difference(same, error):
    z = torch.linspace(-3, 3, 31, dtype=torch.float64)
    slopes = derivative_of(same)(z)
    torch.testing.assert_close(slopes, 1 - z.tanh() ** 2, rtol=0, atol=error)
    torch.testing.assert_close(z, torch.linspace(-3, 3, 31, dtype=z.dtype), rtol=0, atol=0)


def test_a_module_is_left_as_it_was():
    module = nn.PReLU(init=0.25).train()
    assert init.gain(module) == pytest.approx(math.sqrt(2 / (1 + 0.25**2)))
    assert module.training
    assert module.weight.dtype == torch.float32
    assert module.weight.grad is None


def test_modules_with_different_numbers_have_different_gains():
    for kind in ("forward", "backward"):
        for make in (lambda a: nn.PReLU(init=a), nn.LeakyReLU):
            for slope in (0.1, 0.5):
                expected = math.sqrt(2 / (1 + slope**2))
                assert init.gain(make(slope), kind) == pytest.approx(expected)
    module = nn.PReLU(init=0.1)
    init.gain(module)
    nn.init.constant_(module.weight, 0.5)
    assert init.gain(module) == pytest.approx(math.sqrt(2 / (1 + 0.5**2)))


def test_an_activation_that_draws_leaves_the_random_states():
    def noisy(z):
        return z + 0 * (torch.rand(()) + np.random.rand() + random.random())  # noqa: NPY002

    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    assert init.gain(noisy) == pytest.approx(1)
    init.propagate(noisy, 1.0, depth=2)
    init.critical(noisy)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]


NAMES = ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "sigmoid", "tanh", "relu"]


@pytest.mark.parametrize(
    ("name", "param"),
    [
        *((name, None) for name in [*NAMES, "leaky_relu", "selu"]),
        *(("leaky_relu", slope) for slope in (0, 0.2, 3, -1.0)),
    ],
)
def test_calculate_gain_is_torchs(name, param):
    assert init.calculate_gain(name, param) == nn.init.calculate_gain(name, param)


def test_calculate_gain_answers_more():
    assert init.calculate_gain("gelu") == init.gain("gelu")
    assert init.calculate_gain(nn.SiLU()) == pytest.approx(init.gain("silu"))


def unfinished(z):
    return torch.relu(z) + missing  # noqa: F821


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda z: torch.no_such_function(z), "AttributeError: module 'torch' has no"),
        (lambda z: z.no_such_method(), "AttributeError: 'Tensor' object has no"),
        (lambda z: torch.tanh(z, 3), r"TypeError: tanh\(\) takes 1 positional"),
        (unfinished, "NameError: name 'missing'"),
        # A function of arrays, which does not take tensors.
        (lambda z: np.maximum(z, 0) + z.no_such_method(), "'numpy.ndarray' object has no"),
    ],
)
def test_the_error_is_that_of_the_function_itself(function, error):
    for kind in ("forward", "backward"):
        with pytest.raises(ValueError, match=rf"an elementwise function; got .*{error}"):
            init.gain(function, kind=kind)


@pytest.mark.parametrize("slope", [True, False, "0.1", None, [0.1], math.nan, math.inf])
def test_a_slope_must_be_a_number(slope):
    if slope is None:
        assert init.calculate_gain("leaky_relu", slope) == init.calculate_gain("leaky_relu", 0.01)
        return
    with pytest.raises(ValueError, match="negative_slope must be"):
        init.calculate_gain("leaky_relu", slope)
