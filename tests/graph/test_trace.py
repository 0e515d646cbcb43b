"""What follows each layer and which branch it ends, in the ways that people write networks."""

import operator

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import BRANCHES, NORMED, ZOO, NanoGPT, ResNet, Seq2Seq, WaveNet, encoder

import initguide as init
from initguide.graph.trace import LayerTracer, trace


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
    "after a norm and dropout": (
        lambda x: F.gelu(F.dropout(F.layer_norm(x, (8,)), 0.1)),
        "gelu",
    ),
    "after reshapes": (lambda x: x.view(2, 4).transpose(0, 1).reshape(1, 8).relu(), "relu"),
    "after a split": (lambda x: x.chunk(2, -1)[1].sigmoid(), "sigmoid"),
    "after a residual sum": (lambda x: F.relu(x + x.mean()), "relu"),
    "after a scale": (lambda x: torch.relu(x * 0.5 / 3), "relu"),
    "after pooling": (lambda x: F.elu(F.max_pool1d(x, 2)), "elu"),
    "swish by hand": (lambda x: x * torch.sigmoid(x), "silu"),
    "swish the other way around": (lambda x: x.sigmoid() * x, "silu"),
    "sine": (torch.sin, "sin"),
    "nothing": (lambda x: x, "linear"),
    "attention": (lambda x: F.softmax(x, -1), "linear"),
    "a product of matrices": (lambda x: x @ x.mT, "linear"),
}


@pytest.mark.parametrize(("between", "label"), FOUND.values(), ids=FOUND)
def test_the_next_activation_is_found(between, label):
    info = trace(Between(between)).layer("a")
    assert (info.label, info.note) == (label, "")


MODULES = {
    "an activation": (nn.SiLU(), "silu", 1.67653),
    "with options": (nn.LeakyReLU(0.5), "leakyrelu", 1.26491),
    "one of one's own": (Square(), "square", 0.81650),
    "one with a parameter": (Swish(), "swish", 1.67653),
    "a PReLU": (nn.PReLU(), "prelu", 1.37199),
    "a PReLU by channel": (nn.PReLU(8), "prelu", 1.37199),
}


@pytest.mark.parametrize(("module", "label", "gain"), MODULES.values(), ids=MODULES)
def test_activation_modules_are_found_with_their_gain(module, label, gain):
    info = trace(Between(lambda x, f: f(x), module)).layer("a")
    assert (info.label, info.note) == (label, "")
    assert init.gain(info.nonlinearity) == pytest.approx(gain, rel=1e-5)


def test_options_of_functions_reach_the_gain():
    for between, want in (
        (lambda x: F.leaky_relu(x, 0.5), 1.26491),
        (lambda x: F.leaky_relu(x, negative_slope=0.5), 1.26491),
        (lambda x: F.leaky_relu(input=x, negative_slope=0.5), 1.26491),
        (lambda x: F.gelu(x, approximate="tanh"), init.gain("gelu_tanh")),
    ):
        info = trace(Between(between)).layer("a")
        assert init.gain(info.nonlinearity) == pytest.approx(want, rel=1e-5)


