"""The operations of a graph: their names, what they read and write, and what depends on what."""

import operator

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from initguide.activations import function_of
from initguide.graph.classify import activation_of_call, classify_elementwise, is_elementwise
from initguide.graph.operations import (
    depends_on,
    function_name,
    is_norm_call,
    is_own_norm,
    is_softmax,
    is_write,
    leads_to,
    operation_name,
    value_inputs,
)
from initguide.graph.trace import trace

GRAPH = fx.Graph()
X, Y, Z = (GRAPH.placeholder(name) for name in "xyz")


def call(function, *args, **kwargs):
    make = GRAPH.call_method if isinstance(function, str) else GRAPH.call_function
    return make(function, args, kwargs)


def of_module(module, *args):
    node = GRAPH.create_node("call_module", "m", args)
    node.meta["module"] = module
    return node


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (torch.relu, "relu"),
        (torch.relu_, "relu"),
        (operator.add, "add"),
        (operator.iadd, "iadd"),
        ("__radd__", "radd"),
        ("mul_", "mul"),
        (torch.special.erf, "erf"),
        (torch.ops.aten.linear.default, "linear"),
    ],
)
def test_a_function_has_its_name_without_underscores(target, name):
    assert function_name(target) == name
    assert operation_name(call(target, X)) == name


READS = {
    "all": (call(torch.add, X, Y), [X, Y]),
    "no signal": (call(torch.argmax, X), []),
    "a shape": (call("size", X), []),
    "places of items": (call(operator.getitem, X, Y), [X]),
    "places": (call(torch.gather, X, 1, Y), [X]),
    "the shape of the second": (call("view_as", X, Y), [X]),
    "the type of the second": (call("type_as", X, Y), [X]),
    "a write at places": (call(operator.setitem, X, Y, Z), [X, Z]),
    "a sum at places": (call("index_add", X, 0, Y, Z), [X, Z]),
    "a write of a number": (call("scatter", X, 0, Y, 1.0), [X, Y]),
    "a write without tensors": (call("scatter"), []),
}


@pytest.mark.parametrize(("node", "inputs"), READS.values(), ids=READS)
def test_the_inputs_that_carry_a_signal(node, inputs):
    assert value_inputs(node) == inputs


class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.m, self.n = nn.ReLU(inplace=True), nn.ReLU()


WRITES = {
    "a name": (call("mul_", X, Y), True),
    "a function": (call(torch.relu_, X), True),
    "an item": (call(operator.setitem, X, 0, Y), True),
    "an option": (call(F.relu, X, inplace=True), True),
    "an option that is off": (call(F.relu, X, inplace=False), False),
    "no write": (call("mul", X, Y), False),
    "a special method": (call("__radd__", X, Y), False),
    "a module": (GRAPH.call_module("m", (X,)), True),
    "another module": (GRAPH.call_module("n", (X,)), False),
}


@pytest.mark.parametrize(("node", "writes"), WRITES.values(), ids=WRITES)
def test_an_operation_may_write_to_its_first_argument(node, writes):
    assert is_write(node, Root()) == writes
    assert is_write(node) == (writes and node.op != "call_module")


def squares(x):
    return call(torch.mean, call("pow", x, 2))


LONG = call(torch.sqrt, squares(X))
for _ in range(20):
    LONG = call(torch.abs, LONG)
NORMS = {
    "by the root of a mean": (call(torch.div, X, call(torch.sqrt, squares(X))), True),
    "by the inverse root": (call(torch.mul, X, call(torch.rsqrt, squares(X))), True),
    "size first": (call(torch.mul, call(torch.rsqrt, squares(X)), X), True),
    "by a norm": (call(operator.truediv, X, call("norm", X)), True),
    "by a std": (call(operator.truediv, X, call(torch.std, X)), True),
    "of another signal": (call(torch.div, X, call(torch.sqrt, squares(Y))), False),
    "with another signal": (call(torch.div, X, call(torch.add, call("norm", X), Y)), False),
    "without a root": (call(torch.div, X, call(torch.mean, call(torch.abs, X))), False),
    "without a reduction": (call(torch.div, X, call(torch.sqrt, X)), False),
    "a sum": (call(torch.add, X, call("norm", X)), False),
    "a number": (call(torch.div, X, 2.0), False),
    "itself": (call(torch.mul, X, X), False),
    "a module between": (call(torch.div, X, call("norm", of_module(nn.ReLU(), X))), False),
    "far away": (call(torch.div, X, LONG), False),
}


@pytest.mark.parametrize(("node", "is_norm"), NORMS.values(), ids=NORMS)
def test_a_signal_that_is_divided_by_its_own_size(node, is_norm):
    assert is_own_norm(node) == is_norm


