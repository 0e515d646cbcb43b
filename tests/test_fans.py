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
        assert init._calculate_fan_in_and_fan_out(torch.empty(shape)) == torch_fans


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("fan_in", 10), ("fan_out", 360), ("fan_avg", 185), ("fan_geo_avg", 60), ("FAN_IN", 10)],
)
def test_pick(mode, expected):
    assert init.Fans(10, 360).pick(mode) == expected


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


def rnn_gate(layer, name, gates):
    """Return a gate's sum over its inputs, as the cell forms it."""
    return lambda x: x @ getattr(layer, name).chunk(gates)[0].T


LSTM, GRU = nn.LSTM(60, 80, proj_size=30), nn.GRU(60, 80)
ATTENTION, SEPARATE = nn.MultiheadAttention(64, 4), nn.MultiheadAttention(64, 4, kdim=20)
circular = {"padding_mode": "circular", "bias": False}
# The layer, its weight, the width of its input, and how the weight meets the input.
MEASURED = {
    "linear": (nn.Linear(60, 30, bias=False), "weight", (60,), None),
    "conv1d": (nn.Conv1d(20, 30, 5, padding=2, **circular), "weight", (20, 40), None),
    "strided": (nn.Conv2d(20, 30, 3, 2, padding=1, **circular), "weight", (20, 16, 16), None),
    "dilated": (nn.Conv1d(9, 30, 3, dilation=3, padding=3, **circular), "weight", (9, 40), None),
    "grouped": (
        nn.Conv2d(20, 40, 3, groups=5, padding=1, **circular),
        "weight",
        (20, 9, 9),
        None,
    ),
    "depthwise": (
        nn.Conv2d(64, 64, 3, groups=64, padding=1, **circular),
        "weight",
        (64, 9, 9),
        None,
    ),
    "conv3d": (nn.Conv3d(5, 30, 3, padding=1, **circular), "weight", (5, 6, 6, 6), None),
    # With a kernel that the stride divides, every output has as many terms.
    "transposed": (
        nn.ConvTranspose2d(20, 30, 4, 2, padding=1, bias=False),
        "weight",
        (20, 16, 16),
        lambda y: y[..., 1:-1, 1:-1],
    ),
    "embedding": (nn.Embedding(500, 60), "weight", None, None),
    "lstm input": (rnn_gate(LSTM, "weight_ih_l0", 4), (LSTM, "weight_ih_l0"), (60,), None),
    "lstm state": (rnn_gate(LSTM, "weight_hh_l0", 4), (LSTM, "weight_hh_l0"), (30,), None),
    "lstm projection": (rnn_gate(LSTM, "weight_hr_l0", 1), (LSTM, "weight_hr_l0"), (80,), None),
    "gru state": (rnn_gate(GRU, "weight_hh_l0", 3), (GRU, "weight_hh_l0"), (80,), None),
    "packed query": (
        rnn_gate(ATTENTION, "in_proj_weight", 3),
        (ATTENTION, "in_proj_weight"),
        (64,),
        None,
    ),
    "key of another width": (
        rnn_gate(SEPARATE, "k_proj_weight", 1),
        (SEPARATE, "k_proj_weight"),
        (20,),
        None,
    ),
}


@pytest.mark.parametrize("case", MEASURED)
def test_variance_one_over_fan_in_keeps_the_second_moment(case):
    """Inputs of unit second moment, though not of mean zero, give outputs of unit second moment."""
    layer, owner, shape, inner = MEASURED[case]
    module, name = owner if isinstance(owner, tuple) else (layer, owner)
    generator = torch.Generator().manual_seed(0)
    fan_in = init.layer_fans(module, name).fan_in
    moments = []
    for _ in range(60):
        init.normal_(getattr(module, name), std=fan_in**-0.5, generator=generator)
        if shape is None:
            x = torch.randint(500, (50,), generator=generator)
        else:
            x = (0.6 + 0.8 * torch.randn(20, *shape, generator=generator)).double()
            x = (x / x.square().mean().sqrt()).float()
        with torch.no_grad():
            y = layer(x)
        moments.append((y if inner is None else inner(y)).double().square().mean().item())
    mean = sum(moments) / len(moments)
    spread = torch.tensor(moments).std().item() / len(moments) ** 0.5
    assert spread < 0.04
    assert abs(mean - 1) < 4 * spread


def test_bilinear_fan_in_keeps_the_second_moment():
    layer = nn.Bilinear(8, 9, 50, bias=False)
    generator = torch.Generator().manual_seed(0)
    init.normal_(layer.weight, std=init.layer_fans(layer).fan_in ** -0.5, generator=generator)
    a, b = torch.randn(4000, 8, generator=generator), torch.randn(4000, 9, generator=generator)
    assert layer(a, b).square().mean().item() == pytest.approx(1, abs=0.1)


# Kernels of attention and of grouped products, as (shape, in_axes, out_axes, fan_in, fan_out).
AXES = [
    ((512, 8, 64), 0, (1, 2), 512, 512),
    ((8, 64, 768), (0, 1), 2, 512, 768),
    ((8, 64, 768), (-3, -2), -1, 512, 768),
    ((300, 4, 3, 32), [0], [1, 3], 900, 384),
    ((5, 256, 300), 1, 2, 5 * 256, 5 * 300),
    ((3, 3, 256, 300), 2, 3, 9 * 256, 9 * 300),
    ((300, 256, 7), 1, 0, 7 * 256, 7 * 300),
]


@pytest.mark.parametrize(("shape", "into", "out", "fan_in", "fan_out"), AXES, ids=str)
def test_fans_of_named_axes_by_hand(shape, into, out, fan_in, fan_out):
    for layout in ("in_out", "out_in"):
        assert init.fans(shape, layout, in_axes=into, out_axes=out) == (fan_in, fan_out)


def test_the_fans_of_attention_kernels_count_the_terms():
    query, output = torch.ones(256, 4, 32), torch.ones(4, 32, 300)
    heads = torch.einsum("td,dhk->thk", torch.ones(3, 256), query)
    result = torch.einsum("thk,hkd->td", torch.ones(3, 4, 32), output)
    assert init.fans(query.shape, in_axes=0, out_axes=(1, 2)).fan_in == heads.unique().item()
    assert init.fans(output.shape, in_axes=(0, 1), out_axes=2).fan_in == result.unique().item()


@pytest.mark.parametrize(
    ("axes", "error", "message"),
    [
        ({"in_axes": 0}, ValueError, "must be given together; got 0 and None"),
        ({"out_axes": (0, 1)}, ValueError, r"must be given together; got None and \(0, 1\)"),
        ({"in_axes": 0, "out_axes": (1, -3)}, ValueError, "must name each axis once; got 0 and"),
        ({"in_axes": (1, 1), "out_axes": 0}, ValueError, "must name each axis once"),
        ({"in_axes": 3, "out_axes": 0}, ValueError, "in_axes must name axes of 3 dim.*; got 3"),
        ({"in_axes": 0, "out_axes": ()}, ValueError, r"out_axes must name axes .*; got \(\)"),
        ({"in_axes": "0", "out_axes": 1}, TypeError, "in_axes must be an integer or several"),
        ({"in_axes": 0, "out_axes": 1.0}, TypeError, "out_axes must be an integer or several"),
    ],
)
def test_wrong_axes_are_errors(axes, error, message):
    for call in (init.fans, init.xavier_normal, init.orthogonal):
        with pytest.raises(error, match=message):
            call((256, 4, 32), **axes)