def test_a_slope_that_the_model_computes():
    class Sloped(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.slope = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return F.prelu(self.a(x), self.slope)

    assert trace(Sloped()).layer("a").nonlinearity == "prelu"


NOTES = {
    "unknown": (lambda x: torch.clamp(x, min=0), "clamp is unknown and treated as linear"),
    "GLU": (lambda x: F.glu(torch.cat([x, x])), "glu is unknown and treated as linear"),
    "a gate": (
        lambda x: x * torch.exp(x).detach().mean(),
        "exp is unknown and treated as linear",
    ),
}


@pytest.mark.parametrize(("between", "note"), NOTES.values(), ids=NOTES)
def test_an_unknown_operation_is_noted(between, note):
    info = trace(Between(between)).layer("a")
    assert (info.nonlinearity, info.note) == ("linear", note)


def test_a_gated_module_is_no_activation():
    model = nn.Sequential(nn.Linear(8, 16), nn.GLU(), nn.Linear(8, 2))
    assert trace(model).layer("0").note == "glu is unknown and treated as linear"
    init.initialize_(model)


def test_products_and_several_activations():
    found = trace(ZOO["swiglu"]())
    assert found.layer("gate").label == "silu"
    assert found.layer("up").note == "multiplied by another signal and treated as linear"
    info = trace(Between(lambda x: torch.relu(x) + torch.tanh(x))).layer("a")
    assert (info.label, info.note) == ("relu", "also followed by tanh")


# Branches.


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", ZOO)
def test_the_branches_of_known_networks(name):
    assert trace(ZOO[name]()).branch_count == BRANCHES.get(name, 0)


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
def test_the_ends_of_branches(name):
    ends = {key for key, info in trace(ZOO[name]()).layers.items() if info.ends}
    assert ends == set(ENDS[name].split())


def test_skips_with_and_without_a_projection():
    found = trace(ResNet())
    assert found.layer("layer2.0.downsample.0").branch is None
    assert found.layer("layer2.0.conv1").branch == found.layer("layer2.0.conv2").branch == 2
    assert found.layer("conv1").branch is found.layer("fc").branch is None
    assert found.layer("layer2.0.conv2").label == "relu"


def test_sums_that_are_no_residual():
    # WaveNet adds up its skips, additive attention two projections.
    found = trace(WaveNet())
    assert all(found.layer(f"units.{i}.skip").branch is None for i in range(3))
    assert found.layer("units.1.skip").label == "relu"
    assert not any(info.ends for info in trace(Seq2Seq()).layers.values())
    assert trace(Between(lambda x: x + 1)).branch_count == 0


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
    return found.branch_count, {k[-1] for k, info in found.layers.items() if info.ends}


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
    branches = [found.layer(f"layers.{name}").branch for name in "abcd"]
    assert branches == [1, 0, 0, 1]
    assert ends(Blocks(nested)) == (2, {"c", "d"})


def test_the_last_layer_has_no_layer_after_it():
    assert [k for k, info in trace(ResNet()).layers.items() if info.last] == ["fc"]
    assert [k for k, info in trace(ZOO["perceptron"]()).layers.items() if info.last] == ["fc3"]


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


def test_a_forward_that_cannot_be_traced_is_noted_and_its_parts_are_traced():
    found = trace(nn.Sequential(Choosy()))
    assert found.layer("0.inner.0").label == "tanh"
    assert found.layer("0.inner.2").note == (
        "the operation after the submodule is unknown and treated as linear"
    )
    assert found.layer("0.head").note == "forward of 0 cannot be traced: TraceError"
    rows = {row["parameter"]: row for row in init.plan(Choosy()).rows}
    assert rows["head.weight"]["note"] == "forward of the model cannot be traced: TraceError"
    assert rows["inner.0.weight"]["law"] == "xavier_normal_"


def test_a_layer_that_is_not_used_is_noted():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.a(x)

    rows = {row["parameter"]: row for row in init.plan(Idle()).rows}
    assert (rows["idle.weight"]["before"], rows["idle.weight"]["note"]) == (
        "unknown",
        "the trace did not reach this layer",
    )


def test_a_layer_alone_is_an_output():
    assert trace(nn.Linear(3, 3)).layer("").label == "output"


def test_hooks_do_not_run():
    model, calls = ResNet(), []
    for module in model.modules():
        module.register_forward_hook(lambda *_: calls.append(1))
        module.register_forward_pre_hook(lambda *_: calls.append(1))
    assert trace(model).branch_count == 4
    assert calls == []


def test_torchs_own_transformer_layers():
    for activation, label, gain in (("relu", "relu", 2**0.5), (nn.SiLU(), "silu", 1.67653)):
        found = trace(encoder(1, activation=activation))
        assert found.layer("layers.0.linear1").label == label
        assert init.gain(found.layer("layers.0.linear1").nonlinearity) == pytest.approx(
            gain, rel=1e-5
        )
    assert sum(info.ends for info in trace(encoder(3)).layers.values()) == 6


def test_a_model_that_asserts_is_traced_by_its_blocks():
    found = trace(NanoGPT())
    assert found.branch_count == 4
    assert found.layer("h.1.c_fc").label == "gelu"
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


def test_a_forward_is_traced_once_if_that_reaches_all_layers(monkeypatch):
    """Each way to call it costs as much as the first."""
    traced, trace_ = [], LayerTracer.trace
    monkeypatch.setattr(LayerTracer, "trace", lambda self, m: traced.append(m) or trace_(self, m))
    model = Read()
    found = trace(model)
    assert traced == [model]
    assert {name: role.kind for name, role in found.roles.items()} == {"read.weight": "weight"}


def test_unpacking_a_proxy_gives_one_value_for_each_name():
    class Unpacks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            q, (k, v) = self.a(x), self.b(x)
            return torch.relu(q) + torch.tanh(k) * v

    found = trace(Unpacks())
    assert found.layer("a").label == "relu"
    assert found.layer("b").label == "tanh"


def test_a_layer_that_only_joins_a_branch_is_outside_it():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.side, self.branch = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x, context):
            h = self.stem(x)
            return h + self.branch(torch.relu(h * self.side(context)))

    layers = trace(Joined()).layers
    assert {name: info.branch for name, info in layers.items()} == {
        "stem": None,
        "side": None,
        "branch": 0,
    }
