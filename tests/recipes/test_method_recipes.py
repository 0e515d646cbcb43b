"""The recipes of published methods: numbers worked by hand, a model of each family, the audit."""

import math

import pytest
import torch
from method_models import METHODS, THIRD, Actor, Residual, Tanh
from models import mlp
from scipy import stats
from torch import nn

import initguide as init
from initguide.recipes.code_bases.methods import TRANSFORMER_METHODS

NAMES = [*METHODS]


def rows(model, recipe, **options):
    return {row["parameter"]: row for row in init.plan(model, recipe, **options).rows}


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_has_the_numbers_worked_by_hand(name):
    make, options, _, numbers = METHODS[name]
    planned = rows(make(), name, **options)
    found = {key: (planned[key]["mean"], planned[key]["std"]) for key in numbers}
    assert found == {key: pytest.approx(pair, rel=1e-5) for key, pair in numbers.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_audit_tells_a_method_from_its_neighbour(name):
    make, options, neighbour, _ = METHODS[name]
    model = make()
    init.initialize_(model, name, seed=3, **options)
    assert init.audit(model, name, **options).findings == []
    assert not init.audit(model, [neighbour, "keep"]).ok


def test_there_are_at_least_fifteen_published_methods():
    older = {"gpt2", "fixup", "zero_gamma"}
    names = {*NAMES, *older, *(record.name for record in TRANSFORMER_METHODS)}
    assert names <= init.RECIPES.keys()
    assert len(names) >= 15


class Wave(nn.Module):
    def forward(self, x):
        return (30 * x).sin()


class Chirp(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("omega", torch.tensor(30.0))

    def forward(self, x):
        return torch.sin(self.omega * (x.abs() + 1) * x)


@pytest.mark.parametrize(
    ("activation", "recipe", "options"), [(Wave, "siren", {}), (Chirp, "finer", {"bias_bound": 1})]
)
def test_a_sine_is_recognized_in_a_module_of_any_name(activation, recipe, options):
    model = nn.Sequential(nn.Linear(2, 64), activation(), nn.Linear(64, 64), activation())
    init.initialize_(model, recipe, **options, seed=0)
    assert model[0].weight.abs().max().item() == pytest.approx(1 / 2, rel=0.05)
    assert model[2].weight.abs().max().item() == pytest.approx((6 / 64) ** 0.5 / 30, rel=0.01)


class Product(nn.Module):
    """A sine network whose forward is written in one piece, with a head."""

    def __init__(self, omega, width=128):
        super().__init__()
        self.omega = omega
        self.hidden = nn.ModuleList([nn.Linear(3, width), nn.Linear(width, width)])
        self.hidden.append(nn.Linear(width, width, bias=False))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        for layer in self.hidden:
            x = torch.sin(self.omega * layer(x))
        return self.head(x)


@pytest.mark.parametrize("omega", [5.0, 30.0, 60.0])
def test_auto_draws_the_layers_of_a_sine_network_by_its_frequency(omega):
    model = Product(omega)
    rows = {row["parameter"]: row for row in init.initialize_(model, seed=0).rows}
    # Uniform within 1/3, and within sqrt(6 / 128) / omega.
    assert rows["hidden.0.weight"]["std"] == pytest.approx(THIRD / 3)
    for name in ("hidden.1.weight", "hidden.2.weight"):
        assert rows[name]["std"] == pytest.approx((6 / 128) ** 0.5 / omega * THIRD)
    assert rows["hidden.1.bias"]["std"] == pytest.approx(128**-0.5 * THIRD)
    assert rows["head.weight"]["std"] == pytest.approx(128**-0.5)
    assert "SIREN" in rows["hidden.0.weight"]["note"]
    x = 2 * torch.rand(256, 3, generator=torch.Generator().manual_seed(0)) - 1
    assert not init.measure(model, x).findings


def test_auto_gives_a_sine_of_frequency_one_the_gain_of_an_activation():
    rows = {row["parameter"]: row for row in init.plan(Product(1.0)).rows}
    assert rows["hidden.1.weight"]["law"] == "lecun_normal_"


ROLES = {
    "siren": "sine layer",
    "finer": "sine layer of variable period",
    "layer-scale": "scale of each channel of a branch",
    "rezero": "scalar of a branch",
    "skipinit": "scalar of a branch",
    "dyt": "scale inside a tanh",
    "adaln-zero": "modulation",
    "ppo": "value head",
    "chrono": "LSTM or GRU",
    "s4d": "log time step",
    "lora": "lora_a",
}


@pytest.mark.parametrize("name", ROLES)
def test_a_model_of_another_family_gets_one_sentence_with_the_role(name):
    model, options = mlp(2), METHODS[name][1]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"recipe '{name}' needs .* the role '{ROLES[name]}'"):
        init.initialize_(model, name, **options)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("chrono", {}, "recipe 'chrono' needs the option 'steps'; got none"),
        ("siren", {"w0": 3}, "recipe 'siren' has the options omega; got 'w0'"),
        ("chrono", {"steps": "many"}, "steps must be a number; got 'many'"),
        ("chrono", {"steps": 2}, "steps must be more than 2; got 2"),
        ("focal", {"prior": 1}, "prior must be between 0 and 1; got 1"),
        ("ppo", {"gain": 1}, "recipe 'ppo' has no options; got 'gain'"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        init.plan(METHODS[name][0](), name, **options)


@pytest.mark.parametrize(("blocks", "value"), [(18, 0.1), (19, 1e-5), (24, 1e-5), (25, 1e-6)])
def test_layer_scale_depends_on_the_depth(blocks, value):
    planned = rows(Residual(d=4, blocks=blocks, size=4), "layer-scale")
    assert planned["scales.7"]["mean"] == value
    given = rows(Residual(d=4, blocks=2, size=4), "layer-scale", value=0.3)
    assert given["scales.0"]["mean"] == 0.3


class InPlace(nn.Module):
    """A branch that is scaled in place and by a constant, as in networks without norms."""

    def __init__(self):
        super().__init__()
        self.layer, self.gain = nn.Linear(8, 8), nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.layer(x).mul_(self.gain) * 0.2 + x


def test_a_constant_factor_may_follow_the_scale_of_a_branch():
    assert rows(InPlace(), "skipinit")["gain"]["mean"] == 0


def test_the_scale_of_a_norm_is_no_scale_of_a_branch():
    """A dynamic tanh ends in a scale as well, but a parameter is added to that product."""
    with pytest.raises(ValueError, match=r"needs .* the role 'scale of each channel of a branch'"):
        init.plan(Residual(norm=Tanh), "layer-scale")


def test_chrono_gates_forget_within_the_range_of_steps():
    model = METHODS["chrono"][0]()
    init.initialize_(model, "chrono", seed=0, steps=100)
    for name in ("l0", "l0_reverse", "l1", "l1_reverse"):
        takes, forgets, cell, output = model.lstm.get_parameter(f"bias_ih_{name}").chunk(4)
        assert torch.equal(takes, -forgets)
        assert not cell.any()
        assert not output.any()
        times = forgets.detach().exp().numpy()
        assert stats.kstest(times, stats.uniform(1, 98).cdf).pvalue > 1e-4
    reset, update, new = model.gru.bias_ih_l0.chunk(3)
    assert not reset.any()
    assert not new.any()
    assert stats.kstest(update.detach().exp().numpy(), stats.uniform(1, 98).cdf).pvalue > 1e-4
    # A gate of sigmoid(log T) keeps T / (T + 1) of the state.
    kept = torch.sigmoid(torch.tensor(99.0).log()).item()
    assert kept == pytest.approx(0.99)


def test_s4d_has_the_frequencies_and_steps_of_its_code():
    model = METHODS["s4d"][0]()
    init.initialize_(model, "s4d", seed=0)
    assert model.A_imag[5, :3].tolist() == pytest.approx([0, math.pi, 2 * math.pi])
    steps = model.log_dt.detach().numpy()
    law = stats.uniform(math.log(0.001), math.log(100))
    assert stats.kstest(steps, law.cdf).pvalue > 1e-4
    assert model(torch.randn(2, 32, 20)).isfinite().all()


def test_the_value_head_is_found_by_its_name_or_its_one_output():
    model = Actor()
    model.one = nn.Linear(64, 1)
    with pytest.raises(ValueError, match="'value head'; got the last layers one, two"):
        init.plan(model, "ppo")

    class Named(Actor):
        def __init__(self):
            super().__init__()
            self.critic = nn.Linear(64, 1)
            self.one = nn.Linear(64, 1)
            del self.two

        def forward(self, x):
            h = self.body(x)
            return self.one(h), self.critic(h)

    planned = rows(Named(), "ppo")
    assert planned["critic.weight"]["std"] == pytest.approx(1 / 8)
    assert planned["one.weight"]["std"] == pytest.approx(0.01 / 8)


def test_the_class_head_gives_the_prior():
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))
    init.initialize_(model, "focal", seed=0, prior=0.2)
    chance = model(torch.randn(100, 8, generator=torch.Generator().manual_seed(0))).sigmoid()
    assert chance.mean().item() == pytest.approx(0.2, abs=0.01)


