"""Subclasses of torch's layers with a forward of their own, and weights that are computed."""

import math

import pytest
import torch
from models import rms
from torch import nn
from torch.nn import functional as F

import initguide as init

WIDTH = 64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows_of(model, **options):
    return {row["parameter"]: row for row in init.initialize_(model, seed=0, **options).rows}


# Equalized learning rates.


class ScaledLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight * self.in_features**-0.5, self.bias)


class ScaledConv(nn.Conv2d):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.c = self.weight[0].numel() ** -0.5

    def forward(self, x):
        return self._conv_forward(x, self.c * self.weight, self.bias)


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda out=WIDTH: ScaledLinear(WIDTH, out), normal(100, WIDTH)),
        (lambda out=WIDTH: ScaledConv(WIDTH, out, 1), normal(8, WIDTH, 5, 5)),
    ],
)
def test_a_subclass_that_scales_its_weight(make, x):
    model = nn.Sequential(*(part for _ in range(4) for part in (make(), nn.ReLU())), make(4))
    rows = rows_of(model)
    assert rows["0.weight"]["std"] == pytest.approx(math.sqrt(2))
    assert rows["8.weight"]["std"] == pytest.approx(1)
    assert rows["0.weight"]["before"] == "relu"
    assert rows["0.weight"]["note"].endswith("which the forward multiplies by 0.125")
    with torch.no_grad():
        assert 0.4 < rms(model(x)) < 2.5
    assert init.audit(model).findings == []


def test_a_subclass_that_scales_its_weight_at_the_end_of_a_branch():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.up = nn.LayerNorm(WIDTH), ScaledLinear(WIDTH, WIDTH)
            self.down = ScaledLinear(WIDTH, WIDTH)

        def forward(self, x):
            return x + self.down(F.relu(self.up(self.norm(x))))

    rows = rows_of(nn.Sequential(*(Block() for _ in range(4)), nn.LayerNorm(WIDTH)))
    assert rows["0.up.weight"]["std"] == pytest.approx(init.gain("relu"))
    assert rows["0.down.weight"]["std"] == pytest.approx(0.5)


def test_a_subclass_that_only_pads_is_its_layer():
    class Same(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(F.pad(x, (1, 1, 1, 1)), self.weight, self.bias)

    rows = rows_of(nn.Sequential(Same(4, 8, 3), nn.ReLU(), Same(8, 2, 3)))
    assert rows["0.weight"]["law"] == "kaiming_normal_"
    assert not rows["0.weight"]["note"]


def test_the_gain_of_a_standardized_convolution_is_a_scale():
    class Standardized(nn.Conv2d):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

        def forward(self, x):
            w = self.weight
            var, mean = torch.var_mean(w, (1, 2, 3), keepdim=True)
            factor = torch.rsqrt(torch.clamp(var * w[0].numel(), min=1e-4)) * self.gain
            return F.conv2d(x, (w - mean) * factor, self.bias)

    rows = rows_of(nn.Sequential(Standardized(4, 8, 3), nn.ReLU()), keep_deliberate=False)
    assert (rows["0.gain"]["law"], rows["0.gain"]["note"]) == ("ones_", "treated as a scale")


# Adapters.


class Beside(nn.Linear):
    """LoRA in a subclass, with its product beside the weight."""

    def __init__(self, into, out):
        super().__init__(into, out)
        self.A, self.B = nn.Parameter(normal(4, into)), nn.Parameter(torch.zeros(out, 4))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias) + x @ self.A.T @ self.B.T * 4


class Merged(Beside):
    """The product is added to the weight."""

    def forward(self, x):
        return F.linear(x, self.weight + 4 * self.B @ self.A, self.bias)


class MergedBeside(nn.Module):
    """The layer is a part of the adapter."""

    def __init__(self, into, out):
        super().__init__()
        self.inner = nn.Linear(into, out)
        self.A, self.B = nn.Parameter(normal(into, 4)), nn.Parameter(torch.zeros(4, out))

    def forward(self, x):
        return F.linear(x, self.inner.weight + (self.A @ self.B).T, self.inner.bias)


