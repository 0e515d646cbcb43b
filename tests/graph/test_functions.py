"""Activations that a forward writes out, and gated ones, by the signal that a deep stack keeps."""

import math

import pytest
import torch
from models import rms
from torch import nn
from torch.nn import functional as F
from zoo import Between

import initguide as init
from initguide.graph.trace import trace

WIDTH, DEPTH = 256, 12
HALF = WIDTH // 2


class Stack(nn.Module):
    """Linear layers with a function after each, and a head."""

    def __init__(self, function, width=WIDTH, wide=1, depth=DEPTH, norm=False):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, wide * width) for _ in range(depth))
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.head, self.function = nn.Linear(width, 10), function

    def body(self, x):
        for layer in self.layers:
            x = self.function(layer(self.norm(x)))
        return x

    def forward(self, x):
        return self.head(self.body(x))


def initialized(model, x):
    """Return the plan of the first layer, and the rms after all layers."""
    row = init.initialize_(model, seed=0).rows[0]
    with torch.no_grad():
        return row, rms(model.body(x))


def clipped(x):
    x = x.clone()
    x[x < 0] = 0
    return x


def leaking(x):
    x = x.clone()
    x[x < 0] *= 0.01
    return x


# How people write a ReLU, a SiLU, a GELU and a Mish, with the gain at a unit second moment.
WRITTEN = {
    "clamp": (lambda x: x.clamp(min=0), "relu"),
    "clamp by function": (lambda x: torch.clamp(x, 0), "relu"),
    "clamp_min": (lambda x: torch.clamp_min(x, 0.0), "relu"),
    "times its sign": (lambda x: x * (x > 0), "relu"),
    "times a float mask": (lambda x: (x > 0).float() * x, "relu"),
    "where": (lambda x: torch.where(x > 0, x, 0), "relu"),
    "where with zeros": (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), "relu"),
    "maximum": (lambda x: torch.maximum(x, torch.zeros_like(x)), "relu"),
    "maximum of a number": (lambda x: torch.maximum(x, torch.tensor(0.0)), "relu"),
    "the mean with its size": (lambda x: (x + x.abs()) / 2, "relu"),
    "masked_fill": (lambda x: x.masked_fill(x < 0, 0.0), "relu"),
    "an assignment by a mask": (clipped, "relu"),
    "a product by a mask": (leaking, "leaky_relu"),
    "threshold": (lambda x: F.threshold(x, 0.0, 0.0), "relu"),
    "a product with the sigmoid": (lambda x: x.sigmoid() * x, "silu"),
    "a quotient": (lambda x: x / (1 + torch.exp(-x)), "silu"),
    "with erf": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), "gelu"),
    "with tanh": (
        lambda x: (
            0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))
        ),
        "gelu_tanh",
    ),
    "tanh of softplus": (lambda x: x * torch.tanh(F.softplus(x)), "mish"),
}


@pytest.mark.parametrize(("function", "name"), WRITTEN.values(), ids=WRITTEN)
def test_a_function_that_is_written_out_gets_the_gain_of_its_name(function, name):
    x = torch.randn(64, WIDTH, generator=torch.Generator().manual_seed(0))
    row, after = initialized(Stack(function), x)
    assert (row["before"], row["note"]) == (name, None)
    want = init.gain(name, kind="unit") / math.sqrt(WIDTH)
    assert row["std"] == pytest.approx(want, rel=1e-3)
    assert 0.6 < after < 1.5


# Functions without a name, and what they do to a standard normal.
OWN = {
    "a leaky ReLU": lambda x: torch.where(x > 0, x, 0.3 * x),
    "a sum of two": lambda x: torch.relu(x) + torch.tanh(x),
    "scaled": lambda x: 1.7 * F.relu(x / 5),
    "a ReLU without a mean": lambda x: x.relu() - 0.4,
    "a quick GELU": lambda x: x * torch.sigmoid(1.702 * x),
    "a steep SiLU": lambda x: (3 * x).sigmoid() * x,
    "a sum with the signal": lambda x: x + 0.5 * F.relu(x),
}


@pytest.mark.parametrize("function", OWN.values(), ids=OWN)
def test_a_function_without_a_name_keeps_the_signal(function):
    source = torch.Generator().manual_seed(0)
    x = torch.randn(64, WIDTH, generator=source)
    row, after = initialized(Stack(function), x)
    # The oracle: the second moment after one layer on a million normal numbers.
    z = row["std"] * math.sqrt(WIDTH) * torch.randn(10**6, generator=source)
    assert rms(function(z)) == pytest.approx(1, abs=0.01)
    assert 0.6 < after < 1.5


GATED = {
    "F.glu": F.glu,
    "the module": nn.GLU(),
    "halves by chunk": lambda x: x.chunk(2, -1)[0] * torch.sigmoid(x.chunk(2, -1)[1]),
    "halves by slices": lambda x: x[..., :WIDTH] * F.gelu(x[..., WIDTH:]),
    "every second one": lambda x: F.silu(x[..., ::2]) * (x[..., 1::2] + 1),
}


def split_gelu(x):
    gate, value = x.split(WIDTH, -1)
    return F.gelu(gate) * value


def chunked_silu(x):
    gate, value = torch.chunk(x, 2, dim=-1)
    return F.silu(gate) * value


GATED |= {"halves by split": split_gelu, "SwiGLU": chunked_silu}
del GATED["halves by chunk"]


