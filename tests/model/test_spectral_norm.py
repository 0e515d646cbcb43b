"""Layers whose weights are divided by their spectral norm, by a parametrization or by a hook."""

import copy
from itertools import pairwise

import pytest
import torch
from plans import rows, same, state
from side_effects import fingerprint
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import initguide as init
from initguide import Rule

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated")
KINDS = {"parametrization": parametrizations.spectral_norm, "hook": nn.utils.spectral_norm}


def plain(layer, **_):
    return layer


class Critic(nn.Module):
    """A discriminator of images, as of SN-GAN."""

    def __init__(self, norm):
        super().__init__()
        sizes = [3, 32, 64, 64, 128]
        self.down = nn.ModuleList(
            norm(nn.Conv2d(into, out, 3 + i % 2, 1 + i % 2, 1))
            for i, (into, out) in enumerate(pairwise(sizes))
        )
        self.real = norm(nn.Linear(128 * 16, 1, bias=False))

    def forward(self, x):
        for layer in self.down:
            x = F.leaky_relu(layer(x), 0.1)
        return self.real(x.flatten(1))


class Judge(nn.Module):
    """A deep discriminator of vectors; its first layer and a transposed one differ."""

    def __init__(self, norm):
        super().__init__()
        self.enter = nn.Linear(40, 256)
        self.body = nn.Sequential(
            *(m for _ in range(9) for m in (norm(nn.Linear(256, 256)), nn.ReLU()))
        )
        self.up = norm(nn.ConvTranspose1d(256, 20, 4))
        self.score = nn.Linear(80, 2)

    def forward(self, x):
        x = self.body(self.enter(x).tanh())
        return self.score(self.up(x[..., None]).relu().flatten(1))


def pixels():
    return torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def vectors():
    return torch.randn(64, 40, generator=torch.Generator().manual_seed(0))


CASES = {"convolutions": (Critic, pixels), "vectors": (Judge, vectors)}
every_case = pytest.mark.parametrize(("build", "batch"), CASES.values(), ids=CASES)
every_kind = pytest.mark.parametrize("norm", KINDS.values(), ids=KINDS)


def normed(model):
    """The layers under a spectral norm."""
    marks = ("parametrizations", "weight_orig")
    return [m for m in model.modules() if any(hasattr(m, mark) for mark in marks)]


def norm_of(layer):
    weight, axis = layer.weight.detach(), int(isinstance(layer, nn.ConvTranspose1d))
    return torch.linalg.svdvals(weight.movedim(axis, 0).flatten(1))[0].item()


@every_kind
@every_case
def test_the_original_weights_are_those_of_a_plain_model(build, batch, norm):
    model, other = build(norm), build(plain)
    done = init.initialize_(model, seed=3)
    init.initialize_(other, seed=3)
    weights = dict(other.named_parameters())
    for name, value in model.named_parameters():
        short = name.replace("parametrizations.weight.original", "weight")
        assert torch.equal(value, weights[short.replace("weight_orig", "weight")])
    assert {row["parameter"] for row in done.rows} == {*weights}
    notes = {row["note"] for row in rows(model).values() if row["std"]}
    assert "normalized by its spectral norm" in notes
    assert init.audit(model).findings == []
    assert not any("weight_u" in note for note in init.audit(model).notes)


@every_kind
@every_case
@pytest.mark.parametrize("training", [True, False])
def test_the_next_forward_has_a_spectral_norm_of_about_one(build, batch, norm, training):
    model = build(norm)
    init.initialize_(model, seed=0)
    model.train(training)(batch())
    assert len(normed(model)) in (5, 10)
    # A lower estimate of the norm leaves more than one.
    assert all(1 - 1e-4 < norm_of(layer) < 1.05 for layer in normed(model))


@every_kind
def test_a_seed_gives_the_vectors_as_well(norm):
    states = []
    for scratch in (0, 1):
        torch.manual_seed(scratch)
        model = Judge(norm)
        if scratch:
            model(vectors())
        init.initialize_(model, seed=5)
        states.append(state(model))
    assert same(*states)


@every_kind
@every_case
def test_looking_changes_nothing(build, batch, norm):
    model = build(norm)
    for _ in range(2):
        before = fingerprint(model)
        str(init.plan(model))
        init.plan(model, example=batch())
        init.audit(model)
        init.measure(model, batch(), loss=torch.sum)
        assert fingerprint(model) == before
        # The hook leaves a tensor of the graph in the layer.
        model(batch())


@every_kind
@every_case
def test_measure_finds_nothing_after_auto_and_no_gain_is_advised(build, batch, norm):
    model = build(norm)
    init.initialize_(model, seed=0)
    report = init.measure(model, batch(), loss=lambda y: F.softplus(-y).mean())
    assert report.findings == []
    assert len(report.rows) == len(rows(model)) - sum("bias" in name for name in rows(model))


@every_kind
def test_equal_units_are_still_found(norm):
    model = Judge(norm)
    init.initialize_(model, [Rule("body.4.weight", "constant_", val=0.1), "auto"], seed=0)
    found = init.measure(model, vectors(), loss=torch.sum).findings
    assert [each.where for each in found if each.kind == "symmetric units"] == ["body.4"]


@every_kind
@every_case
def test_on_an_error_all_is_as_before(build, batch, norm):
    model = build(norm)
    model(batch())
    name = "down.2.weight" if build is Critic else "up.weight"
    before, random = fingerprint(model), torch.get_rng_state()
    with pytest.raises(ValueError, match="divided by its spectral norm must not be zero"):
        init.initialize_(model, [Rule(name, "zeros_"), "auto"], seed=0)
    assert fingerprint(model) == before
    assert torch.equal(random, torch.get_rng_state())


@every_kind
def test_a_frozen_one_stays(norm):
    model = nn.Sequential(norm(nn.Linear(8, 8)), nn.Linear(8, 2))
    model[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    init.initialize_(model, seed=0)
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("0."))


def test_a_weight_with_another_parametrization_is_refused():
    layer = parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(9, 9)))
    with pytest.raises(ValueError, match="computed by WeightNorm, SpectralNorm"):
        init.initialize_(nn.Sequential(layer))


@pytest.mark.parametrize("recipe", ["spectral", "kaiming", "orthogonal", "torch"])
@pytest.mark.parametrize("norm", [*KINDS.values(), parametrizations.weight_norm])
def test_recipes_give_the_rules_of_a_plain_model(recipe, norm):
    def numbers(model):
        found = rows(model, recipe)
        return {name: (row["law"], row["std"], row["fan_in"]) for name, row in found.items()}

    model = nn.Sequential(norm(nn.Linear(16, 32)), nn.ReLU(), norm(nn.Linear(32, 4)))
    other = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    assert numbers(model) == numbers(other)
    init.initialize_(model, recipe, seed=0)
    init.audit(model, recipe).assert_ok()


@every_kind
@every_case
def test_lsuv_cannot_set_the_scale_and_changes_nothing(build, batch, norm):
    model = build(norm)
    before = state(model)
    with pytest.raises(ValueError, match=r"must have a weight that can be set; got .*SpectralNorm"):
        init.lsuv_(model, batch())
    assert same(before, state(model))
