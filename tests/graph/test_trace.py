"""What follows each layer and which branch it ends, in the ways that people write networks."""

import operator

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import BRANCHES, NORMED, ZOO, NanoGPT, ResNet, Seq2Seq, WaveNet, encoder

import initguide as init
from initguide.graph.trace import trace
from initguide.graph.tracer import Tracer


class Between(nn.Module):
    """A layer, something, a layer."""

    def __init__(self, between, *modules):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8)
        self.between = between
        self.more = nn.ModuleList(modules)

    def forward(self, x):
        return self.b(self.between(self.a(x), *self.more))


class Square(nn.Module):
    def forward(self, x):
        return torch.relu(x) ** 2


class Swish(nn.Module):
    """An activation with a parameter."""

    def __init__(self):
        super().__init__()
        self.beta = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)


FOUND = {
    "a function": (F.relu, "relu"),
    "a function by its keyword": (lambda x: F.relu(input=x), "relu"),
    "a method": (lambda x: x.relu_(), "relu"),
    "torch's name": (torch.tanh, "tanh"),
    "behind a norm and dropout": (
        lambda x: F.gelu(F.dropout(F.layer_norm(x, (8,)), 0.1)),
        "gelu",
    ),
    "behind reshapes": (lambda x: x.view(2, 4).transpose(0, 1).reshape(1, 8).relu(), "relu"),
    "behind a split": (lambda x: x.chunk(2, -1)[1].sigmoid(), "sigmoid"),
    "behind a residual sum": (lambda x: F.relu(x + x.mean()), "relu"),
    "behind a scale": (lambda x: torch.relu(x * 0.5 / 3), "relu"),
    "behind pooling": (lambda x: F.elu(F.max_pool1d(x, 2)), "elu"),
    "swish by hand": (lambda x: x * torch.sigmoid(x), "silu"),
    "swish the other way around": (lambda x: x.sigmoid() * x, "silu"),
    "sine": (torch.sin, "sin"),
    "nothing": (lambda x: x, "linear"),
    "attention": (lambda x: F.softmax(x, -1), "linear"),
    "a product of matrices": (lambda x: x @ x.mT, "linear"),
}


@pytest.mark.parametrize(("between", "label"), FOUND.values(), ids=FOUND)
def test_what_follows_is_found(between, label):
    place = trace(Between(between)).place("a")
    assert (place.label, place.note) == (label, "")


MODULES = {
    "an activation": (nn.SiLU(), "silu", 1.67653),
    "with options": (nn.LeakyReLU(0.5), "leakyrelu", 1.26491),
    "one of one's own": (Square(), "square", 0.81650),
    "one with a parameter": (Swish(), "swish", 1.67653),
    "a PReLU": (nn.PReLU(), "prelu", 1.37199),
    "a PReLU by channel": (nn.PReLU(8), "prelu", 1.37199),
}


@pytest.mark.parametrize(("module", "label", "gain"), MODULES.values(), ids=MODULES)
def test_modules_that_follow_are_found_with_their_gain(module, label, gain):
    place = trace(Between(lambda x, f: f(x), module)).place("a")
    assert (place.label, place.note) == (label, "")
    assert init.gain(place.nonlinearity) == pytest.approx(gain, rel=1e-5)


def test_options_of_functions_reach_the_gain():
    for between, want in (
        (lambda x: F.leaky_relu(x, 0.5), 1.26491),
        (lambda x: F.leaky_relu(x, negative_slope=0.5), 1.26491),
        (lambda x: F.leaky_relu(input=x, negative_slope=0.5), 1.26491),
        (lambda x: F.gelu(x, approximate="tanh"), init.gain("gelu_tanh")),
    ):
        place = trace(Between(between)).place("a")
        assert init.gain(place.nonlinearity) == pytest.approx(want, rel=1e-5)


