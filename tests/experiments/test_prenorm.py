"""Residual networks with a norm before each branch: their formula and their start."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments.prenorm import DyT, prenorm

pytestmark = pytest.mark.usefixtures("random_states_kept")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("last", "multiplier"), [(1.0, 1.0), (0.25, 1.0), (1.0, 0.5)])
def test_the_network_computes_its_formula(last, multiplier):
    model = prenorm(2, 16, last=last, multiplier=multiplier, generator=seeded())
    weights = [
        layer.weight
        for layer in prenorm(2, 16, generator=seeded()).modules()
        if isinstance(layer, nn.Linear)
    ]
    x = torch.randn(5, 64, generator=seeded(1))
    h = x @ weights[0].T
    for first, second in (weights[1:3], weights[3:5]):
        h = h + last * multiplier * F.relu(F.layer_norm(h, (16,)) @ first.T) @ second.T
    torch.testing.assert_close(model(x), F.layer_norm(h, (16,)) @ weights[5].T)


def test_branches_that_end_at_zero_have_no_effect():
    model = prenorm(3, 16, last=0.0, generator=seeded())
    x = torch.randn(5, 64, generator=seeded(1))
    torch.testing.assert_close(model(x), model[-1](model[-2](model[0](x))))


def test_each_layer_has_the_std_of_its_method():
    model = prenorm(1, 512, generator=seeded())
    block = model[1]
    assert model[0].weight.std().item() == pytest.approx(64**-0.5, rel=0.02)
    assert block.first.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert block.last.weight.std().item() == pytest.approx(512**-0.5, rel=0.02)
    assert model[-1].weight.std().item() == pytest.approx(512**-0.5, rel=0.05)


def test_dynamic_tanh_has_one_factor_and_starts_without_scale_and_shift():
    x = torch.randn(5, 8, generator=seeded())
    layer = DyT(8, alpha=0.5)
    torch.testing.assert_close(layer(x), torch.tanh(x / 2))
    assert [tuple(p.shape) for p in layer.parameters()] == [(1,), (8,), (8,)]
    model = prenorm(2, 8, norm=partial(DyT, alpha=2.0), generator=seeded())
    assert [m.alpha.item() for m in model.modules() if isinstance(m, DyT)] == [2.0] * 3
