"""`measure` on sound starts of rarer kinds, which have no findings, and on faults beside them."""

import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init

WIDTH = 64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kinds(model, *inputs, loss=None):
    report = init.measure(model, *inputs, loss=loss or mixed)
    assert str(report)
    return [found.kind for found in report.findings]


def mixed(output):
    first = output[0] if isinstance(output, tuple) else output
    return (first * normal(*first.shape, seed=3)).mean()


class Coupling(nn.Module):
    """An affine coupling that starts as the identity, with a learned factor of the logarithm."""

    def __init__(self, width, factor):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * width))
        nn.init.zeros_(self.body[2].weight)
        self.scale, self.factor = nn.Parameter(torch.ones(width)), factor

    def forward(self, x):
        left, right = x.chunk(2, -1)
        log, shift = self.body(left).chunk(2, -1)
        log = self.factor(log, self.scale)
        return torch.cat([right * log.exp() + shift, left], -1), log.sum(-1)


class Flow(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.steps = nn.ModuleList(Coupling(8, factor) for _ in range(4))

    def forward(self, x):
        total = 0
        for step in self.steps:
            x, log = step(x)
            total = total + log
        return x, total


@pytest.mark.parametrize(
    "factor",
    [lambda log, scale: torch.tanh(log) * scale, lambda log, scale: torch.tanh(scale * log)],
)
def test_couplings_of_zeros_before_a_factor(factor):
    model = Flow(factor)

    def likelihood(output):
        return output[0].square().sum(-1).mean() / 2 - output[1].mean()

    assert kinds(model, normal(64, 16), loss=likelihood) == []


def test_zeros_that_cut_the_network_before_a_factor_are_found():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(WIDTH))

        def forward(self, x):
            return x * self.scale

    first = nn.Linear(WIDTH, WIDTH)
    nn.init.zeros_(first.weight)
    model = nn.Sequential(first, Scaled(), nn.Tanh(), nn.Linear(WIDTH, 4))
    assert "zero layer" in kinds(model, normal(32, WIDTH))


class Modulated(nn.Module):
    """A block of a U-Net, whose condition scales and shifts a norm."""

    def __init__(self, width, is_modulated):
        super().__init__()
        self.is_modulated = is_modulated
        self.first, self.last = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.condition, self.skip = nn.Linear(WIDTH, 2 * width), nn.Conv2d(width, width, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in range(2))

    def forward(self, x, c):
        scale, shift = self.condition(F.silu(c))[..., None, None].chunk(2, 1)
        h = self.first(F.silu(self.norms[0](x)))
        h = self.norms[1](h)
        h = h * (1 + scale) + shift if self.is_modulated else h
        return self.skip(x) + self.last(F.silu(h))


def test_a_shift_of_a_norm_is_no_skip():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.stem = nn.Linear(8, WIDTH), nn.Conv2d(3, 32, 3, padding=1)
            self.blocks = nn.ModuleList(Modulated(32, i < 4) for i in range(10))
            self.norm, self.head = nn.GroupNorm(4, 32), nn.Conv2d(32, 3, 1)

        def forward(self, x, c):
            x, c = self.stem(x), self.embed(c)
            for block in self.blocks:
                x = block(x, c)
            return self.head(F.silu(self.norm(x)))

    model = Net()
    init.initialize_(model, seed=0)
    report = init.measure(model, normal(4, 3, 8, 8), normal(4, 8), loss=mixed)
    assert report.findings == []


class Gated(nn.Module):
    """A gated MLP, whose gate over the positions starts at one (Liu et al., 2021)."""

    def __init__(self, width=WIDTH, length=12):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.gate = nn.Linear(length, length)
        nn.init.normal_(self.gate.weight, std=1e-6)
        nn.init.ones_(self.gate.bias)

    def forward(self, x):
        u, v = F.gelu(self.into(self.norm(x))).chunk(2, -1)
        return x + self.out(u * self.gate(self.inner(v).transpose(-1, -2)).transpose(-1, -2))


def test_a_gate_that_starts_at_one():
    blocks = [Gated() for _ in range(6)]
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), *blocks, nn.LayerNorm(WIDTH))
    assert "input ignored" not in kinds(model, normal(8, 12, WIDTH))


