"""Which rule a parameter gets, the effect of a rule, and the errors of rules."""

import math

import numpy as np
import pytest
import torch
from plans import drawn, rows, same, state, stds
from torch import nn
from zoo import Plain, ResNet

import initguide as init
from initguide import Rule


class Scaled(nn.Module):
    """A custom layer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(12, 12)
        self.matrix = nn.Parameter(torch.empty(20, 12))
        self.gamma = nn.Parameter(torch.empty(20))

    def forward(self, x):
        return self.gamma * (self.inner(x) @ self.matrix.T)


def test_rules_for_custom_modules():
    own = [Rule("*matrix", "xavier_uniform_", on=Scaled), Rule("*gamma", "constant_", val=1e-4)]
    plan = rows(nn.Sequential(Scaled(), nn.ReLU()), [*own, "auto"])
    assert plan["0.matrix"]["std"] == pytest.approx(math.sqrt(2 / 32))
    assert (plan["0.gamma"]["mean"], plan["0.gamma"]["std"]) == (1e-4, 0)
    assert plan["0.inner.weight"]["std"] == pytest.approx(1 / math.sqrt(12))


class Biased(nn.Module):
    """One whose layers' names hold the word that biases are known by."""

    def __init__(self):
        super().__init__()
        self.bias_table = nn.Embedding(9, 4)
        self.debias = nn.Linear(4, 4)
        self.bias = nn.Conv1d(4, 4, 3)

    def forward(self, x):
        y = self.debias(self.bias_table(x)).relu()
        return y + self.bias(y.mT).mean(-1, keepdim=True).mT


@pytest.mark.parametrize("recipe", ["auto", "torch", "xavier", "kaiming", "orthogonal", "gpt2"])
def test_a_weight_is_no_bias_for_any_name_of_its_module(recipe):
    plan = rows(Biased(), recipe)
    assert all(plan[f"{name}.weight"]["std"] != 0 for name in ("bias_table", "debias", "bias"))
    assert recipe == "torch" or plan["debias.bias"]["law"] == "zeros_"


class Strange(Scaled):
    """One whose parameters are used in a way that suggests no method."""

    def forward(self, x):
        return self.gamma.cumsum(0) * (self.inner(x) @ self.matrix.sin().T)


@pytest.mark.parametrize("recipe", ["auto", "torch", "xavier", "kaiming", "orthogonal"])
def test_a_parameter_without_a_rule_is_an_error(recipe):
    model, random = nn.Sequential(Strange()), torch.get_rng_state()
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    before = state(model)
    with pytest.raises(
        ValueError, match=r"got none for 0\.matrix, 0\.gamma: put Rule\('0\.matrix'"
    ):
        init.initialize_(model, recipe, keep_deliberate=False)
    assert same(before, state(model))
    assert torch.equal(random, torch.get_rng_state())


def test_a_rule_that_matches_nothing_is_an_error():
    for recipe in (
        [Rule("fc9*", "zeros_"), "auto"],
        ["auto", Rule("fc1.weight", "zeros_")],
        [Rule("fc1*", "zeros_"), Rule("*", "ones_"), Rule("fc1.weight", "ones_")],
    ):
        with pytest.raises(ValueError, match="each rule must match a parameter; got none for R"):
            init.plan(Plain(), recipe)


def test_the_first_match_wins_and_names_in_a_list_stand_for_their_rules():
    plan = rows(Plain(), [Rule("fc1.*", "zeros_"), Rule("fc*.weight", "ones_"), "xavier"])
    laws = {name: row["law"] for name, row in plan.items()}
    assert laws == {
        "fc1.weight": "zeros_",
        "fc1.bias": "zeros_",
        "fc2.weight": "ones_",
        "fc2.bias": "zeros_",
        "fc3.weight": "ones_",
        "fc3.bias": "zeros_",
    }
    both = rows(Plain(), [Rule("fc3.weight", "zeros_"), "xavier", "kaiming"])
    assert both["fc1.weight"]["law"] == "xavier_uniform_"


def test_before_ends_times_and_shape_fans():
    plan = stds(
        ResNet(),
        [
            Rule("*weight", "zeros_", on=nn.Conv2d, ends=True),
            Rule("*conv1.weight", "kaiming_normal_", before="relu", ends=False, times=-0.5),
            "xavier",
        ],
    )
    assert plan["layer1.0.conv2.weight"] == 0
    assert plan["layer1.0.conv1.weight"] == pytest.approx(0.5 * math.sqrt(2 / 72))
    assert plan["fc.weight"] == pytest.approx(math.sqrt(2 / 26))
    model = nn.Sequential(nn.ConvTranspose2d(8, 6, 2, stride=2), nn.Conv2d(6, 6, 3, groups=6))
    for whole, fan_in in ((True, (24, 9)), (False, (8, 9))):
        rule = Rule("*weight", "xavier_normal_", shape_fans=whole)
        assert [rows(model, [rule, "auto"])[f"{i}.weight"]["fan_in"] for i in (0, 1)] == [*fan_in]
    # Xavier's mean of the fans: 9 and 54 by the shape, 9 and 9 by the layer.
    assert stds(model, [rule, "auto"])["1.weight"] == pytest.approx(math.sqrt(1 / 9))


