"""Fans: numbers worked by hand, and the terms that an output really sums."""

import pytest
import torch
from torch import nn

import initguide as init


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((5, 700), "out_in", (700, 5)),
        ((5, 700), "in_out", (5, 700)),
        ((8, 3, 5, 7), "out_in", (3 * 35, 8 * 35)),
        ((5, 7, 3, 8), "in_out", (3 * 35, 8 * 35)),
    ],
)
def test_fans_by_hand(shape, layout, expected):
    assert init.fans(shape, layout) == expected


def test_fans_agree_with_torch_on_plain_weights():
    for shape in [(3, 50), (50, 3), (4, 6, 3), (4, 6, 3, 5)]:
        torch_fans = nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        assert init.fans(shape) == torch_fans


@pytest.mark.parametrize(
    ("mode", "expected"), [("fan_in", 10), ("fan_out", 200), ("fan_avg", 105), ("FAN_IN", 10)]
)
def test_pick(mode, expected):
    assert init.Fans(10, 200).pick(mode) == expected


CONVOLUTIONS = [
    nn.Conv2d(6, 10, 3, padding=1, padding_mode="circular"),
    nn.Conv2d(6, 12, 3, groups=3, padding=1, padding_mode="circular"),
    nn.Conv2d(8, 8, 5, groups=8, padding=2, padding_mode="circular"),
    nn.Conv2d(6, 10, 4, stride=2, padding=1, padding_mode="circular"),
    nn.Conv1d(6, 10, 3, stride=2, dilation=2, padding=2, padding_mode="circular"),
    nn.ConvTranspose2d(6, 10, 4, stride=2, padding=1),
    nn.ConvTranspose2d(6, 12, 4, stride=2, padding=1, groups=3),
]


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_convolution_fans_count_the_terms(layer):
    """With weights of one, an output is the number of its terms, and so is an input's gradient."""
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    size = (1, layer.in_channels) + (64,) * (layer.weight.ndim - 2)
    x = torch.ones(size, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    # Away from the border; a transposed convolution has no circular padding.
    inner = (..., *(slice(8, -8),) * (x.ndim - 2))
    fan_in, fan_out = init.layer_fans(layer)
    assert y[inner].mean().item() == pytest.approx(fan_in)
    assert x.grad[inner].mean().item() == pytest.approx(fan_out)


@pytest.mark.parametrize(
    ("layer", "name", "expected"),
    [
        (nn.Linear(30, 7), "weight", (30, 7)),
        (nn.LSTM(10, 20), "weight_ih_l0", (10, 20)),
        (nn.LSTM(10, 20, proj_size=5), "weight_hh_l0", (5, 20)),
        (nn.LSTM(10, 20, proj_size=5), "weight_hr_l0", (20, 5)),
        (nn.GRU(10, 20, bidirectional=True), "weight_hh_l0_reverse", (20, 20)),
        (nn.RNNCell(10, 20), "weight_ih", (10, 20)),
        (nn.MultiheadAttention(16, 2), "in_proj_weight", (16, 16)),
        (nn.MultiheadAttention(16, 2, kdim=5), "k_proj_weight", (5, 16)),
        (nn.MultiheadAttention(16, 2), "out_proj.weight", (16, 16)),
        (nn.Embedding(1000, 8), "weight", (1, 8)),
        (nn.Bilinear(3, 5, 7), "weight", (15, 35)),
    ],
    ids=str,
)
def test_layer_fans_by_hand(layer, name, expected):
    assert init.layer_fans(layer, name) == expected
