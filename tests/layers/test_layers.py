"""Layers: the size of their outputs, each gate of packed weights, the prediction of a bias."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

import initguide as init

SEEDS = range(3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


CONVOLUTIONS = [
    nn.Conv1d(32, 64, 5, padding=2),
    nn.Conv2d(16, 64, 3, padding=1),
    nn.Conv2d(32, 64, 3, padding=1, groups=4),
    nn.Conv2d(64, 64, 5, padding=2, groups=64),
    nn.Conv3d(8, 32, 3, padding=1),
    nn.Conv2d(16, 64, 4, stride=2, padding=1),
    nn.ConvTranspose2d(64, 48, 4, stride=2, padding=1),
    nn.ConvTranspose1d(64, 64, 6, stride=3, groups=4),
]


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_convolution_keeps_the_second_moment_through_a_relu(layer):
    """He initialization keeps the second moment on average, so the fans are the right ones."""
    spatial = (40,) if layer.weight.ndim == 3 else (12,) * (layer.weight.ndim - 2)
    moments = []
    for seed in range(20):
        init.convolution_(layer, "relu", generator=generator(seed))
        x = torch.randn(2, layer.in_channels, *(3 * n for n in spatial), generator=generator(100))
        y = layer(x).relu().detach()
        # At the border an output sums fewer terms. With a stride, the number depends on the place.
        inner = y[(..., *(slice(6, -6),) * len(spatial))]
        moments.append(inner.square().mean().item())
    error = np.std(moments) / math.sqrt(len(moments))
    assert abs(np.mean(moments) - 1) < 4 * error + 0.01
    assert (layer.bias == 0).all()


def test_convolution_options():
    conv = nn.Conv2d(64, 16, 3, bias=False)
    init.convolution_(conv, "linear", "fan_avg", generator=generator())
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 80)), rel=0.03)
    init.convolution_(conv, "relu", distribution="uniform", generator=generator())
    assert conv.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 576), rel=1e-3)
    init.convolution_(conv, "relu", "fan_out", generator=generator())
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / 144), rel=0.03)


RECURRENT = {
    "rnn": partial(nn.RNN, 12, 20),
    "lstm": partial(nn.LSTM, 12, 20, num_layers=2, bidirectional=True),
    "projected": partial(nn.LSTM, 12, 20, proj_size=7),
    "gru": partial(nn.GRU, 12, 20, bias=False),
    "cell": partial(nn.LSTMCell, 12, 20),
    "gru cell": partial(nn.GRUCell, 12, 20),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_gate_by_gate(name):
    module = init.recurrent_(RECURRENT[name](), generator=generator())
    again = init.recurrent_(RECURRENT[name](), generator=generator())
    for (key, parameter), other in zip(module.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(parameter, other), key
        gates = parameter.chunk(parameter.shape[0] // 20 or 1)
        if "weight_hh" in key:
            for gate in gates:
                gram = gate.T @ gate
                torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
        elif "weight_ih" in key:
            bound = math.sqrt(6 / (parameter.shape[1] + 20))
            assert all(0.9 * bound < gate.abs().max() <= bound for gate in gates)
        elif "weight_hr" in key:
            torch.testing.assert_close(parameter @ parameter.T, torch.eye(7), atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("make", [RECURRENT["lstm"], RECURRENT["cell"]], ids=["lstm", "cell"])
def test_the_two_bias_vectors_add_up_to_the_forget_bias(make, value):
    module = init.recurrent_(make(), forget_bias=value)
    ih = [p for n, p in module.named_parameters() if n.startswith("bias_ih")]
    hh = [p for n, p in module.named_parameters() if n.startswith("bias_hh")]
    assert len(ih) == len(hh) > 0
    for a, b in zip(ih, hh, strict=True):
        np.testing.assert_array_equal((a + b).detach(), init.forget_bias(20, value))


def test_the_gate_order_is_torchs():
    """Only the forget gate's bias, made huge, keeps an old cell through a step."""
    cell = init.recurrent_(nn.LSTMCell(3, 4), forget_bias=50.0)
    init.zeros_(cell.weight_ih)
    init.zeros_(cell.weight_hh)
    old = torch.randn(1, 4, generator=generator())
    _, new = cell(torch.zeros(1, 3), (torch.zeros(1, 4), old))
    torch.testing.assert_close(new, old)


def test_forget_bias_leaves_the_other_gates():
    module = nn.LSTM(3, 5)
    before = [p.clone() for p in module.parameters()]
    init.forget_bias_(module, 2.0)
    for parameter, old in zip(module.parameters(), before, strict=True):
        gates = [0, 2, 3] if parameter.ndim == 1 else range(4)
        for gate in gates:
            assert torch.equal(parameter.chunk(4)[gate], old.chunk(4)[gate])


