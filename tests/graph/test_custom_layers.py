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


def test_a_layer_may_have_a_bias_but_no_third_parameter():
    class Biased(Product):
        def __init__(self):
            super().__init__(F.linear, 300, WIDTH)
            self.bias = nn.Parameter(torch.zeros(300))

        def forward(self, x):
            return F.linear(x, self.weight, self.bias)

    assert custom_layer(Biased()).layout == "out_in"
    third = Biased()
    third.scale = nn.Parameter(torch.ones(300))
    assert custom_layer(third).layout is None
    other = Biased()
    other.register_buffer("count", torch.zeros(()))
    assert custom_layer(other).layout is None


def test_only_a_product_that_is_returned_as_it_is_is_a_layer():
    for run in (lambda x, w: (F.linear(x, w), None), lambda x, w: x):
        assert custom_layer(Product(run, 300, WIDTH)).layout is None


class Own(nn.Module):
    """A function of the input over its rms, and of one vector."""

    def __init__(self, run, width=WIDTH, epsilon=1e-6):
        super().__init__()
        self.g, self.run, self.epsilon = nn.Parameter(torch.zeros(width)), run, epsilon

    def forward(self, x):
        return self.run(x * x.square().mean(-1, keepdim=True).add(self.epsilon).rsqrt(), self.g)


@pytest.mark.parametrize(
    ("run", "is_norm"),
    [
        # Its rms is within a fourth of 1, by ratio.
        (lambda x, g: 0.78 * x * g, False),
        (lambda x, g: 0.82 * x * g, True),
        (lambda x, g: 1.23 * x * g, True),
        (lambda x, g: 1.27 * x * g, False),
        # The part that depends on the input is more than a half: 0.6² + 0.8² = 1.
        (lambda x, g: 0.6 * x * g + 0.8, True),
        (lambda x, g: 0.4 * x * g + 0.9, False),
        (lambda x, g: 0 * x + g * torch.tensor([1.0, -1.0]).repeat(WIDTH // 2), False),
        # Another kind of output.
        (lambda x, g: (x * g)[..., :1], False),
        (lambda x, g: (x * g, x), False),
        (lambda x, g: (x * g).to(torch.int64), False),
        (lambda x, g: x * g / 0, False),
    ],
)
def test_a_norm_gives_any_input_unit_scale(run, is_norm):
    assert custom_layer(Own(run)).neutral_values == ({"g": 1.0} if is_norm else None)


@pytest.mark.parametrize(("epsilon", "is_norm"), [(0.01, True), (0.1, False)])
def test_a_norm_hardly_depends_on_the_scale_of_its_input(epsilon, is_norm):
    # An entry of 3 changes by 3 (1 - 1 / sqrt(1 + epsilon)): by 0.015 and by 0.14.
    found = custom_layer(Own(torch.mul, epsilon=epsilon)).neutral_values
    assert (found is not None) == is_norm


def test_one_scale_for_all_units_says_nothing_about_the_width():
    # One input over its own size is ±1, but 100 inputs over their norm have an rms of 0.1.
    class Scale(nn.Module):
        def __init__(self, *shape):
            super().__init__()
            self.g = nn.Parameter(torch.ones(shape))

        def forward(self, x):
            return self.g * F.normalize(x, dim=-1)

    for shape in ((1,), (), (1, WIDTH)):
        assert custom_layer(Scale(*shape)).neutral_values is None


def test_a_norm_of_signals_over_time_and_of_two_widths():
    class Temporal(nn.Module):
        def __init__(self, *widths):
            super().__init__()
            for i, width in enumerate(widths):
                setattr(self, f"g{i}", nn.Parameter(torch.ones(width)))

        def forward(self, x):
            x = F.layer_norm(x.mT, x.shape[1:2])
            return sum(x * g for g in self.parameters()).mT if x.ndim == 3 else None

    assert custom_layer(Temporal(WIDTH)).neutral_values == {"g0": 1.0}
    assert custom_layer(Temporal(WIDTH, WIDTH)).neutral_values == {"g0": 1.0, "g1": 0.0}
    assert custom_layer(Temporal(WIDTH, WIDTH, WIDTH)).neutral_values is None
    assert custom_layer(Temporal(WIDTH, 1)).neutral_values is None


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
