"""The facts about the weights of a layer, worked by hand."""

import math

import pytest
import torch
from torch import nn

from initguide.diagnostics.hooks import axes
from initguide.diagnostics.weights import OwnWeight, drawn, is_zero, kind, same, weights_of
from initguide.graph.trace import trace


def facts(module):
    return weights_of("", module, trace(module))


def with_copies(module, axis):
    """Draw a weight in which the units 0 and 1 along an axis are equal."""
    weight = torch.randn(module.weight.shape, generator=torch.Generator().manual_seed(0))
    weight.select(axis, 1).copy_(weight.select(axis, 0))
    module.weight = nn.Parameter(weight)
    return module


@pytest.mark.parametrize(
    ("module", "axis", "copies"),
    [
        (nn.Linear(5, 4), 0, 1),
        (nn.Linear(5, 4), 1, 0),
        (nn.Conv2d(3, 4, 2), 0, 1),
        (nn.Conv2d(3, 4, 2), 1, 0),
        (nn.ConvTranspose1d(3, 4, 2), 1, 1),
        (nn.ConvTranspose1d(3, 4, 2), 0, 0),
        (nn.ConvTranspose2d(3, 4, 2), 1, 1),
        # Their equal rows see different inputs, or are no units.
        (nn.Conv1d(4, 4, 2, groups=2), 0, 0),
        (nn.Embedding(4, 5), 0, 0),
        (nn.EmbeddingBag(4, 5), 0, 0),
    ],
)
def test_units_with_equal_weights_are_counted(module, axis, copies):
    found = facts(with_copies(module, axis))
    assert found.copies == copies
    assert not found.zero
    assert found.shape == " × ".join(map(str, module.weight.shape))
    assert found.rms == found.last_rms
    assert found.rms == pytest.approx(module.weight.square().mean().sqrt().item())


def test_units_of_a_recurrent_layer_also_read_the_state():
    for layer, names in (
        (nn.RNN(5, 4), ("weight_ih_l0", "weight_hh_l0")),
        (nn.RNNCell(5, 4), ("weight_ih", "weight_hh")),
    ):
        into, state = (getattr(layer, name) for name in names)
        with torch.no_grad():
            into[1] = into[0]
        assert facts(layer).copies == 0
        with torch.no_grad():
            state[1] = state[0]
        assert facts(layer).copies == 1
        assert facts(layer).tensor is into.data or facts(layer).shape == "4 × 5"


def test_the_last_weight_of_attention_is_its_projection():
    attention = nn.MultiheadAttention(6, 2)
    found = facts(attention)
    assert found.rms == pytest.approx(attention.in_proj_weight.square().mean().sqrt().item())
    assert found.last_rms == pytest.approx(attention.out_proj.weight.square().mean().sqrt().item())
    assert found.fan_in == 6
    nn.init.zeros_(attention.out_proj.weight)
    assert facts(attention).zero
    assert is_zero(attention)
    apart = nn.MultiheadAttention(6, 2, kdim=3, vdim=3)
    assert facts(apart).shape == "6 × 6"


def test_an_own_weight_has_the_fan_of_its_use():
    found = weights_of("w", OwnWeight("w", torch.full((2, 3), 2.0), "matmul", "weight", 3), None)
    assert (found.shape, found.fan_in, found.rms, found.copies) == ("2 × 3", 3, pytest.approx(2), 0)
    scalar = weights_of("w", OwnWeight("w", torch.tensor(0.0), "mul", "scale", None), None)
    assert (scalar.shape, scalar.zero) == ("scalar", True)


def test_a_weight_is_zero_everywhere():
    linear = nn.Linear(3, 4)
    assert not is_zero(linear)
    nn.init.zeros_(linear.weight)
    assert is_zero(linear)
    with torch.no_grad():
        linear.weight[3, 2] = 1
    assert not is_zero(linear)
    assert not is_zero(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
    assert not is_zero(nn.ReLU())
    assert is_zero(OwnWeight("w", torch.tensor(0.0), "mul", "scale", None))
    assert not is_zero(OwnWeight("w", torch.tensor(1.0), "mul", "scale", None))
    assert not is_zero(OwnWeight("w", torch.ones(0), "mul", "scale", None))


def test_equal_weights_are_the_same_unless_they_share_memory():
    one, other = facts(nn.Linear(3, 4)), facts(nn.Linear(3, 4))
    assert not same(one, other)
    assert not same(one, one)
    twin = nn.Linear(3, 4)
    twin.weight.data = one.tensor.clone()
    assert same(one, facts(twin))
    assert not same(one, facts(nn.Linear(4, 3)))


def test_constants_and_identities_were_not_drawn():
    for values, was_drawn in (
        (torch.eye(5), False),
        (torch.ones(5, 5), False),
        (torch.tensor([0.0, 1.0, 2.0]), True),
        (torch.randn(5, 5), True),
        # The first thousand values are looked at.
        (torch.cat([torch.zeros(1000), torch.randn(9)]), False),
        (torch.cat([torch.zeros(998), torch.randn(9)]), True),
    ):
        own = weights_of("w", OwnWeight("w", values, "mul", "scale", None), None)
        assert drawn(own) == was_drawn


def test_a_parametrized_layer_has_the_name_of_its_class():
    assert kind(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))) == "Linear"
    assert kind(nn.Linear(3, 4)) == "Linear"
    assert math.isfinite(facts(nn.Linear(3, 4)).rms)


PACKED = nn.utils.rnn.pack_sequence([torch.ones(2, 4), torch.ones(1, 4)])
AXES = {
    "a layer": (nn.Linear(4, 4), (3, 4), 0, 1),
    "one input": (nn.Linear(4, 4), (1, 4), None, 1),
    "a vector": (nn.Linear(4, 4), (4,), None, 0),
    "positions": (nn.Linear(4, 4), (3, 6, 4), 0, 2),
    "images": (nn.Conv2d(3, 5, 2), (3, 5, 8, 8), 0, 1),
    "one image": (nn.Conv2d(3, 5, 2), (5, 8, 8), None, 0),
    "lines": (nn.ConvTranspose1d(3, 5, 2), (3, 5, 8), 0, 1),
    "steps first": (nn.LSTM(4, 4), (6, 3, 4), 1, 2),
    "inputs first": (nn.LSTM(4, 4, batch_first=True), (3, 6, 4), 0, 2),
    "one sequence": (nn.LSTM(4, 4), (6, 4), None, 1),
    "one in a batch": (nn.LSTM(4, 4), (6, 1, 4), None, 2),
    "attention": (nn.MultiheadAttention(4, 2), (6, 3, 4), 1, 2),
    "an own kernel": (OwnWeight("w", torch.ones(5, 3, 2), "conv1d", "weight", 6), (3, 5, 8), 0, 1),
    "an own matrix": (OwnWeight("w", torch.ones(5, 3), "matmul", "weight", 5), (3, 8, 5), 0, 2),
}


@pytest.mark.parametrize(("module", "shape", "batch", "units"), AXES.values(), ids=AXES)
def test_the_axes_of_the_inputs_and_of_the_units(module, shape, batch, units):
    y = torch.ones(shape)
    assert axes(module, y, (y, None)) == (batch, units)


def test_packed_sequences_have_one_axis_for_inputs_and_steps():
    assert axes(nn.LSTM(4, 4), PACKED.data, (PACKED, None)) == (0, 1)
