"""Stacked recurrent networks against the layers of torch, and their tasks by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments.claims import aitken_2017, jozefowicz_2015, sitzmann_2020
from initguide.experiments.recurrent import (
    adding,
    copying,
    first_sign,
    fit_recurrent,
    lstm,
    readout,
    rnn,
    task_batches,
)

pytestmark = pytest.mark.usefixtures("random_states_kept")

INPUTS, HIDDEN, BATCH, STEPS = 3, 5, 4, 7


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def layer_of(kind, seed):
    layer = kind(INPUTS, HIDDEN, batch_first=True, device="meta").to_empty(device="cpu")
    generator = seeded(seed)
    for parameter in layer.parameters():
        init.normal_(parameter, std=0.5, generator=generator)
    return layer


def stacked(layers):
    biases = [layer.bias_ih_l0 + layer.bias_hh_l0 for layer in layers]
    return {
        "weight_ih": torch.stack([layer.weight_ih_l0 for layer in layers]),
        "weight_hh": torch.stack([layer.weight_hh_l0 for layer in layers]),
        "bias": torch.stack(biases)[:, None],
    }


def test_the_rnn_equals_that_of_torch():
    layers = [layer_of(nn.RNN, seed) for seed in range(2)]
    x = torch.randn(2, BATCH, STEPS, INPUTS, generator=seeded())
    for last in (1, STEPS):
        ours = rnn(stacked(layers), x, torch.tanh, last)
        assert ours.shape == (last, 2, BATCH, HIDDEN)
        for i, layer in enumerate(layers):
            torch.testing.assert_close(ours[:, i].transpose(0, 1), layer(x[i])[0][:, -last:])


def test_the_lstm_equals_that_of_torch():
    layers = [layer_of(nn.LSTM, seed) for seed in range(2)]
    x = torch.randn(2, BATCH, STEPS, INPUTS, generator=seeded())
    ours = lstm(stacked(layers), x)
    for i, layer in enumerate(layers):
        torch.testing.assert_close(ours[i], layer(x[i])[0][:, -1])


def test_readout_is_a_linear_layer_for_each_network():
    h = torch.randn(STEPS, 2, BATCH, HIDDEN, generator=seeded())
    weight = torch.randn(2, 3, HIDDEN, generator=seeded(1))
    bias = torch.randn(2, 1, 3, generator=seeded(2))
    scores = readout({"weight_out": weight, "bias_out": bias}, h)
    for i in range(2):
        torch.testing.assert_close(scores[:, i], F.linear(h[:, i], weight[i], bias[i, 0]))


def test_training_is_adam_on_each_clipped_gradient():
    start = torch.randn(4, 2, 2, generator=seeded())
    # The gradients of the last two networks have norms below 1 and are not clipped.
    scale = torch.tensor([1.0, 100.0, 0.01, 0.13])
    targets = torch.randn(4, 4, 2, 2, generator=seeded(1))

    def losses_of(parameters, batch):
        return scale * (parameters["w"] - batch[0]).square().sum((1, 2))

    stack = {"w": start.clone()}
    rates = [0.1, 0.02, 0.05, 0.1]
    ours = fit_recurrent(stack, losses_of, iter([(t, t) for t in targets]), lr=rates, steps=4)
    assert ours.shape == (4, 4)
    for i in range(4):
        weight = nn.Parameter(start[i].clone())
        optimizer, losses = torch.optim.Adam([weight], lr=rates[i]), []
        for target in targets:
            loss = scale[i] * (weight - target[i]).square().sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([weight], 1.0)
            optimizer.step()
            losses.append(loss.item())
        torch.testing.assert_close(stack["w"][i].detach(), weight.detach(), rtol=1e-4, atol=1e-5)
        assert ours[:, i].tolist() == pytest.approx(losses, rel=1e-4)


def test_the_tasks_by_hand():
    x, y = adding(200, 9, seeded())
    assert (x[:, :4, 1].sum(1) == 1).all()
    assert (x[:, 4:, 1].sum(1) == 1).all()
    for numbers, marks, total in zip(x[..., 0], x[..., 1], y, strict=True):
        assert numbers[marks == 1].sum() == total

    x, symbols = copying(30, 6, seeded(), count=2)
    codes = x.argmax(-1)
    assert (x.sum(-1) == 1).all()
    assert codes.shape == (30, 10)
    assert torch.equal(codes[:, :2], symbols)
    # Two symbols, five blanks, the signal, and two blanks for the answer.
    assert (codes[:, 2:] == torch.tensor([8, 8, 8, 8, 8, 9, 8, 8])).all()

    # Five symbols unless another number is given.
    assert copying(3, 6, seeded())[0].shape == (3, 16, 10)

    x, classes = first_sign(30, 6, seeded())
    assert torch.equal(x[:, 0, 1], 2.0 * classes - 1)
    assert (x[:, 1:, 1] == 0).all()
    assert (x[:, 0, 0] == 0).all()
    assert (x[:, 1:, 0] != 0).all()


def test_all_copies_of_a_seed_have_the_same_batches():
    x, y = next(task_batches(first_sign, 8, 5, [3, 4], 2))
    assert x.shape == (4, 8, 5, 2)
    assert torch.equal(x[:2], x[2:])
    assert not torch.equal(x[0], x[1])
    alone, classes = first_sign(8, 5, seeded(3))
    assert torch.equal(x[0], alone)
    assert torch.equal(y[2], classes)


def test_chrono_draws_memories_up_to_the_length():
    bias = jozefowicz_2015.chrono(4000, 50, seeded()).view(4, -1)
    assert torch.equal(bias[0], -bias[1])
    assert (bias[2:] == 0).all()
    times = bias[1].exp()
    assert times.min() >= 1
    assert times.max() <= 49.01
    # Uniform on (1, 49): mean 25, std 48 / sqrt(12). The tolerance is five standard errors.
    assert times.mean().item() == pytest.approx(25, abs=5 * 48 / math.sqrt(12 * 4000))


def test_siren_has_the_bounds_of_its_paper():
    first = nn.Linear(2, 400, device="meta").to_empty(device="cpu")
    last = nn.Linear(400, 90, device="meta").to_empty(device="cpu")
    sitzmann_2020.siren(nn.Sequential(first, nn.Tanh(), last), seeded())
    # The bounds are 1 / 2 and sqrt(6 / 400) / 30 = 0.0040825.
    assert 0.49 < first.weight.abs().max() < 0.5
    assert 0.00408 < last.weight.abs().max() < 0.0040826
    assert not first.bias.any()
    assert not last.bias.any()


def test_the_wrong_order_has_the_kernels_of_icnr_in_other_places():
    weight = aitken_2017.wrong_order_(torch.empty(12, 2, 3, 3), seeded())
    assert torch.equal(weight[:3], weight[3:6])
    assert not torch.equal(weight[0], weight[1])
    assert weight.sum() == pytest.approx(
        init.icnr_(torch.empty(12, 2, 3, 3), 2, generator=seeded()).sum().item(), abs=1e-4
    )
