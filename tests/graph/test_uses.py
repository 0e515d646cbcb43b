"""Less usual uses of a parameter or a signal: in dot products, as a kernel, as a weight."""

import math
import random

import pytest
import torch
from models import generator
from plans import rows, stds
from torch import nn
from torch.distributions import Categorical, Normal
from torch.nn import functional as F

import initguide as init
from initguide.graph.trace import trace

WIDTH = 64


class Uses(nn.Module):
    """A layer, and a parameter that a function of the model and the signal uses."""

    def __init__(self, shape, use, fill=torch.randn):
        super().__init__()
        self.enter, self.free, self.use = nn.Linear(16, WIDTH), nn.Parameter(fill(shape)), use

    def forward(self, x):
        return self.use(self.free, self.enter(x))


def row(shape, use, fill=torch.randn):
    with torch.random.fork_rng():
        return rows(Uses(shape, use, fill))["free"]


DOTS = {
    "a vector": ((WIDTH,), lambda v, x: x @ v, WIDTH),
    "a score of each place": ((WIDTH,), lambda v, x: torch.matmul(torch.tanh(x), v), WIDTH),
    "a sum of products": ((1, WIDTH), lambda v, x: (x * v).sum(-1), WIDTH),
    "heads": ((1, 4, 16), lambda v, x: (v * x.view(-1, 4, 16)).sum(dim=-1), 16),
}


@pytest.mark.parametrize(("shape", "use", "fan_in"), DOTS.values(), ids=DOTS)
def test_a_vector_whose_products_are_summed_is_a_weight(shape, use, fan_in):
    found = row(shape, use)
    assert (found["law"], found["std"]) == ("lecun_normal_", pytest.approx(fan_in**-0.5))


KERNELS = {
    "into heads": ((WIDTH, 4, 8), lambda w, x: x @ w.reshape(x.shape[-1], -1), WIDTH),
    "flat": ((WIDTH, 4, 8), lambda w, x: x @ w.flatten(1), WIDTH),
    "out of heads": ((4, 16, 10), lambda w, x: torch.matmul(x, w.view(-1, x.shape[-1])), WIDTH),
    "moved first": ((4, 8, WIDTH), lambda w, x: x @ w.permute(2, 0, 1).reshape(WIDTH, 32), WIDTH),
    "as rows": ((10, 16, 4), lambda w, x: F.linear(x, w.flatten(1)), WIDTH),
}


@pytest.mark.parametrize(("shape", "use", "fan_in"), KERNELS.values(), ids=KERNELS)
def test_a_kernel_that_the_forward_makes_a_matrix_has_the_fans_of_the_matrix(shape, use, fan_in):
    found = row(shape, use)
    assert (found["fan_in"], found["std"]) == (fan_in, pytest.approx(fan_in**-0.5))


def test_a_mean_by_a_softmax_reads_one_vector():
    memory = row((100, WIDTH), lambda w, x: x @ w.T @ torch.ones(100, 1), torch.randn)
    assert memory["fan_in"] == WIDTH
    for mix in (torch.softmax, lambda x, dim: F.dropout(F.gumbel_softmax(x, dim=dim), 0.1)):
        found = row((WIDTH, 32), lambda w, x, mix=mix: mix(x, -1) @ w)
        assert (found["fan_in"], found["std"]) == (1, 1)


NUMBERS = {
    "a flow": lambda s, x: (x * s.exp(), s.sum()),
    "the mean as well": lambda s, x: (x / torch.exp(s), s.mean().expand(len(x))),
    "noise": lambda s, x: x + s.exp() * torch.randn(len(x), WIDTH),
    "noise around a vector": lambda s, x: F.relu(x + torch.randn(WIDTH) * F.softplus(s)),
    "a modulus": lambda s, x: x * torch.sqrt(1 - torch.exp(-s.exp()) ** 2),
    "an angle": lambda s, x: x * torch.cos(s.exp()) + x.flip(-1) * torch.sin(s.exp()),
    "a product of two": lambda s, x: x * torch.exp((s * s).sum(-1)),
}


@pytest.mark.parametrize("use", NUMBERS.values(), ids=NUMBERS)
def test_a_scale_in_logarithms_keeps_its_value(use):
    assert row((WIDTH,), use, torch.zeros)["law"] == "keep_"


