"""Constants in a graph, and the fans of weights that a forward passes to functions."""

import math
import operator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import fx

import initguide as init
from initguide.graph.constants import constant_factor, constant_of, has_parameter, reads_shape
from initguide.graph.gated import gated_gain, glu
from initguide.graph.next_activation import _is_output
from initguide.graph.weight_fans import call_fans, einsum_fans
from initguide.recipes.implicit import recipe_for_sine


def constant(graph, value):
    node = graph.get_attr("value")
    node.meta["value"] = value
    return node


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.tensor(2.5), 2.5),
        (torch.full((3, 2), -0.5), -0.5),
        (torch.tensor([4]), 4.0),
        (torch.tensor([1.0, 2.0]), None),
        (torch.tensor([math.nan]), math.nan),
        (torch.ones(0), None),
        (torch.ones(2, device="meta"), None),
        (torch.ones(2, dtype=torch.complex64), None),
        (torch.ones(2, requires_grad=True), None),
        (3.0, None),
        (None, None),
    ],
)
def test_a_constant_tensor_has_one_value(value, expected):
    node = constant(fx.Graph(), value)
    assert constant_of(node) == (pytest.approx(expected, nan_ok=True) if expected else expected)


def factor(call, *args, **kwargs):
    """The factor of a call in which X stands for the value and tensors are constants."""
    graph = fx.Graph()
    x = graph.placeholder("x")

    def node(each):
        if each is X:
            return x
        return constant(graph, each) if isinstance(each, torch.Tensor) else each

    call_args = tuple(map(node, args))
    user = graph.call_function(call, call_args, {k: node(v) for k, v in kwargs.items()})
    return constant_factor(user, x)


X = object()
DIFFERENT = torch.tensor([1.0, 2.0])
FACTORS = {
    "a number": ((torch.mul, X, 3.0), 3.0),
    "an integer before": ((operator.mul, 4, X), 4.0),
    "a quotient": ((torch.div, X, 4.0), 0.25),
    "a quotient by a tensor": ((operator.truediv, X, torch.tensor([8.0])), 0.125),
    "an inverse": ((torch.div, 4.0, X), None),
    "a tensor": ((torch.mul, torch.full((2,), 0.5), X), 0.5),
    "different values": ((torch.mul, X, DIFFERENT), None),
    "zero": ((torch.mul, X, 0.0), None),
    "infinity": ((torch.mul, X, math.inf), None),
    "not a number": ((torch.mul, X, math.nan), None),
    "itself": ((torch.mul, X, X), 1.0),
    "a parameter": ((torch.mul, X, torch.ones(2, requires_grad=True)), 1.0),
    "several": ((torch.mul, X, 3.0, torch.tensor(2.0)), 6.0),
}


@pytest.mark.parametrize(("call", "expected"), FACTORS.values(), ids=FACTORS)
def test_the_factor_of_a_product_with_constants(call, expected):
    assert factor(*call) == expected


def test_a_factor_may_be_a_named_argument():
    assert factor(torch.mul, X, other=5.0) == 5
    assert factor(torch.div, X, other=torch.tensor(4.0)) == 0.25
    assert factor(torch.mul, X, other=DIFFERENT) is None


def test_a_value_is_computed_from_a_parameter_unless_only_its_shape_is_read():
    graph = fx.Graph()
    x, weight = graph.placeholder("x"), graph.get_attr("weight")
    fixed = constant(graph, torch.ones(2))
    product = graph.call_function(torch.mul, (x, weight))
    same_shape = graph.call_function(torch.zeros_like, (weight,))
    after = graph.call_function(torch.add, (product, x))
    assert has_parameter([weight])
    assert has_parameter([x, after])
    assert not has_parameter([x, fixed])
    assert not has_parameter([same_shape])
    assert not has_parameter([])
    names = ("zeros_like", "randn_like", "new_zeros", "new_tensor", "size", "dim", "numel")
    for name in names:
        assert reads_shape(graph.call_method(name, (x,)))
    for name in ("mul", "view", "like", "news", "sizes"):
        assert not reads_shape(graph.call_method(name, (x,)))


