"""Parametrized, lazy and meta parameters, and buffers."""

import pytest
import torch
from plans import drawn, rows, same, state
from torch import nn
from torch.nn.utils import parametrizations
from zoo import ResNet

import initguide as init
from initguide import Rule


def test_weight_norm_is_set_through_its_parts():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(30, 20)), nn.ReLU())
    plain = nn.Sequential(nn.Linear(30, 20), nn.ReLU())
    init.initialize_(model, seed=0)
    init.initialize_(plain, seed=0)
    assert sorted(rows(model)) == sorted(rows(plain))
    assert rows(model)["0.weight"]["layer"] == "Linear"
    torch.testing.assert_close(model[0].weight, plain[0].weight)


def test_orthogonal_parametrizations_take_only_orthogonal_weights():
    model = nn.Sequential(parametrizations.orthogonal(nn.Linear(8, 8)))
    init.initialize_(model, [Rule("*weight", "orthogonal_"), "auto"], seed=0)
    weight = model[0].weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(8), atol=1e-5, rtol=0)
    before = state(model)
    with pytest.raises(ValueError, match=r"'0\.weight' must be a weight that can be set"):
        init.initialize_(model, "kaiming", seed=0)
    assert same(before, state(model))


def test_a_lazy_parameter_is_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(3))
    for act in (init.plan, init.initialize_):
        with pytest.raises(ValueError, match=r"'1\.weight' must have a shape; got a lazy LazyLin"):
            act(model)


def test_a_meta_model_is_planned_and_after_to_empty_equals_one_built_as_usual():
    with torch.device("meta"):
        model = ResNet()
    assert init.plan(model).rows == init.plan(ResNet()).rows
    with pytest.raises(
        ValueError, match=r"must hold memory: call model\.to_empty.*'conv1\.weight'"
    ):
        init.initialize_(model)
    model.to_empty(device="cpu")
    assert same(drawn(model), drawn(ResNet()))


def test_a_meta_buffer_without_a_rule_is_named():
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_buffer("mask", torch.ones(2, device="meta"))
    with pytest.raises(ValueError, match="got none for mask"):
        init.plan(model)
    assert "mask" in rows(model, [Rule("mask", "ones_"), "auto"])


def test_buffers_other_than_a_norms_statistics_stay():
    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("bias", torch.tril(torch.ones(4, 4)))
            self.register_buffer("weight", torch.full((3, 3), 7.0))

    model = nn.Sequential(Causal(), nn.BatchNorm1d(2))
    for recipe in ("auto", "torch", [Rule("*", "ones_", on=nn.modules.batchnorm._NormBase)]):
        init.initialize_(model, recipe)
        assert torch.equal(model[0].bias, torch.tril(torch.ones(4, 4)))
        assert (model[0].weight == 7).all()
    init.initialize_(model, [Rule("0.weight", "zeros_"), "auto"])
    assert not model[0].weight.any()
    init.initialize_(model, [Rule("*bias", "ones_", on=Causal), "auto"])
    assert (model[0].bias == 1).all()


def test_values_stay_parameters_and_leaves():
    model = ResNet()
    ids = {name: id(parameter) for name, parameter in model.named_parameters()}
    model.fc.weight.requires_grad_(False)
    init.initialize_(model, seed=0)
    assert ids == {name: id(parameter) for name, parameter in model.named_parameters()}
    assert all(p.is_leaf for p in model.parameters())
    assert not model.fc.weight.requires_grad