TABLES = {
    "a constant image": ((1, 8, 4, 4), lambda c, x: F.conv2d(c, x.new_ones(3, 8, 1, 1)), 1),
    "a code": ((16,), lambda c, x: x + F.linear(c, torch.ones(WIDTH, 16)), 1),
    "a token beside others": ((1, WIDTH), lambda c, x: torch.cat([c, x]), 0.02),
}


@pytest.mark.parametrize(("shape", "use", "std"), TABLES.values(), ids=TABLES)
def test_what_a_layer_reads_alone_has_unit_scale(shape, use, std):
    assert row(shape, use)["std"] == std


class Hyper(nn.Module):
    """A code gives the weight of an operation."""

    def __init__(self, use, size):
        super().__init__()
        self.code, self.make, self.use = nn.Linear(4, 16), nn.Linear(16, size), use

    def forward(self, x, code):
        return torch.tanh(self.use(x, self.make(F.relu(self.code(code)))))


GENERATED = {
    "linear": (lambda x, w: F.linear(x, w.view(8, 3)), 24),
    "convolution": (lambda x, w: F.conv2d(x, weight=w.reshape(8, 3, 3, 3), padding=1), 216),
    "by batch": (lambda x, w: torch.bmm(x, w.view(-1, 3, 8)), 24),
}


@pytest.mark.parametrize(("use", "size"), GENERATED.values(), ids=GENERATED)
def test_what_is_used_as_a_weight_has_no_follower(use, size):
    found = rows(Hyper(use, size))
    assert found["make.weight"]["before"] == "not known"
    assert found["make.weight"]["note"].startswith("its output is the weight of a product")
    assert found["code.weight"]["before"] == "relu"


class HyperAfter(Hyper):
    """The operation reads a layer."""

    def __init__(self, use, size):
        super().__init__(use, size)
        self.body = nn.Linear(5, 3)

    def forward(self, x, code):
        return torch.tanh(self.use(self.body(x), self.make(F.relu(self.code(code)))))


AFTER_LAYERS = {
    "by batch": lambda x, w: torch.bmm(F.relu(x)[:, None], w.view(-1, 3, 8)),
    "an Einstein sum": lambda x, w: torch.einsum("bi,boi->bo", x, w.reshape(len(x), 8, 3)),
    "weight first": lambda x, w: w.unflatten(-1, (8, 3)) @ F.gelu(x).unsqueeze(-1),
}


@pytest.mark.parametrize("use", AFTER_LAYERS.values(), ids=AFTER_LAYERS)
def test_a_layer_may_come_before_the_product_with_a_weight_that_a_network_makes(use):
    found = rows(HyperAfter(use, 24))
    assert found["make.weight"]["before"] == "not known"
    assert found["make.weight"]["note"].startswith("its output is the weight of a product")
    assert found["body.weight"]["before"] in ("relu", "gelu", "linear")


ATTENTIONS = {
    "heads": lambda q, k: q.view(2, 4, 8) @ k.view(2, 4, 8).mT,
    "an Einstein sum": lambda q, k: torch.einsum(
        "bhd,bgd->bhg", q.reshape(2, 4, 8), k.reshape(2, 4, 8)
    ),
    "no softmax": lambda q, k: F.elu(q.view(2, 4, 8)).mT @ k.unflatten(-1, (4, 8)),
    "one head": lambda q, k: q @ k.mT,
}


@pytest.mark.parametrize("use", ATTENTIONS.values(), ids=ATTENTIONS)
def test_attention_makes_no_weights(use):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k = nn.Linear(6, 32), nn.Linear(6, 32)

        def forward(self, x):
            return use(self.q(x), self.k(x))

    found = rows(Attention())
    assert {found[f"{name}.weight"]["before"] for name in "qk"} <= {"linear", "elu"}
    assert not any("weight of a product" in (row["note"] or "") for row in found.values())


def test_a_bias_by_a_network_is_added():
    found = rows(Hyper(lambda x, b: F.conv2d(x, torch.ones(8, 3, 3, 3), b), 8))
    assert found["make.weight"]["before"] == "output"
    low = rows(Adapted())
    assert low["down"]["before"] == "linear"


