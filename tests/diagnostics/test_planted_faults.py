"""`measure` on networks of realistic width: one planted fault each, found at the right layer."""

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from measured_networks import (
    WIDTH,
    ActorCritic,
    Decoder,
    Experts,
    InnerScale,
    Mlp,
    Modulated,
    OneBranch,
    Reader,
    Towers,
    Transposed,
    channels,
    densenet,
    handmade,
    ids,
    next_tokens,
    own,
    state_space,
)
from models import classes, mlp, vectors
from starts import default
from torch import nn
from torch.nn import functional as F

import initguide as init


def batch(seed=0):
    return vectors(seed, 32)


def pixels(seed=0):
    return vectors(seed, 3 * 32 * 32, 8).view(8, 3, 32, 32)


def pairs(y):
    return F.cross_entropy(14 * y, torch.arange(len(y)))


def regression(y):
    return (y - batch(1)).square().mean()


@dataclass
class Step:
    """What an agent returns."""

    policy: torch.distributions.Distribution
    value: torch.Tensor


class Plain:
    """An object of somebody's own class."""

    def __init__(self, policy, value):
        self.found = {"policy": [policy], "value": value}


def gaussian(mean, value):
    return torch.distributions.Normal(mean, 1.0), value


def categorical(logits, value):
    return Step(torch.distributions.Categorical(logits=logits), value)


def head(width=1024, depth=3):
    return lambda: mlp(depth, width=width)


def he(build):
    def made():
        model = build()
        init.initialize_(model, "kaiming", seed=0)
        return model

    return made


def plain_convolutions(depth=8, width=256):
    layers = [nn.Conv2d(3, width, 3, 2, 1), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Conv2d(width, width, 3, 1, 1), nn.ReLU()]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    return nn.Sequential(*layers, *head)


def normal(std):
    return lambda parameter: nn.init.normal_(parameter, std=std)


def times(factor):
    return lambda parameter: parameter.mul_(factor)


def fill(value):
    return lambda parameter: parameter.fill_(value)