def test_one_of_several_last_layers_must_be_the_class_head():
    with pytest.raises(ValueError, match="'class head'; got the last layers one, two"):
        init.plan(Actor(), "focal")


def test_lora_leaves_the_rest_as_it_is():
    model = METHODS["lora"][0]()
    before = model[0].base.weight.clone()
    head = nn.Linear(64, 5)
    both = nn.Sequential(model, head)
    kept = head.weight.clone()
    init.initialize_(both, "lora", seed=0)
    assert torch.equal(model[0].base.weight, before)
    assert torch.equal(head.weight, kept)
    x = torch.randn(4, 64)
    assert torch.equal(model[0](x), model[0].base(x))


def test_a_spectral_start_has_the_spectral_norm_of_the_paper():
    """The norm of a Gaussian matrix is std * (sqrt(out) + sqrt(in)), so 1 + sqrt(in / out) here."""
    wide, narrow = nn.Linear(400, 100, bias=False), nn.Linear(100, 400, bias=False)
    for layer in (wide, narrow):
        init.initialize_(layer, "spectral", seed=0)
        n_out, n_in = layer.weight.shape
        norm = torch.linalg.matrix_norm(layer.weight.detach(), 2).item()
        assert 1 < norm / math.sqrt(n_out / n_in) < 1.6