# Fans of weights.


def einsum_of(equation, *shapes, at, as_list=False, transposed=False):
    graph = fx.Graph()
    nodes = [graph.placeholder(f"x{i}") for i in range(len(shapes))]
    operands = (nodes,) if as_list else nodes
    node = graph.call_function(torch.einsum, (equation, *operands))
    return einsum_fans(node, nodes[at], torch.empty(shapes[at]), transposed)


SUMS = {
    # The letters that are summed make fan_in; those that only the weight and the result have are
    # fan_out. A letter of all three, such as that of experts, is in neither.
    "bi,io->bo": (1, (7, 5), (7, 5)),
    "bi , oi -> bo": (1, (5, 7), (7, 5)),
    "oi,bi->bo": (0, (5, 7), (7, 5)),
    "btd,dhk->bthk": (1, (6, 2, 3), (6, 6)),
    "bthk,hkd->btd": (1, (2, 3, 6), (6, 6)),
    "becd,edf->becf": (1, (4, 3, 5), (3, 5)),
    "...i,io->...o": (1, (7, 5), (7, 5)),
    "bi,bj,ijo->bo": (2, (3, 4, 5), (12, 5)),
    "bi,i->bi": (1, (7,), None),
    "bi,io": (1, (7, 5), None),
    "bi,i->b": (1, (7, 5), None),
    "bi,io,x->bo": (1, (7, 5), None),
}


@pytest.mark.parametrize("equation", SUMS)
def test_the_fans_of_an_einstein_sum(equation):
    at, shape, fans = SUMS[equation]
    count = 3 if equation == "bi,bj,ijo->bo" else 2
    shapes = [shape if i == at else (9,) for i in range(count)]
    for as_list in (False, True):
        found = einsum_of(equation, *shapes, at=at, as_list=as_list)
        assert found == (None if fans is None else init.Fans(*fans))


def test_an_einstein_sum_of_a_transposed_weight_has_its_last_axes_exchanged():
    found = einsum_of("bi,io->bo", (9,), (5, 7), at=1, transposed=True)
    assert found == init.Fans(7, 5)
    found = einsum_of("ebi,eio->ebo", (9,), (4, 5, 7), at=1, transposed=True)
    assert found == init.Fans(7, 5)
    assert einsum_of("bi,i->b", (9,), (7,), at=1, transposed=True) == init.Fans(7, 1)


def test_an_einstein_sum_needs_an_equation_with_the_weight():
    graph = fx.Graph()
    x, w, equation = (graph.placeholder(name) for name in "xwe")
    for args in ((equation, x, w), ("bi,io->bo", x, x)):
        assert (
            einsum_fans(graph.call_function(torch.einsum, args), w, torch.ones(7, 5), False) is None
        )


