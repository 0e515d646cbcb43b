"""Modules outside torch are recognized by their computation: norms and linear layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initguide.graph.custom_layers import custom_layer, custom_norm_values
from initguide.graph.gated import gated_gain

WIDTH = 256


class Norm(nn.Module):
    """Divides by the rms; the scale is `offset + g`."""

    def __init__(self, width=WIDTH, offset=0.0):
        super().__init__()
        self.g, self.offset = nn.Parameter(torch.zeros(width)), offset

    def forward(self, x):
        return x * x.square().mean(-1, keepdim=True).add(1e-6).rsqrt() * (self.offset + self.g)


class ChannelNorm(nn.Module):
    def __init__(self, channels=WIDTH):
        super().__init__()
        self.scale, self.shift = (nn.Parameter(torch.rand(channels)) for _ in range(2))

    def forward(self, x):
        x = F.normalize(x, dim=1) * x.shape[1] ** 0.5
        return x * self.scale[:, None, None] + self.shift[:, None, None]


class Product(nn.Module):
    def __init__(self, run, *shape):
        super().__init__()
        self.weight, self.run = nn.Parameter(torch.zeros(shape)), run

    def forward(self, x):
        return self.run(x, self.weight)


@pytest.mark.parametrize(
    ("module", "values"),
    [
        (Norm(), {"g": 1.0}),
        (Norm(300, offset=1.0), {"g": 0.0}),
        (ChannelNorm(), {"scale": 1.0, "shift": 0.0}),
    ],
    ids=["scale", "scale plus one", "channels"],
)
def test_a_norm_has_the_values_of_unit_scale(module, values):
    assert custom_layer(module).neutral_values == values
    assert custom_layer(module).layout is None
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), module)
    assert dict(custom_norm_values(model)) == {f"1.{key}": value for key, value in values.items()}


@pytest.mark.parametrize(
    ("run", "shape", "layout"),
    [
        (F.linear, (300, WIDTH), "out_in"),
        (torch.matmul, (WIDTH, 300), "in_out"),
        (lambda x, w: x @ w.T, (300, WIDTH), "out_in"),
        (lambda x, w: F.linear(x, w) * 2, (300, WIDTH), None),
        (lambda x, w: x + w, (300, WIDTH), None),
    ],
    ids=["linear", "matmul", "a transpose", "more than a product", "a sum"],
)
def test_a_linear_layer_has_the_layout_of_its_product(run, shape, layout):
    found = custom_layer(Product(run, *shape))
    assert found.layout == layout
    assert found.neutral_values is None


@pytest.mark.parametrize("own", [Norm, ChannelNorm])
def test_a_module_that_holds_a_layer_is_no_layer(own):
    class Holder(own):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(WIDTH, WIDTH)

    assert custom_layer(Holder()).neutral_values is None
    # A subclass of a layer of torch is that layer.
    assert custom_layer(type("Own", (nn.LayerNorm,), {})(WIDTH)).neutral_values is None


@pytest.mark.parametrize("factor", [100.0, 1.0, 0.01])
def test_the_gain_of_a_product_of_two_halves(factor):
    # E[(k s a · s b)²] = k² s⁴, which is 1 at s = 1 / sqrt(k).
    gain = gated_gain(lambda a, b: factor * a * b)
    assert gain == pytest.approx(factor**-0.5, rel=1e-3)