# Each: the model, its batch, its loss, the parameter that is damaged, how, where it must be found.
DEEP = (he(lambda: mlp(10, nn.GELU, WIDTH)), lambda: vectors(0, WIDTH), classes)
LANGUAGE = (Decoder, ids, next_tokens)
OWN = (own, batch, classes)
LIST = (lambda: own(Transposed), batch, classes)
CONVOLUTIONS = (he(plain_convolutions), pixels, classes)
ROUTED = (lambda: Decoder(mixer=Experts), ids, next_tokens)
FUNCTIONAL = (lambda: Decoder(head="functional"), ids, next_tokens)
EINSUM = (lambda: Decoder(head="einsum"), ids, handmade)
TIED = (lambda: Decoder(head="tied module"), ids, next_tokens)
PLANTED = {
    "a large head": (*LANGUAGE, "head.weight", times(100), "head"),
    "a head of std 1": (*LANGUAGE, "head.weight", normal(1.0), "head"),
    "a head of std 1, another loss": (Decoder, ids, handmade, "head.weight", normal(1.0), "head"),
    "a head with swapped fans": (
        he(head()),
        lambda: vectors(0, 1024),
        classes,
        "6.weight",
        normal(math.sqrt(2 / 10)),
        "6",
    ),
    "a large head without a loss": (
        he(head()),
        lambda: vectors(0, 1024),
        None,
        "6.weight",
        times(30),
        "6",
    ),
    "a tied table, by a product": (*FUNCTIONAL, "tokens.weight", normal(1.0), "tokens.weight"),
    "a tied table, by einsum": (*EINSUM, "tokens.weight", normal(1.0), "tokens.weight"),
    "a tied table, by a module": (*TIED, "tokens.weight", normal(1.0), "head"),
    "an own matrix, tiny": (*OWN, "2.matrix", normal(1e-6), "2.matrix"),
    "an own matrix, huge": (*OWN, "2.matrix", normal(30.0), "2.matrix"),
    "an own matrix in a list, tiny": (*LIST, "3.held.0", normal(1e-6), "3.held.0"),
    "an own matrix in a list, huge": (*LIST, "1.held.0", normal(30.0), "1.held.0"),
    "an own factor, tiny": (*OWN, "3.factor", fill(1e-6), "3.factor"),
    "an own factor, huge": (*OWN, "3.factor", fill(30.0), "3.factor"),
    "places far larger than tokens": (*LANGUAGE, "places", normal(30.0), "places"),
    "experts without the scale of branches": (
        *ROUTED,
        "mlp.down",
        normal(0.02),
        "blocks.0.mlp.down",
    ),
    "attention without that scale": (
        *ROUTED,
        "proj.weight",
        normal(0.02),
        "blocks.0.attention.proj",
    ),
    "a step of a state-space layer": (
        state_space,
        ids,
        next_tokens,
        "2.mixer.dt_proj.bias",
        fill(1.0),
        "2.mixer.dt_proj",
    ),
    "a step by an own bias": (
        lambda: state_space(own_bias=True),
        ids,
        next_tokens,
        "3.mixer.dt_bias",
        fill(1.0),
        "3.mixer.dt_bias",
    ),
    "a dead block": (*CONVOLUTIONS, "6.bias", fill(-20.0), "6"),
    "one large layer in the middle": (*DEEP, "8.weight", times(1e4), "8"),
    "one small layer in the middle": (*DEEP, "10.weight", times(1e-4), "10"),
    "one small convolution": (*CONVOLUTIONS, "4.weight", times(1e-3), "4"),
    "one large layer in a branch": (
        *LANGUAGE,
        "blocks.3.mlp.down.weight",
        times(100),
        "blocks.3.mlp.down",
    ),
    "one large query": (
        *LANGUAGE,
        "blocks.2.attention.qkv.weight",
        times(100),
        "blocks.2.attention.qkv",
    ),
    "a zero layer": (*DEEP, "6.weight", fill(0.0), "6"),
    "a table of zeros": (
        lambda: nn.Sequential(
            nn.Embedding(1000, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1000)
        ),
        ids,
        next_tokens,
        "0.weight",
        fill(0.0),
        "0",
    ),
    "one tower of zeros": (Towers, batch, pairs, "one.0.weight", fill(0.0), "one.0"),
    "an own matrix of zeros": (*OWN, "2.matrix", fill(0.0), "2.matrix"),
    "constant weights": (*DEEP, "4.weight", fill(0.01), "4"),
    "a NaN": (
        *LANGUAGE,
        "blocks.1.mlp.up.weight",
        lambda w: w[3, 5].fill_(math.nan),
        "blocks.1.mlp.up",
    ),
    "copied layers": (
        *LANGUAGE,
        "attention.qkv.weight",
        lambda w: w.copy_(
            nn.init.normal_(w.clone(), std=0.02, generator=torch.Generator().manual_seed(0))
        ),
        "blocks.1.attention.qkv",
    ),
}