@pytest.mark.parametrize("function", GATED.values(), ids=GATED)
def test_a_gated_function_keeps_a_normed_signal(function):
    """A product of two halves keeps only one size of the signal, which the norms restore."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(64, WIDTH, generator=source)
    row, after = initialized(Stack(function, wide=2, depth=3, norm=True), x)
    z = row["std"] * math.sqrt(WIDTH) * torch.randn(4000, 2 * WIDTH, generator=source)
    assert rms(function(z)) == pytest.approx(1, abs=0.02)
    assert 0.8 < after < 1.25


OUTPUTS = {
    "a soft cap": lambda z: 30 * torch.tanh(z / 30),
    "a soft cap of 50": lambda z: torch.tanh(z / 50.0) * 50.0,
    "sigmoid": torch.sigmoid,
    "softmax": lambda z: z.softmax(-1),
    "log_softmax": lambda z: F.log_softmax(z, dim=-1),
    "a bounded action": lambda z: 2.0 * torch.tanh(z),
    "softplus": F.softplus,
    "exp": torch.exp,
    "hardtanh": lambda z: F.hardtanh(z, -5, 5),
}


class Head(nn.Module):
    def __init__(self, function, classes=4000):
        super().__init__()
        self.stem, self.head, self.function = nn.Linear(300, 256), nn.Linear(256, classes), function

    def forward(self, x):
        return self.function(self.head(torch.relu(self.stem(x))))


@pytest.mark.parametrize("function", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize("classes", [3, 4000])
def test_an_activation_at_the_output_does_not_change_the_head(function, classes):
    rows = {row["parameter"]: row for row in init.plan(Head(function, classes)).rows}
    assert rows["head.weight"]["std"] == pytest.approx(1 / 16)
    assert rows["stem.weight"]["before"] == "relu"


@pytest.mark.parametrize(
    "module", [nn.Sigmoid(), nn.Softmax(-1), nn.Tanh(), nn.LogSoftmax(-1), nn.Softplus()]
)
def test_a_module_at_the_output_does_not_change_the_head(module):
    model = nn.Sequential(nn.Linear(300, 256), nn.Tanh(), nn.Linear(256, 40), module)
    rows = init.plan(model).rows
    stds = [row["std"] for row in rows if row["fan_in"]]
    # Xavier for the hidden tanh, and 1 / sqrt(256).
    assert stds == pytest.approx([1.592537 * math.sqrt(2 / 556), 1 / 16], rel=1e-5)


def test_a_body_that_ends_in_a_rectifier_keeps_its_gain():
    for module in (nn.ReLU(), nn.LeakyReLU(0.2), nn.GELU()):
        (row, _) = init.plan(nn.Sequential(nn.Linear(256, 256), module)).rows
        assert row["std"] == pytest.approx(init.gain(module, "unit") / 16, rel=1e-4)


def test_a_soft_cap_inside_a_network_is_linear():
    for cap in (8.0, 20.0, 30.0):
        info = trace(Between(lambda x, cap=cap: cap * torch.tanh(x / cap))).layer("a")
        assert (info.label, info.note) == ("linear", "")
    info = trace(Between(lambda x: torch.tanh(x / 0.5))).layer("a")
    assert info.label == "tanh"


class Graph(nn.Module):
    """Layers of a graph network: a product with the input's matrix before the activation."""

    def __init__(self, product, bias, depth=8, width=WIDTH):
        super().__init__()
        self.w = nn.ModuleList(nn.Linear(width, width, bias=bias) for _ in range(depth))
        self.product = product

    def forward(self, x, adjacency):
        for w in self.w:
            x = torch.relu(self.product(adjacency, w(x)))
        return x


PRODUCTS = {
    "@": lambda a, x: a @ x,
    "matmul": torch.matmul,
    "mm": lambda a, x: a.mm(x),
    "sparse": torch.sparse.mm,
    "einsum": lambda a, x: torch.einsum("ij,jd->id", a, x),
    "bmm": lambda a, x: torch.bmm(a[None], x[None])[0],
    "by edges": lambda a, x: torch.zeros_like(x).index_add(0, a.argmax(0), x),
}


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_with_an_input_passes_the_signal_on(product, bias):
    model = Graph(product, bias)
    row = init.initialize_(model, seed=0).rows[0]
    assert (row["before"], row["note"]) == ("relu", None)
    x = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert 0.6 < rms(model(x, torch.eye(50))) < 1.5


def test_attention_over_neighbours_passes_the_values_on():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.a, self.out = nn.Linear(256, 256), nn.Linear(256, 1), nn.Linear(256, 4)

        def forward(self, x, adjacency):
            h = self.w(x)
            scores = (self.a(h) + adjacency).softmax(-1)
            return self.out(F.elu(scores @ h))

    found = trace(Attention())
    assert found.layer("w").label == "elu"


def test_an_assignment_to_a_part_or_a_reduction_is_no_activation():
    def padded(x):
        x = x.clone()
        x[:, 0] = 0
        return torch.tanh(x)

    def largest(x):
        return torch.tanh(x.index_reduce(0, torch.arange(4), x, "amax"))

    for function in (padded, largest):
        assert init.plan(Between(function)).rows[0]["before"] == "tanh"


def test_what_is_not_known_states_no_follower():
    for function, name in ((lambda x: x.cumsum(-1), "cumsum"), (lambda x: x.sort()[0], "sort")):
        row = init.plan(Between(function)).rows[0]
        assert row["before"] == "not known"
        assert row["note"] == f"{name} is unknown and treated as linear"


def test_parts_with_different_followers_get_no_gain():
    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.fused = nn.Linear(256, 1024)
            self.conv, self.out = nn.Conv1d(256, 256, 4, groups=256), nn.Linear(256, 256)

        def forward(self, x):
            z, v = torch.split(self.fused(x), 512, -1)
            return self.out(F.silu(z) * self.conv(v))

    row = init.plan(Fused()).rows[0]
    assert row["before"] == "linear"
    assert row["std"] == pytest.approx(1 / 16)
    assert row["note"] == "its parts are followed by silu, Conv1d"