class Adapted(nn.Module):
    """A sum of a weight and a product of two small ones."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, 16, generator=generator(0)))
        self.down = nn.Parameter(torch.randn(4, 16, generator=generator(1)))
        self.up = nn.Parameter(torch.zeros(WIDTH, 4))

    def forward(self, x):
        return F.linear(x, self.weight + self.up @ self.down)


class Encoder(nn.Module):
    """An encoder and a decoder around a distribution."""

    def __init__(self, kind):
        super().__init__()
        self.body = nn.Linear(16, WIDTH)
        self.one, self.two, self.after = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.kind = kind

    def forward(self, x):
        h = torch.tanh(self.body(x))
        if self.kind is Categorical:
            return Categorical(logits=self.one(h)), torch.relu(self.after(self.two(h)))
        z = Normal(self.one(h), F.softplus(self.two(h))).rsample()
        return Normal(torch.relu(self.after(z)), 1.0)


@pytest.mark.parametrize("kind", [Normal, Categorical])
def test_a_distribution_does_not_end_the_trace(kind):
    checks = Normal._validate_args
    found = rows(Encoder(kind))
    assert Normal._validate_args == checks
    assert found["body.weight"]["before"] == "tanh"
    assert found["one.weight"]["before"] == "linear"
    assert found["after.weight"]["before"] == "relu"


class Dropping(nn.Module):
    """Blocks that training leaves out by chance."""

    def __init__(self, drops):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 16))
            for _ in range(12)
        )
        self.drops = drops

    def forward(self, x):
        for block in self.blocks:
            if self.training and self.drops():
                continue
            x = x + block(x)
        return x


DROPS = {
    "random": lambda: random.random() > 0.7,
    "torch": lambda: torch.rand([]) < 0.3,
    "one value": lambda: torch.rand(1).item() < 0.3,
}


@pytest.mark.parametrize("drops", DROPS.values(), ids=DROPS)
def test_chance_leaves_no_block_out_of_a_plan(drops):
    model, draw = Dropping(drops), random.random
    assert trace(model).branch_count == 12
    assert trace(model, torch.ones(2, 16)).branch_count == 12
    assert (random.random, torch.rand.__name__) == (draw, "rand")
    first, second = stds(model), stds(model)
    assert first == second
    init.initialize_(model, seed=0)
    init.audit(model).assert_ok()


class Divided(nn.Module):
    """A stream whose every sum is divided, so that it keeps its size."""

    def __init__(self, divide, depth=12):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.SiLU())
            for _ in range(depth)
        )
        self.ends = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        self.divide = divide

    def forward(self, x):
        for block, end in zip(self.blocks, self.ends, strict=True):
            x = self.divide(x + end(block(x)))
        return x


DIVIDED = {
    "a product": (lambda x: x * 0.5**0.5, 1),
    "a quotient": (lambda x: x / math.sqrt(2), 1),
    "another number": (lambda x: 0.8 * x, 0.75),
    "not divided": (lambda x: x, 12**-0.5),
}


@pytest.mark.parametrize(("divide", "times"), DIVIDED.values(), ids=DIVIDED)
def test_a_stream_that_is_divided_gets_branches_of_full_size(divide, times):
    model = Divided(divide)
    init.initialize_(model, seed=0)
    assert stds(model)["ends.3.weight"] == pytest.approx(times * WIDTH**-0.5, rel=1e-5)
    with torch.no_grad():
        y = model(torch.randn(64, WIDTH, generator=generator(0)))
    assert 0.7 < y.square().mean().sqrt() < 1.6


class Modulated(nn.Module):
    """Two branches with gates that one layer computes from a condition."""

    def __init__(self, from_stream):
        super().__init__()
        self.condition, self.from_stream = nn.Linear(WIDTH, 2 * WIDTH), from_stream
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.one, self.two = (nn.Linear(WIDTH, WIDTH) for _ in range(2))

    def forward(self, x, c):
        a, b = self.condition(x if self.from_stream else F.silu(c)).chunk(2, -1)
        x = x + a.unsqueeze(1) * self.one(self.norms[0](x))
        return x + b.unsqueeze(1) * self.two(self.norms[1](x))


@pytest.mark.parametrize("from_stream", [True, False])
def test_both_branches_with_gates_of_one_layer_are_found(from_stream):
    found = trace(Modulated(from_stream))
    assert [found.layer(n).ends for n in ("one", "two")] == [True, True]
    assert found.branch_count == 2