# Published starts, and others that are sound.
SOUND = {
    "a decoder": LANGUAGE,
    "a decoder with another loss": (Decoder, ids, handmade),
    "a decoder without a loss": (Decoder, ids, None),
    "a tied decoder": TIED,
    "a decoder with a functional head": FUNCTIONAL,
    "a decoder with experts": ROUTED,
    "own weights": OWN,
    "own weights in a list": LIST,
    "a state-space model": (state_space, ids, next_tokens),
    "a state-space model with an own bias": (lambda: state_space(own_bias=True), ids, next_tokens),
    "many states": (lambda: state_space(states=128, depth=2), ids, next_tokens),
    "many states, an own bias": (
        lambda: state_space(states=100, own_bias=True, depth=2),
        ids,
        next_tokens,
    ),
    "two towers": (Towers, batch, pairs),
    "factors of 1e-6 inside others": (InnerScale, batch, classes),
    "factors of 1e-5 after attention between channels": (channels, batch, classes),
    "a modulation of zeros": (Modulated, batch, regression),
    "a modulation of zeros without a loss": (Modulated, batch, None),
    "a dense network": (densenet, pixels, classes),
    "an agent": (lambda: ActorCritic(lambda policy, value: (policy, value)), batch, None),
    "an agent with a distribution": (lambda: ActorCritic(gaussian), batch, None),
    "an agent with a dataclass": (lambda: ActorCritic(categorical), batch, None),
    "an agent with an object": (lambda: ActorCritic(Plain), batch, None),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_at_its_layer(name):
    build, inputs, loss, parameter, damage, where = PLANTED[name]
    model = default(build, 0)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for each, tensor in model.named_parameters():
            if f".{each}".endswith(f".{parameter}"):
                damage(tensor)
    found = init.measure(model, inputs(), loss=loss).findings
    assert found
    assert [each.where for each in found if each.severity == "error"][:1] in ([where], [])
    assert where in {each.where for each in found}


def test_a_deep_branch_loses_the_gradient():
    for std, right in ((0.03, ["gradient vanishes"]), (WIDTH**-0.5, [])):
        model = default(lambda std=std: OneBranch(std), 0)
        found = init.measure(model, batch(), loss=classes).findings
        assert [each.kind for each in found] == right


def test_what_an_author_may_have_meant_is_a_warning():
    found = init.measure(default(lambda: Reader(1e-5), 0), batch(), loss=classes).findings
    assert {each.kind for each in found} == {"input ignored", "gradient vanishes"}
    assert {each.severity for each in found} == {"warning"}
    assert all("not known whether this is meant: the branch before scales" in e.hint for e in found)
    assert init.measure(default(lambda: Reader(1.0), 0), batch(), loss=classes).findings == []


class Timed(nn.Module):
    """A network that adds a projection of the time, which is the same for all inputs."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(32, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH))
        self.time, self.score = nn.Linear(1, WIDTH, bias=False), nn.Linear(WIDTH, 10)

    def forward(self, x, t):
        x = self.body(x)
        return self.score(x + self.time(t))


def test_a_layer_that_gives_the_same_for_all_inputs_is_no_part_of_the_signal():
    model = default(Timed, 0)
    times = torch.full((len(batch()), 1), 1e-3)
    report = init.measure(model, batch(), times)
    assert {row["layer"]: row["rms"] for row in report.rows}["time"] < 1e-3
    assert report.findings == []


class Sign(nn.Module):
    """A step, which keeps the size of the signal and passes no gradient."""

    def forward(self, x):
        return torch.sign(x)


def test_a_gradient_of_zero_is_found_where_it_becomes_zero():
    sizes = [32, WIDTH, WIDTH, WIDTH, WIDTH]
    layers = [nn.Linear(*pair, bias=False) for pair in pairwise(sizes)]
    model = nn.Sequential(layers[0], nn.Tanh(), layers[1], Sign(), layers[2], nn.Tanh(), layers[3])
    model.append(nn.Linear(WIDTH, 10))
    init.initialize_(model, "xavier", seed=0)
    (found,) = init.measure(model, batch(), loss=classes).findings
    assert (found.kind, found.where) == ("gradient vanishes", "4")


class Faded(nn.Module):
    """A residual network that divides each of its sums."""

    def __init__(self, factor):
        super().__init__()
        self.enter, self.leave = nn.Linear(32, WIDTH), nn.Linear(WIDTH, 10)
        self.blocks, self.factor = nn.ModuleList(Mlp() for _ in range(8)), factor

    def forward(self, x):
        x = self.enter(x)
        for block in self.blocks:
            x = self.factor * (x + block(x))
        return self.leave(x)


def test_a_gradient_that_is_lost_on_the_way_through_the_sums_is_found():
    for factor, is_lost in ((0.3, True), (1.0, False)):
        found = init.measure(default(lambda f=factor: Faded(f), 0), batch(), loss=classes).findings
        assert ("gradient vanishes" in {each.kind for each in found}) == is_lost


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_network_has_no_findings(name):
    build, inputs, loss = SOUND[name]
    for seed in range(2):
        report = init.measure(default(build, seed), inputs(), loss=loss)
        assert report.findings == []
        assert report.notes == []


# "auto" draws the table as a table, though the forward multiplies by it as well.
@pytest.mark.parametrize("name", [n for n in SOUND if "agent" not in n and "functional" not in n])
def test_a_network_has_no_findings_after_initialize(name):
    build, inputs, loss = SOUND[name]
    model = build()
    init.initialize_(model, ["auto", "keep"], seed=0)
    assert init.measure(model, inputs(), loss=loss).findings == []
