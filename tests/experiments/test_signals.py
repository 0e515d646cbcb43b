"""Signals, activations and gradients before training: by hand and against the theory."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments import (
    INITIALIZATIONS,
    activations,
    each_linear,
    gradients,
    lsuv_stack,
    mlp,
    pytorch_default,
    signals_by_depth,
)

pytestmark = pytest.mark.usefixtures("random_states_kept")

WIDTHS = (64, 30, 30, 10)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def deep():
    return signals_by_depth(INITIALIZATIONS, depth=30, width=200, batch=32, seeds=range(3))


def test_signals_follow_the_theory(deep):
    for name, sigma_w in (("He", 2**0.5), ("Xavier", 1.0), ("std 0.01", 0.01 * 200**0.5)):
        theory = init.propagate("relu", sigma_w, depth=30)
        for key, predicted in (("rms", theory.rms), ("gradient_rms", theory.gradient_rms)):
            for layer in (1, 10, 30):
                measured = [
                    row[key] for row in deep
                    if row["initialization"] == name and row["layer"] == layer
                ]  # fmt: skip
                assert len(measured) == 3
                mean = np.exp(np.mean(np.log(measured)))
                # The logarithm of one draw has a std of about sqrt(5 depth / width) / 2.
                assert abs(math.log(mean / predicted[layer - 1])) < 0.6


def test_the_std_of_the_default_follows_the_theory(deep):
    theory = init.propagate("relu", 3**-0.5, (3 * 200) ** -0.5, depth=30, c0=0.0)
    for layer in (1, 10, 30):
        measured = [
            row["std"] for row in deep
            if row["initialization"] == "PyTorch default" and row["layer"] == layer
        ]  # fmt: skip
        mean = np.exp(np.mean(np.log(measured)))
        assert abs(math.log(mean / theory.std[layer - 1])) < 0.6


def test_signals_equal_a_plain_loop():
    (row,) = signals_by_depth(
        {"He": INITIALIZATIONS["He"]}, depth=1, width=8, batch=5, nonlinearity="tanh", seeds=[3]
    )
    generator = seeded(3)
    x = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    cotangent = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    layer = nn.utils.skip_init(nn.Linear, 8, 8, dtype=torch.float64)
    pytorch_default(layer, generator)
    INITIALIZATIONS["He"](layer, generator)
    h = (x @ layer.weight.T).tanh().detach()
    assert row["rms"] == pytest.approx((h**2).mean().item() ** 0.5)
    assert row["std"] == pytest.approx(h.var(0).mean().item() ** 0.5)
    gradient = cotangent * (1 - h**2)
    assert row["gradient_rms"] == pytest.approx((gradient**2).mean().item() ** 0.5)


def test_signals_without_settings_have_those_of_the_documentation():
    he = {"He": INITIALIZATIONS["He"]}
    settings = {"width": 256, "batch": 64, "nonlinearity": nn.ReLU, "seeds": [0, 1, 2, 3, 4]}
    assert signals_by_depth(he, depth=1) == signals_by_depth(he, depth=1, **settings)
    assert len(signals_by_depth(he, width=2, batch=2, seeds=[0])) == 50


def test_lsuv_without_settings_draws_64_inputs():
    model, by_hand = (mlp(WIDTHS, generator=seeded()) for _ in range(2))
    lsuv_stack("tanh")(model, seeded(1))
    lsuv_stack("tanh", batch=64)(by_hand, seeded(1))
    assert all(map(torch.equal, model.parameters(), by_hand.parameters()))


def test_default_biases_hide_that_the_input_is_ignored(deep):
    last = [r for r in deep if r["initialization"] == "PyTorch default" and r["layer"] == 30]
    for row in last:
        assert row["rms"] > 0.01
        assert row["std"] < 1e-10


def test_signals_that_overflow_are_not_finite():
    huge = {"huge": each_linear(lambda w, generator: init.constant_(w, 1e200))}
    rows = signals_by_depth(huge, depth=4, width=4, batch=4, seeds=[0])
    assert not any(math.isfinite(row["rms"]) for row in rows if row["layer"] > 2)


def test_activations_of_one_layer_by_hand():
    model = mlp([2, 2, 1], generator=seeded())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        model[0].bias.zero_()
        model[2].weight.fill_(2.0)
        model[2].bias.fill_(1.0)
    hidden, output = activations(model, torch.tensor([[3.0, 4.0], [1.0, -2.0]]))
    assert hidden["values"].tolist() == [[3, 0], [1, 2]]
    assert (hidden["layer"], hidden["mean"], hidden["zeros"]) == (1, 1.5, 0.25)
    assert hidden["std"] == pytest.approx(math.sqrt(1.25))
    assert hidden["rms"] == pytest.approx(math.sqrt(3.5))
    assert output["values"].tolist() == [[7], [7]]
    assert (output["layer"], output["std"]) == (2, 0)


def test_gradients_are_per_sample(data):
    model = mlp(WIDTHS, generator=seeded())
    x, y = data.x_train[:20], data.y_train[:20]
    rows = gradients(model, x, y)
    scores = model(x)
    expected = scores.softmax(1) - F.one_hot(y, 10)
    np.testing.assert_allclose(rows[-1]["values"], expected.detach(), atol=1e-6)
    hidden = (expected @ model[4].weight).detach()
    np.testing.assert_allclose(rows[-2]["values"], hidden, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("batch", [torch.zeros(3, 5), torch.zeros(3, 64)])
def test_all_hooks_are_removed(batch, data):
    model = mlp(WIDTHS, generator=seeded())
    if batch.shape[1] == 64:
        activations(model, batch)
    else:
        with pytest.raises(RuntimeError):
            activations(model, batch)
    assert not any(layer._forward_pre_hooks for layer in model.modules())
