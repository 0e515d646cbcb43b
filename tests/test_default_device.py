"""A default device, such as meta while a large model is built, changes no gain, plan or draw."""

import pytest
import torch
from torch import nn

import initguide as init


class CubedTanh(nn.Module):
    """An activation that no other test has put into a cache."""

    def forward(self, z):
        return torch.tanh(z) ** 3


class Shifted(nn.Module):
    """An activation that makes a tensor of its own."""

    def forward(self, z):
        return torch.relu(z - torch.tensor(0.25))


class OwnNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + torch.tensor(1e-6))


def network(activation, norm=nn.Identity):
    return nn.Sequential(nn.Linear(40, 40), norm(40), activation(), nn.Linear(40, 4))


@pytest.mark.parametrize("activation", [nn.SiLU, CubedTanh, Shifted])
def test_a_plan_on_meta_leaves_later_plans_right(activation):
    with torch.device("meta"):
        on_meta = init.plan(network(activation)).rows
    rows = init.initialize_(network(activation), seed=0).rows
    assert on_meta == rows
    assert rows[0]["before"] == activation.__name__.lower()


def test_a_custom_norm_is_recognized_under_meta():
    with torch.device("meta"):
        on_meta = init.plan(network(nn.ReLU, OwnNorm)).rows
    assert on_meta == init.plan(network(nn.ReLU, OwnNorm)).rows
    assert on_meta[2] == {**on_meta[2], "parameter": "1.weight", "law": "ones_"}


@pytest.mark.parametrize("activation", ["gelu", CubedTanh(), Shifted(), torch.sin])
@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_gains_are_the_same(activation, kind):
    with torch.device("meta"):
        under_meta = init.gain(activation, kind)
    assert under_meta == init.gain(activation, kind)


def test_the_theory_is_the_same():
    with torch.device("meta"):
        rms = init.propagate("tanh", 1.3, 0.2, 5).second_moment
        edge = init.critical("tanh", sigma_b=0.3).sigma_w
    assert (rms == init.propagate("tanh", 1.3, 0.2, 5).second_moment).all()
    assert edge == init.critical("tanh", sigma_b=0.3).sigma_w


@pytest.mark.parametrize(
    "fill",
    [
        lambda w, g: init.kaiming_normal_(w, nonlinearity="gelu", generator=g),
        lambda w, g: init.orthogonal_(w, gain="tanh", generator=g),
        lambda w, g: init.trunc_normal_(w, generator=g),
        lambda w, g: init.sparse_(w, 0.5, generator=g),
        lambda w, g: init.sparse_incoming_(w, 3, generator=g),
    ],
    ids=["kaiming", "orthogonal", "trunc_normal", "sparse", "sparse_incoming"],
)
def test_a_tensor_on_the_cpu_gets_the_same_values(fill):
    def drawn():
        return fill(torch.empty(300, 250, device="cpu"), torch.Generator().manual_seed(0))

    with torch.device("meta"):
        under_meta = drawn()
    assert torch.equal(under_meta, drawn())


@pytest.mark.parametrize("seed", [0, None])
def test_a_model_on_the_cpu_is_initialized_and_checked(seed):
    with torch.device("meta"):
        model = network(CubedTanh).to_empty(device="cpu")
        init.initialize_(model, seed=seed)
        assert init.audit(model).ok
        report = init.check_initializer(init.orthogonal_, like="orthogonal_")
    assert report.ok


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_default_dtype_has_no_say_in_the_places_of_connections(dtype):
    def drawn():
        weight = torch.zeros(2000, 64, dtype=torch.float32)
        return init.sparse_incoming_(weight, 3, generator=torch.Generator().manual_seed(0))

    torch.set_default_dtype(dtype)
    try:
        under_it = drawn()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(under_it, drawn())
