"""Which residual branches a network has, and which layers end them."""

import operator

import pytest
import torch
from torch import nn
from zoo import BRANCHES, ZOO, Between, ResNet, Seq2Seq, WaveNet

from initguide.graph.trace import trace


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