def test_times_scales_the_values_themselves():
    one, two = (
        drawn(Plain(), [Rule("fc1.weight", law, times=times, **options), "auto"])["fc1.weight"]
        for law, times, options in (
            ("normal_", 1.0, {"mean": 1.0, "std": 0.1}),
            ("normal_", -3.0, {"mean": 1.0, "std": 0.1}),
        )
    )
    torch.testing.assert_close(two, -3 * one)
    plan = rows(Plain(), [Rule("fc1.weight", "normal_", mean=1, std=0.1, times=-3), "auto"])
    assert plan["fc1.weight"]["mean"] == -3
    assert plan["fc1.weight"]["std"] == pytest.approx(0.3)


def test_a_method_by_name_by_function_and_a_custom_function():
    for law in ("xavier_normal_", "xavier_normal", init.xavier_normal_, init.xavier_normal):
        assert stds(Plain(), [Rule("*weight", law), "auto"])["fc1.weight"] == pytest.approx(
            math.sqrt(2 / 164)
        )

    def halves_(tensor, generator):
        tensor.bernoulli_(0.5, generator=generator)

    one = drawn(Plain(), [Rule("fc1.weight", halves_), "auto"])
    other = drawn(Plain(), [Rule("fc1.weight", halves_), "auto"])
    assert same(one, other)
    assert one["fc1.weight"].unique().tolist() == [0, 1]
    # One that takes no generator is seeded by the global state, which stays.
    model, random = Plain(), torch.get_rng_state()
    one = drawn(model, [Rule("fc1.weight", _bernoulli_), "auto"])
    other = drawn(model, [Rule("fc1.weight", _bernoulli_), "auto"])
    assert same(one, other)
    assert torch.equal(random, torch.get_rng_state())


def _bernoulli_(tensor):
    tensor.bernoulli_(0.5)


def test_a_function_may_change_the_present_values():
    model = Plain()
    init.initialize_(model, "torch", seed=0)
    before = state(model)
    init.initialize_(model, [Rule("fc1.weight", lambda w: w.mul_(2)), "torch"], seed=0)
    torch.testing.assert_close(model.fc1.weight, 2 * before["fc1.weight"])


ERRORS = {
    "an unknown recipe": (
        "xaver",
        ValueError,
        "^recipe must be 'xavier', 'auto', .* 'keep', .*; got 'xaver'$",
    ),
    "a code base without its hyphen": (
        ["nano-chat"],
        ValueError,
        "^recipe must be 'nanochat', .*'auto', .*; got 'nano-chat'$",
    ),
    "a rule alone": (Rule("*", "zeros_"), TypeError, "recipe must be a name or a list of rules"),
    "a number": ([3], TypeError, "recipe must hold rules and names of recipes; got 3"),
    "an unknown name inside": (["xaver"], ValueError, "got 'xaver'"),
    "an unknown method": (
        [Rule("*", "norm")],
        ValueError,
        r"must fit 'fc1\.weight'; got: law must be",
    ),
    "a bad option": (
        [Rule("*", "normal_", sd=1)],
        TypeError,
        r"must fit 'fc1\.weight'; got: .*'sd'",
    ),
    "a bad value": (
        [Rule("*", "normal_", std=-1)],
        ValueError,
        r"fit 'fc1\.weight'; got: std must",
    ),
    "no fans": ([Rule("*", "xavier_normal_")], ValueError, r"fit 'fc1\.bias'; got: .*2 dimensions"),
    "no shape": ([Rule("*", "orthogonal_")], ValueError, r"must fit 'fc1\.bias'"),
    "nothing": ([], ValueError, "got none for fc1.weight, fc1.bias, fc2.weight, .*, …: put"),
}


@pytest.mark.parametrize(("recipe", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_the_rule_and_then_the_value(recipe, kind, message):
    with pytest.raises(kind, match=message):
        init.plan(Plain(), recipe)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3)])
def test_a_seed_may_be_an_integer_of_numpy(seed):
    one, other = Plain(), Plain()
    init.initialize_(one, seed=seed)
    init.initialize_(other, seed=3)
    assert torch.equal(one.fc1.weight, other.fc1.weight)


def test_errors_of_arguments():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module; got Linear|got type"):
        init.plan(nn.Linear)
    for seed in (1.5, True, "0"):
        with pytest.raises(TypeError, match="seed must be an integer; got"):
            init.initialize_(Plain(), seed=seed)
    with pytest.raises(TypeError, match="pattern must be a string; got 3"):
        Rule(3, "zeros_")
    with pytest.raises(TypeError, match="law must be a name or a function; got 3"):
        Rule("*", 3)
    with pytest.raises(TypeError, match="times must be a number; got 'two'"):
        Rule("*", "zeros_", times="two")


def test_the_repr_of_a_rule():
    rule = Rule(
        "*w", "normal_", on=(nn.Linear, nn.Conv2d), before="relu", ends=True, times=2, std=3
    )
    text = "Rule('*w', normal_, on=(Linear, Conv2d), before=('relu',), ends=True, times=2.0, std=3)"
    assert repr(rule) == text


def _raises_(tensor):
    tensor.fill_(9)
    raise RuntimeError("of its own")


def _returns(tensor):
    return torch.zeros_like(tensor)


@pytest.mark.parametrize(("law", "kind"), [(_raises_, RuntimeError), (_returns, ValueError)])
@pytest.mark.parametrize("seed", [None, 0])
def test_a_function_that_raises_changes_nothing(law, kind, seed):
    # The last to be filled, so that all others could have been.
    model, random = Plain(), torch.get_rng_state()
    before = state(model)
    with pytest.raises(kind) as error:
        init.initialize_(model, [Rule("fc3.bias", law), "auto"], seed=seed)
    assert error.value.__notes__ == [f"raised by {law.__name__} for 'fc3.bias'"]
    assert same(before, state(model))
    assert torch.equal(random, torch.get_rng_state())