def test_norms_and_softmaxes_by_function_or_module():
    assert is_norm_call(call(F.layer_norm, X, (4,)))
    assert is_norm_call(call(F.rms_norm, X, (4,)))
    assert not is_norm_call(call("norm", X))
    assert not is_norm_call(call("layer_norm", X))
    assert not is_norm_call(call(torch.relu, X))
    assert is_softmax(call(torch.softmax, X, 1))
    assert is_softmax(call("softmax", X, 1))
    assert is_softmax(of_module(nn.Softmax(1), X))
    assert not is_softmax(of_module(nn.LogSoftmax(1), X))
    assert not is_softmax(call(torch.log_softmax, X, 1))


def test_what_depends_on_a_node_and_on_what_it_depends():
    graph = fx.Graph()
    x, y = graph.placeholder("x"), graph.placeholder("y")
    a = graph.call_function(torch.relu, (x,))
    b = graph.call_function(torch.add, (a, y))
    c = graph.call_function(torch.abs, (b,))
    assert depends_on([x], graph.nodes) == {x, a, b, c}
    assert depends_on([y], graph.nodes) == {y, b, c}
    assert depends_on([x], graph.nodes, {b}) == {x, a}
    assert depends_on([x], graph.nodes, {a}) == {x}
    assert leads_to([c], graph.nodes) == {x, y, a, b, c}
    assert leads_to([a], graph.nodes) == {x, a}
    assert leads_to([c], graph.nodes, {b}) == {c}
    assert leads_to([c], graph.nodes, {a}) == {c, b, y}


class Function(nn.Module):
    def __init__(self, function, part=None):
        super().__init__()
        self.function, self.part = function, None if part is None else nn.Parameter(part)

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (Function(torch.tanh), "activation"),
        (Function(lambda x: 3 * x), "pass"),
        (Function(lambda x: -x), "pass"),
        (Function(lambda x: x + 1), "activation"),
        (Function(lambda x: x.mean(-1)), None),
        (Function(lambda x: x.no_such_method()), None),
        (Function(torch.tanh, torch.ones(())), "activation"),
        (Function(torch.tanh, torch.ones(2)), None),
        (Function(torch.tanh, torch.ones((), device="meta")), None),
        (nn.Sequential(nn.ReLU()), None),
    ],
)
def test_a_function_of_each_entry_is_recognized_by_its_values(module, kind):
    assert classify_elementwise(module) == kind


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.ReLU(), True),
        (nn.GLU(), True),
        (nn.PReLU(), True),
        (Function(torch.tanh), True),
        (Function(lambda x: 3 * x), True),
        (nn.Identity(), False),
        (nn.Dropout(), False),
        (nn.LayerNorm(4), False),
        (nn.Linear(4, 4), False),
        (nn.Softmax(1), False),
        (Function(lambda x: x.mean(-1)), False),
    ],
)
def test_functions_of_each_entry_are_no_layers_or_norms(module, expected):
    assert is_elementwise(module) == expected


class Reflected(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        return 5.0 / (2.0 - self.a(x)) + 3.0 * x


@pytest.mark.parametrize("example", [None, torch.ones(2, 4)])
def test_a_number_before_a_tensor_stays_before_it(example):
    ((_, graph),) = trace(Reflected(), example).graphs
    found = {operation_name(n): n.args for n in graph.nodes if n.op == "call_function"}
    names = {"sub", "rsub"} & found.keys(), {"truediv", "rtruediv"} & found.keys()
    for (name,), number in zip(names, (2.0, 5.0), strict=True):
        # A reflected operation has the number second.
        assert found[name].index(number) == (1 if name.startswith("r") else 0)


Z_VALUES = torch.linspace(-3, 3, 31, dtype=torch.float64)
ACTIVATIONS = {
    "a function": (call(torch.relu, X), torch.relu),
    "a method": (call("tanh", X), torch.tanh),
    "a sine": (call(torch.sin, X), torch.sin),
    "a slope": (call(F.leaky_relu, X, 0.2), lambda z: F.leaky_relu(z, 0.2)),
    "a slope by name": (
        call(F.leaky_relu, X, negative_slope=0.2),
        lambda z: F.leaky_relu(z, 0.2),
    ),
    "in place": (call(F.elu, X, alpha=2.0, inplace=True), lambda z: F.elu(z, 2.0)),
    "only in place": (call(F.elu, X, inplace=True), F.elu),
    "two bounds": (call(F.hardtanh, X, -2.0, max_val=0.5), lambda z: F.hardtanh(z, -2.0, 0.5)),
    "a method with an option": (
        call("hardshrink", X, 0.7),
        lambda z: F.hardshrink(z, 0.7),
    ),
    "an option of the model": (call(F.leaky_relu, X, Y), F.leaky_relu),
}


@pytest.mark.parametrize(("node", "right"), ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_the_activation_of_a_call_has_its_options(node, right):
    found = function_of(activation_of_call(operation_name(node), node))
    torch.testing.assert_close(found(Z_VALUES.clone()), right(Z_VALUES.clone()))