CALLS = {
    "plain": (F.conv2d, (), {}, (8, 6, 3, 5), (90, 120)),
    "groups by name": (F.conv2d, (), {"groups": 2}, (8, 3, 3, 5), (45, 60)),
    "groups by place": (F.conv2d, (None, 1, 0, 1, 2), {}, (8, 3, 3, 5), (45, 60)),
    "transposed": (F.conv_transpose2d, (), {"stride": 2}, (6, 8, 4, 4), (24, 128)),
    "transposed by place": (F.conv_transpose2d, (None, (2, 4)), {}, (6, 8, 4, 4), (12, 128)),
    "one dimension": (F.conv1d, (), {}, (8, 6, 3), (18, 24)),
    "stacked": (F.conv1d, (), {}, (5, 8, 6, 3), (18, 24)),
    "stacked images": (F.conv2d, (), {}, (5, 8, 6, 3, 2), (36, 48)),
    "stacked volumes": (F.conv3d, (), {}, (5, 8, 6, 3, 2, 1), (36, 48)),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_fans_of_a_convolution_by_function(name):
    call, args, kwargs, shape, fans = CALLS[name]
    graph = fx.Graph()
    x, w = graph.placeholder("x"), graph.placeholder("w")
    node = graph.call_function(call, (x, w, *args), kwargs)
    assert call_fans(node, torch.empty(shape)) == init.Fans(*fans)


def test_a_stride_that_is_not_known_counts_as_one():
    graph = fx.Graph()
    x, w, step = (graph.placeholder(name) for name in "xws")
    node = graph.call_function(F.conv_transpose1d, (x, w), {"stride": step})
    assert call_fans(node, torch.empty(6, 8, 4)) == init.Fans(24, 32)


# Functions, by their values.


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a * torch.sigmoid(b),
        lambda a, b: a * F.gelu(b),
        lambda a, b: torch.tanh(a) * 4 + b,
    ],
)
def test_the_unit_gain_of_two_halves_is_that_of_the_integral(function):
    gain = gated_gain(function)
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    a, b = (torch.tensor(gain * each) for each in np.meshgrid(points, points))
    moment = (function(a, b).numpy() ** 2 * np.outer(weights, weights)).sum() / math.tau
    assert moment == pytest.approx(1, abs=1e-4)


def test_a_function_without_a_unit_gain_has_none():
    assert gated_gain(lambda a, b: a * b) == pytest.approx(1, rel=1e-5)
    assert gated_gain(lambda a, b: a * b / 300) is None
    assert gated_gain(lambda a, b: a * b * 300) is None
    assert gated_gain(lambda a, b: torch.tanh(a) * torch.sigmoid(b)) is None
    assert gated_gain(lambda a, b: a.cumsum(0) * b) is None
    assert gated_gain(lambda a, b: a * b.numpy("x")) is None
    # The moment grows with the fourth power of the scale.
    assert gated_gain(lambda a, b: a * b / 225) == pytest.approx(15, rel=1e-5)
    assert gated_gain(lambda a, b: a * b * 225) == pytest.approx(1 / 15, rel=1e-5)
    assert glu()(torch.tensor(2.0)).item() == pytest.approx(2 / glu().gain)


@pytest.mark.parametrize(
    ("label", "value", "is_output"),
    [
        ("sigmoid", torch.sigmoid, True),
        ("relu6", F.relu6, False),
        ("relu", torch.relu, False),
        ("mine", lambda z: 99 * torch.tanh(z), True),
        ("mine", lambda z: 101 * torch.tanh(z), False),
        ("mine", lambda z: torch.relu(-z), False),
    ],
)
def test_a_bounded_function_after_the_last_layer_makes_the_output(label, value, is_output):
    assert _is_output(label, value) == is_output


@pytest.mark.parametrize(
    ("value", "recipe"),
    [
        (lambda z: torch.sin(30 * z), "siren"),
        (lambda z: torch.sin(0.01 * z), "siren"),
        (lambda z: torch.sin(5e-4 * z), ""),
        (lambda z: torch.sin(2e4 * z), ""),
        (lambda z: torch.sin(-z), ""),
        (lambda z: torch.sin((z.abs() + 1) * z), "finer"),
        (lambda z: torch.sin(3 * (z.abs() + 1) * z), "finer"),
        (lambda z: torch.cos(z), ""),
        (lambda z: 1.002 * torch.sin(z), ""),
        (lambda z: torch.tanh(z), ""),
    ],
)
def test_a_sine_is_recognized_by_its_values(value, recipe):
    from initguide.graph.layer_info import LayerInfo

    assert recipe_for_sine(LayerInfo(value, "a function of somebody")) == recipe
    # A label that is known needs no values.
    assert recipe_for_sine(LayerInfo(value, "relu")) == ""