@pytest.mark.parametrize("size", [1e-5, 1e-2])
def test_small_factors_after_norms_beside_factors_after_layers(size):
    class Block(nn.Module):
        def __init__(self, normed):
            super().__init__()
            self.norm = nn.LayerNorm(WIDTH)
            self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
            self.after = nn.LayerNorm(WIDTH) if normed else nn.Identity()
            self.gamma = nn.Parameter(torch.full((WIDTH,), size))

        def forward(self, x):
            return x + self.after(self.body(self.norm(x))) * self.gamma

    blocks = [Block(normed=i < 4) for i in range(8)]
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), *blocks, nn.LayerNorm(WIDTH))
    assert kinds(model, normal(32, WIDTH)) == []


def test_two_complex_layers_of_one_shape():
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(normal(8, 8) / 8 + 1j * normal(8, 8, seed=1) / 8)

        def forward(self, x):
            return torch.fft.irfft(torch.fft.rfft(x) @ self.w, n=14)

    model = nn.Sequential(nn.Linear(14, 14), Spectral(), Spectral())
    assert "cloned layers" in kinds(model, normal(16, 14))


@pytest.mark.parametrize("loss", [lambda y: y, lambda y: 2 * y])
def test_a_model_that_returns_its_loss_after_a_parameter(loss):
    class Weighed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.log_variance = nn.Linear(WIDTH, 4), nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return (-self.log_variance[0]).exp() * self.body(x).square().mean()

    assert kinds(Weighed(), normal(16, WIDTH), loss=loss) == []


@pytest.mark.parametrize("times", [60.0, 300.0])
def test_the_logits_of_a_head_by_function_are_those_of_the_loss(times):
    class Cosine(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.w = nn.Linear(WIDTH, WIDTH), nn.Parameter(normal(50, WIDTH))

        def forward(self, x):
            return times * F.linear(F.normalize(self.body(x)), F.normalize(self.w))

    targets = torch.arange(200) % 50
    model, x = Cosine(), normal(200, WIDTH)
    report = init.measure(model, x, loss=lambda y: F.cross_entropy(y, targets))
    (found,) = report.findings
    with torch.no_grad():
        size, inner = (y.square().mean().sqrt().item() for y in (model(x), model.body(x)))
    assert size == pytest.approx(times / math.sqrt(WIDTH), rel=0.1)
    assert f"the logits have rms {size:.3g}, and" in found.message
    assert found.message.endswith(f"measured {inner:.3g}")
    assert found.hint.startswith("not understood")


class ScaledNorm(nn.Module):
    """A norm by function, and a factor of the model's own."""

    def __init__(self, factor):
        super().__init__()
        self.a, self.b = nn.Linear(32, WIDTH), nn.Linear(WIDTH, 10)
        self.own = nn.Parameter(torch.full((WIDTH,), factor))

    def forward(self, x):
        return self.b(F.layer_norm(self.a(x), (WIDTH,)) * self.own)


# The factor of a norm is near one, or zero. LayerScale starts at 0.1 and below.
@pytest.mark.parametrize(
    ("factor", "measured"), [(1.0, False), (0.21, False), (0.19, True), (1e-6, True), (0.0, False)]
)
def test_only_a_small_factor_after_a_norm_has_a_row(factor, measured):
    report = init.measure(ScaledNorm(factor), normal(64, 32))
    found = {row["layer"]: row["rms"] for row in report.rows}
    assert [*found] == (["a", "own", "b"] if measured else ["a", "b"])
    if measured:
        # After a norm the signal has rms 1.
        assert found["own"] == pytest.approx(factor, rel=0.01)


class Pairs(nn.Module):
    """Logits are cosines of two codes, times a factor in logarithms or a temperature."""

    def __init__(self, factor, *, inverse):
        super().__init__()
        self.one, self.two = nn.Linear(WIDTH, 64), nn.Linear(WIDTH, 64)
        self.factor, self.inverse = nn.Parameter(torch.tensor(float(factor))), inverse

    def forward(self, x, y):
        x, y = F.normalize(self.one(x), dim=-1), F.normalize(self.two(y), dim=-1)
        return x @ y.T / self.factor if self.inverse else self.factor.exp() * x @ y.T


@pytest.mark.parametrize("inverse", [False, True])
def test_a_factor_that_makes_logits_large_is_named(inverse):
    def found(factor):
        model = Pairs(1 / factor if inverse else math.log(factor), inverse=inverse)
        init.initialize_(model, seed=0)
        targets = torch.arange(64)
        loss = functools.partial(F.cross_entropy, target=targets)
        report = init.measure(model, normal(64, WIDTH), normal(64, WIDTH), loss=loss)
        return [(each.kind, each.where) for each in report.findings]

    assert found(14) == []
    assert found(3000) == [("large outputs", "factor")]