@pytest.mark.parametrize("kind", [Beside, Merged, MergedBeside])
def test_an_adapter_keeps_its_zeros_and_reads_its_input(kind):
    model = nn.Sequential(kind(WIDTH, WIDTH), nn.ReLU(), kind(WIDTH, 8))
    rows = rows_of(model)
    weight = "0.inner.weight" if kind is MergedBeside else "0.weight"
    for name in ("0.B", "2.B"):
        assert rows[name]["note"].startswith("kept: all zero")
        assert not model.get_parameter(name).any()
        # One over the root of the inputs of the adapter.
        assert rows[name[:2] + "A"]["std"] == pytest.approx(1 / 8)
    assert rows[weight]["std"] == pytest.approx(math.sqrt(2) / 8, rel=0.05)
    assert rows[weight]["before"] == "relu"
    assert init.audit(model).findings == []


@pytest.mark.parametrize("turned", [False, True])
def test_a_product_of_two_weights_has_one_gain(turned):
    class LowRank(nn.Module):
        def __init__(self):
            super().__init__()
            self.u, self.v = nn.Parameter(normal(WIDTH, 16)), nn.Parameter(normal(16, WIDTH))

        def forward(self, x):
            return x @ (self.u @ self.v) if turned else F.linear(x, self.u @ self.v)

    layers = [part for _ in range(6) for part in (LowRank(), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(WIDTH, 4))
    rows = rows_of(model)
    reads, writes = ("u", "v") if turned else ("v", "u")
    assert rows[f"0.{reads}"]["std"] == pytest.approx(1 / 8)
    assert rows[f"0.{writes}"]["std"] == pytest.approx(init.gain("relu") / 4)
    with torch.no_grad():
        assert 0.3 < rms(model(normal(100, WIDTH))) < 3


def test_two_zeros_in_a_product_are_drawn():
    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(WIDTH, WIDTH)
            self.a, self.b = nn.Parameter(normal(4, WIDTH)), nn.Parameter(normal(WIDTH, 4))
            nn.init.zeros_(self.a)
            nn.init.zeros_(self.b)

        def forward(self, x):
            return F.linear(x, self.inner.weight + self.b @ self.a)

    rows = rows_of(Dead())
    assert not [name for name, row in rows.items() if "kept" in (row["note"] or "")]


# Noise.


class Noisy(nn.Linear):
    def __init__(self, into, out):
        super().__init__(into, out)
        self.sigma = nn.Parameter(torch.full((out, into), 0.017))
        self.register_buffer("noise", normal(out, into))

    def forward(self, x):
        return F.linear(x, self.weight + self.sigma * self.noise, self.bias)


class Bayes(nn.Module):
    def __init__(self, into, out):
        super().__init__()
        self.weight = nn.Parameter(normal(out, into))
        self.rho = nn.Parameter(torch.full((out, into), -5.0))

    def forward(self, x):
        std = F.softplus(self.rho)
        return F.linear(x, self.weight + std * torch.randn_like(std))


@pytest.mark.parametrize(("kind", "scale"), [(Noisy, "sigma"), (Bayes, "rho")])
def test_the_scale_of_noise_that_an_author_set_is_kept_and_is_no_fault(kind, scale):
    model = nn.Sequential(kind(WIDTH, WIDTH), nn.ReLU(), kind(WIDTH, 4))
    rows = rows_of(model)
    assert rows["0.weight"]["std"] == pytest.approx(math.sqrt(2) / 8, rel=0.02)
    assert rows[f"0.{scale}"]["note"].startswith("kept: all ")
    assert init.audit(model).findings == []


def test_equal_weights_are_still_a_fault():
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    nn.init.constant_(model[0].weight, 0.3)
    found = {each.where: each.kind for each in init.audit(model).findings}
    assert found["0.weight"] == "constant"


# Other weights that are computed, or used twice.


def test_the_first_use_of_a_weight_decides():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(normal(64, 400))

        def forward(self, x):
            return torch.relu(x @ self.w.t()) @ self.w

    class Decoder(Encoder):
        def forward(self, x):
            return torch.tanh(F.linear(F.linear(x, self.w).relu(), self.w.mT))

    for kind in (Encoder, Decoder):
        (row,) = init.plan(kind()).rows
        assert (row["fan_in"], row["before"]) == (400, "relu")


@pytest.mark.parametrize(
    "head",
    [
        lambda x, w: F.linear(F.normalize(x), F.normalize(w)),
        lambda x, w: x @ F.normalize(w, dim=1).T,
        lambda x, w: F.linear(x, w / w.norm(dim=1, keepdim=True)),
    ],
)
def test_the_normalized_weight_of_a_head_is_a_weight(head):
    class Cosine(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.w = nn.Linear(8, 64), nn.Parameter(normal(10, 64))

        def forward(self, x):
            return 16 * head(self.body(x), self.w)

    assert rows_of(Cosine())["w"]["std"] == pytest.approx(1 / 8)