def test_per_gate_blocks_are_independent():
    weight = init.per_gate_(torch.empty(40, 10), init.orthogonal_, 4, generator())
    blocks = weight.chunk(4)
    assert not any(torch.equal(blocks[0], block) for block in blocks[1:])
    for layout, shape, axis in (("in_out", (10, 40), 1), ("out_in", (40, 10), 0)):
        array = init.per_gate(shape, init.orthogonal, layout=layout, rng=0)
        assert array.shape == shape
        parts = np.split(array, 4, axis=axis)
        assert not np.array_equal(parts[0], parts[1])
        for part in parts:
            np.testing.assert_allclose(part @ part.T, np.eye(10), atol=1e-12)


COUNTS = [900.0, 90.0, 10.0]


@pytest.mark.parametrize("counts", [COUNTS, np.array(COUNTS), torch.tensor(COUNTS)], ids=type)
def test_the_prior_is_predicted(counts):
    bias = init.class_prior_bias(counts)
    np.testing.assert_allclose(special.softmax(bias), np.array(COUNTS) / 1000)
    head = nn.Linear(5, 3)
    weight = head.weight.clone()
    assert init.class_prior_bias_(head, counts) is head
    torch.testing.assert_close(head.bias.softmax(0), torch.tensor(COUNTS) / 1000)
    assert torch.equal(head.weight, weight)
    tensor = torch.empty(3)
    assert init.class_prior_bias_(tensor, counts) is tensor


@pytest.mark.parametrize("share", [1e-12, 0.03, 0.5, 0.999])
@pytest.mark.parametrize("kind", [float, torch.tensor, np.array, lambda share: [share]])
def test_a_share_is_predicted_by_a_sigmoid(share, kind):
    share = torch.tensor(share).item() if kind is torch.tensor else share
    bias = init.class_prior_bias(kind(share))
    np.testing.assert_allclose(bias, [special.logit(share)], rtol=1e-12, atol=1e-12)
    head = init.class_prior_bias_(nn.Linear(256, 1), kind(share))
    assert head.bias.sigmoid().item() == pytest.approx(share, rel=1e-5)


@pytest.mark.parametrize("count", [2, 300])
def test_the_odds_of_two_classes_are_those_of_their_counts(count):
    counts = np.arange(1, count + 1)
    bias = init.class_prior_bias(counts)
    np.testing.assert_allclose(bias[1:] - bias[0], np.log(counts[1:]))
    assert special.logsumexp(bias) == pytest.approx(0, abs=1e-12)
    # The sum of such counts is infinite.
    np.testing.assert_allclose(init.class_prior_bias(counts * 1e305), bias)


@pytest.mark.parametrize("counts", [0.0, 1.0, -0.1, math.nan, [3.0], [], [2, -1], [1, math.inf]])
def test_no_prior_has_an_infinite_bias(counts):
    with pytest.raises(ValueError, match=r"counts must|share of positives must"):
        init.class_prior_bias(counts)


ERRORS = [
    (lambda: init.convolution_(nn.Linear(2, 2)), "module must be a convolution; got Linear"),
    (lambda: init.convolution_(CONV, "rellu"), "got 'rellu'"),
    (lambda: init.convolution_(CONV, mode="in"), "mode must be"),
    (
        lambda: init.convolution_(CONV, distribution="cauchy"),
        "distribution must be 'normal' or 'uniform'; got 'cauchy'",
    ),
    (lambda: init.recurrent_(CONV), "module must be an RNN, LSTM, GRU or cell; got Conv2d"),
    (lambda: init.recurrent_(LSTM, forget_bias=math.nan), "forget bias must be finite; got nan"),
    (lambda: init.forget_bias_(nn.GRU(2, 2)), "module must be an LSTM or LSTMCell; got GRU"),
    (lambda: init.forget_bias_(nn.LSTM(2, 2, bias=False)), "must have biases; got bias=False"),
    (lambda: init.forget_bias(0), "hidden must be a positive integer; got 0"),
    (
        lambda: init.per_gate_(torch.empty(10, 3), init.orthogonal_, 4),
        "gates must divide the outputs; got 4 gates and shape (10, 3)",
    ),
    (lambda: init.per_gate_(torch.empty(8, 3), init.orthogonal_, 0), "gates must be a positive"),
    (lambda: init.per_gate((3, 8), init.orthogonal, layout="io"), "layout must be"),
    (lambda: init.class_prior_bias([1, 0]), "counts must"),
    (lambda: init.class_prior_bias([1, math.nan]), "counts must"),
    (lambda: init.class_prior_bias([[1, 2]]), "counts must"),
    (lambda: init.class_prior_bias(1.5), "1.5"),
    (
        lambda: init.class_prior_bias_(nn.Linear(2, 3), [1, 2]),
        "each of the 2 counts; got shape (3,)",
    ),
    (lambda: init.class_prior_bias_(nn.Linear(2, 3, bias=False), [1, 2, 3]), "bias"),
]
CONV, LSTM = nn.Conv2d(3, 4, 3), nn.LSTM(2, 3)


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors_say_the_rule_and_change_nothing(call, message):
    before = [p.clone() for module in (CONV, LSTM) for p in module.parameters()]
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert message in str(error.value)
    after = [p for module in (CONV, LSTM) for p in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