def test_a_slope_that_the_model_computes():
    class Sloped(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.slope = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return F.prelu(self.a(x), self.slope)

    assert trace(Sloped()).place("a").nonlinearity == "prelu"


NOTES = {
    "unknown": (lambda x: torch.clamp(x, min=0), "clamp is not known, and taken as linear"),
    "GLU": (lambda x: F.glu(torch.cat([x, x])), "glu is not known, and taken as linear"),
    "a gate": (
        lambda x: x * torch.exp(x).detach().mean(),
        "exp is not known, and taken as linear",
    ),
}


@pytest.mark.parametrize(("between", "note"), NOTES.values(), ids=NOTES)
def test_what_is_not_known_is_said(between, note):
    place = trace(Between(between)).place("a")
    assert (place.nonlinearity, place.note) == ("linear", note)


def test_a_module_of_gates_is_not_taken_for_an_activation():
    model = nn.Sequential(nn.Linear(8, 16), nn.GLU(), nn.Linear(8, 2))
    assert trace(model).place("0").note == "glu is not known, and taken as linear"
    init.initialize_(model)


def test_products_and_several_followers():
    found = trace(ZOO["swiglu"]())
    assert found.place("gate").label == "silu"
    assert found.place("up").note == "multiplied by another signal, and taken as linear"
    place = trace(Between(lambda x: torch.relu(x) + torch.tanh(x))).place("a")
    assert (place.label, place.note) == ("relu", "also followed by tanh")


# Branches.


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", ZOO)
def test_the_branches_of_known_networks(name):
    assert trace(ZOO[name]()).branches == BRANCHES.get(name, 0)


ENDS = {
    "resnet": "layer1.0.conv2 layer1.0.bn2 layer1.1.conv2 layer1.1.bn2 layer2.0.conv2 "
    "layer2.0.bn2 layer2.1.conv2 layer2.1.bn2",
    "mobilenet": "features.0.conv.6 features.0.conv.7 features.1.conv.6 features.1.conv.7",
    "nanogpt": "h.0.attn.c_proj h.0.c_proj h.1.attn.c_proj h.1.c_proj",
    "vit": "attn.out_proj mlp.2",
    "wavenet": "units.0.residual units.1.residual units.2.residual",
    "swiglu": "down",
    "transformer": "encoder.layers.0.self_attn.out_proj encoder.layers.0.linear2 "
    "decoder.layers.0.self_attn.out_proj decoder.layers.0.multihead_attn.out_proj "
    "decoder.layers.0.linear2",
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", ENDS)
def test_what_ends_a_branch(name):
    ends = {key for key, place in trace(ZOO[name]()).places.items() if place.ends}
    assert ends == set(ENDS[name].split())


def test_skips_with_and_without_a_projection():
    found = trace(ResNet())
    assert found.place("layer2.0.downsample.0").branch is None
    assert found.place("layer2.0.conv1").branch == found.place("layer2.0.conv2").branch == 2
    assert found.place("conv1").branch is found.place("fc").branch is None
    assert found.place("layer2.0.conv2").label == "relu"


def test_sums_that_are_no_residual():
    # WaveNet adds up its skips, additive attention two projections.
    found = trace(WaveNet())
    assert all(found.place(f"units.{i}.skip").branch is None for i in range(3))
    assert found.place("units.1.skip").label == "relu"
    assert not any(place.ends for place in trace(Seq2Seq()).places.values())
    assert trace(Between(lambda x: x + 1)).branches == 0


class Blocks(nn.Module):
    """Layers named by letters, and a forward to be given."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Linear(8, 8) for name in "abcdef"} | layers)
        self.run = forward

    def forward(self, x):
        return self.run(x, *self.layers.values())


def ends(model):
    found = trace(model)
    return found.branches, {k[-1] for k, place in found.places.items() if place.ends}


def test_post_norm_pre_norm_and_parallel_branches():
    norm = nn.LayerNorm(8)
    post = Blocks(lambda x, a, b, *r: r[-1](x + b(torch.relu(a(x)))), n=norm)
    pre = Blocks(lambda x, a, b, *r: x + b(torch.relu(a(r[-1](x)))), n=norm)
    last = Blocks(lambda x, a, b, *r: x + r[-1](b(torch.relu(a(x)))), n=norm)
    assert ends(post) == ends(pre) == (1, {"b"})
    assert ends(last) == (1, {"b", "n"})
    parallel = Blocks(lambda x, a, b, c, d, *_: x + b(torch.relu(a(x))) + d(torch.relu(c(x))))
    assert ends(parallel) == (2, {"b", "d"})


def test_an_in_place_sum_and_operators():
    def added(x, a, b, *_):
        y = b(torch.relu(a(x)))
        y += x
        return y

    assert ends(Blocks(added)) == (1, {"b"})
    assert ends(Blocks(lambda x, a, b, *_: operator.add(x, b(a(x))))) == (1, {"b"})
    assert ends(Blocks(lambda x, a, b, *_: torch.add(x, b(a(x))))) == (1, {"b"})
    assert ends(Blocks(lambda x, a, b, *_: b(a(x)).add_(x))) == (1, {"b"})


def test_a_gate_does_not_end_a_branch_unless_nothing_else_does():
    squeezed = Blocks(
        lambda x, a, b, c, d, *_: (
            x + b(torch.relu(a(x))) * torch.sigmoid(d(torch.relu(c(x.mean()))))
        )
    )
    assert ends(squeezed) == (1, {"b"})
    gated = Blocks(lambda x, a, b, *_: x + torch.tanh(a(x)) * torch.sigmoid(b(x)))
    assert ends(gated) == (1, {"a", "b"})
    scaled = Blocks(lambda x, a, b, *_: x + 0.1 * b(torch.relu(a(x))))
    assert ends(scaled) == (1, {"b"})


def test_an_inner_branch_keeps_its_own_layers():
    def nested(x, a, b, c, d, *_):
        h = torch.relu(a(x))
        h = h + c(torch.relu(b(h)))
        return x + d(h)

    found = trace(Blocks(nested))
    branches = [found.place(f"layers.{name}").branch for name in "abcd"]
    assert branches == [1, 0, 0, 1]
    assert ends(Blocks(nested)) == (2, {"c", "d"})


def test_what_has_no_layer_behind_it_is_last():
    assert [k for k, place in trace(ResNet()).places.items() if place.last] == ["fc"]
    assert [k for k, place in trace(ZOO["perceptron"]()).places.items() if place.last] == ["fc3"]


# What cannot be traced.


class Choosy(nn.Module):
    """Branches on values."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.inner(x)
        return self.head(x) if x.sum() > 0 else x


def test_a_forward_that_cannot_be_traced_is_said_and_its_parts_are_traced():
    found = trace(nn.Sequential(Choosy()))
    assert found.place("0.inner.0").label == "tanh"
    assert found.place("0.inner.2").note == (
        "what follows the submodule is not known, and taken as linear"
    )
    assert found.place("0.head").note == "forward of 0 cannot be traced: TraceError"
    rows = {row["parameter"]: row for row in init.plan(Choosy()).rows}
    assert rows["head.weight"]["note"] == "forward of the model cannot be traced: TraceError"
    assert rows["inner.0.weight"]["law"] == "xavier_normal_"


def test_a_layer_that_is_not_used_is_said():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.a(x)

    rows = {row["parameter"]: row for row in init.plan(Idle()).rows}
    assert (rows["idle.weight"]["before"], rows["idle.weight"]["note"]) == (
        "unknown",
        "the trace did not reach it",
    )


def test_a_layer_alone_is_an_output():
    assert trace(nn.Linear(3, 3)).place("").label == "output"


def test_hooks_do_not_run():
    model, calls = ResNet(), []
    for module in model.modules():
        module.register_forward_hook(lambda *_: calls.append(1))
        module.register_forward_pre_hook(lambda *_: calls.append(1))
    assert trace(model).branches == 4
    assert calls == []


def test_torchs_own_transformer_layers():
    for activation, label, gain in (("relu", "relu", 2**0.5), (nn.SiLU(), "silu", 1.67653)):
        found = trace(encoder(1, activation=activation))
        assert found.place("layers.0.linear1").label == label
        assert init.gain(found.place("layers.0.linear1").nonlinearity) == pytest.approx(
            gain, rel=1e-5
        )
    assert sum(place.ends for place in trace(encoder(3)).places.values()) == 6


def test_a_model_that_asserts_is_traced_by_its_blocks():
    found = trace(NanoGPT())
    assert found.branches == 4
    assert found.place("h.1.c_fc").label == "gelu"
    assert set(NORMED) < set(BRANCHES)


class Read(nn.Module):
    """A layer that is never called, though its weight is read; one that is tied to another."""

    def __init__(self):
        super().__init__()
        self.read, self.table, self.shared = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.shared.weight = self.table.weight
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x, mask=None, labels=None):
        return self.encoder(self.table(x) @ self.read.weight)


def test_a_forward_is_traced_once_where_that_tells_all(monkeypatch):
    """Each way to call it costs as much as the first."""
    traced, trace_ = [], Tracer.trace
    monkeypatch.setattr(Tracer, "trace", lambda self, m: traced.append(m) or trace_(self, m))
    model = Read()
    found = trace(model)
    assert traced == [model]
    assert {name: use.kind for name, use in found.uses.items()} == {"read.weight": "weight"}


def test_unpacking_a_symbol_takes_as_many_as_there_are_names():
    class Unpacks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            q, (k, v) = self.a(x), self.b(x)
            return torch.relu(q) + torch.tanh(k) * v

    found = trace(Unpacks())
    assert found.place("a").label == "relu"
    assert found.place("b").label == "tanh"


def test_what_only_joins_a_branch_is_not_in_it():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.side, self.branch = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x, context):
            h = self.stem(x)
            return h + self.branch(torch.relu(h * self.side(context)))

    places = trace(Joined()).places
    assert {name: place.branch for name, place in places.items()} == {
        "stem": None,
        "side": None,
        "branch": 0,
    }
