"""Rules are resolved to plans: the errors, the notes and the options, word by word."""

import pytest
import torch
from torch import nn

import initguide as init


class Holder(nn.Module):
    """Parameters whose use in the forward suggests no method."""

    def __init__(self, count):
        super().__init__()
        for i in range(count):
            self.register_parameter(f"p{i}", nn.Parameter(torch.ones(3, 3)))

    def forward(self, x):
        for i in range(len(self._parameters)):
            x = x + torch.special.erf(getattr(self, f"p{i}"))
        return x


def refused(model, recipe="kaiming", **options):
    with pytest.raises(ValueError, match="must have a rule") as caught:
        init.plan(model, recipe, **options)
    return str(caught.value)


def test_at_most_five_parameters_without_a_rule_are_named():
    advice = "put Rule('p0', ...) before the recipe, or 'keep' after it to leave them unchanged"
    use = " (the forward uses it in erf, which suggests no method)"
    for count, listed in ((1, "p0"), (5, "p0, p1, p2, p3, p4"), (6, "p0, p1, p2, p3, p4, …")):
        words = f"each parameter must have a rule; got none for {listed}: {advice}{use}"
        assert refused(Holder(count)) == words


def test_a_rule_that_matches_nothing_is_named():
    rules = [init.Rule("weight", "zeros_"), init.Rule("nothing", "ones_"), "torch"]
    with pytest.raises(ValueError, match=r"each rule must match a parameter; got none for Rule\("):
        init.plan(nn.Linear(3, 3), rules)
    # A rule of a recipe may match nothing.
    assert len(init.plan(nn.Linear(3, 3), "torch").entries) == 2


def notes(model, recipe="torch"):
    return {row["parameter"]: row["note"] for row in init.plan(model, recipe).rows}


def test_notes_name_padding_ties_and_norms():
    found = notes(nn.Embedding(9, 4, padding_idx=3))
    assert found["weight"] == "row 3 is padding, and zero"
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "c": nn.Linear(4, 4)})
    model["b"].weight = model["c"].weight = model["a"].weight
    found = notes(model)
    assert found["a.weight"].startswith("tied with b.weight, c.weight;")
    assert not found["a.bias"]
    # A module with two names is tied to nothing.
    model = nn.ModuleDict({"a": nn.Linear(4, 4)})
    model["again"] = model["a"]
    assert not any("tied" in (note or "") for note in notes(model).values())
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    kept = notes(normed, "keep")
    assert "normalized by its spectral norm" not in kept.values()
    assert "normalized by its spectral norm" in notes(normed, [init.Rule("*", "normal_")]).values()


def test_a_row_of_padding_is_kept_where_values_are_kept():
    (entry,) = init.plan(nn.Embedding(9, 4, padding_idx=3), "keep").entries
    assert entry.padding_row is None
    (entry,) = init.plan(nn.Embedding(9, 4, padding_idx=0), "torch").entries
    assert entry.padding_row == 0


@pytest.mark.parametrize(("gain", "expected"), [("auto", "relu"), ("unit", "unit"), (3.0, 3.0)])
def test_the_gain_may_be_that_of_the_activation_after(gain, expected):
    model = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 100))
    rules = [init.Rule("0.weight", "lecun_normal_", gain=gain), "torch"]
    row = init.plan(model, rules).rows[0]
    gains = {"relu": init.gain("relu"), "unit": init.gain("relu")}
    assert row["std"] == pytest.approx(gains.get(expected, expected) / 200**0.5)
    if gain == 3.0:
        # An option of another name keeps its text.
        with pytest.raises(ValueError, match=r"must fit '0\.weight'"):
            init.plan(model, [init.Rule("0.weight", "kaiming_normal_", mode="auto"), "torch"])


def test_the_unit_gain_of_an_activation_with_an_offset_is_not_its_gain():
    model = nn.Sequential(nn.Linear(200, 100), nn.GELU(), nn.Linear(100, 100))
    stds = [
        init.plan(model, [init.Rule("0.weight", "lecun_normal_", gain=g), "torch"]).rows[0]["std"]
        for g in ("auto", "unit")
    ]
    assert stds[0] == pytest.approx(init.gain("gelu") / 200**0.5)
    # The scale at which the signal after the activation has the size one.
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    after = nn.functional.gelu(stds[1] * 200**0.5 * z)
    assert after.square().mean().sqrt().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("shape", [(4, 6), (4, 0), (6,)])
def test_only_weights_with_entries_have_fans(shape):
    class Weight(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(shape))

        def forward(self, x):
            return nn.functional.linear(x, self.weight) if len(shape) > 1 else x + self.weight

    row = init.plan(Weight(), [init.Rule("*", "normal_")]).rows[0]
    assert row["fan_in"] == (6 if shape == (4, 6) else None)
