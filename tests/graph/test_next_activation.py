"""Which activation follows a layer, and what a plan notes if that is unknown."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import ZOO, Between

import initguide as init
from initguide.graph.trace import trace


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
    "after a normalization": (lambda x: torch.tanh(F.normalize(x, dim=-1)), "tanh"),
    "after a rotation": (
        lambda x: torch.view_as_real(torch.view_as_complex(x.view(1, 4, 2))).relu(),
        "relu",
    ),
    "of the largest values": (lambda x: x.topk(4, -1)[0].sigmoid(), "sigmoid"),
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
    "unknown": (lambda x: torch.sort(x)[0], "sort is unknown and treated as linear"),
    "a scan": (lambda x: torch.cumsum(x, -1), "cumsum is unknown and treated as linear"),
    "a gate": (
        lambda x: x * torch.cumsum(x, 0).detach().mean(),
        "cumsum is unknown and treated as linear",
    ),
}


@pytest.mark.parametrize(("between", "note"), NOTES.values(), ids=NOTES)
def test_an_unknown_operation_is_noted(between, note):
    info = trace(Between(between)).layer("a")
    assert (info.nonlinearity, info.label, info.note) == ("linear", "not known", note)


def test_products_and_several_activations():
    found = trace(ZOO["swiglu"]())
    assert found.layer("gate").label == "silu"
    assert found.layer("up").note == "multiplied by another signal and treated as linear"
    info = trace(Between(lambda x: torch.relu(x) + torch.tanh(x))).layer("a")
    assert (info.label, info.note) == ("relu_tanh", "")
    info = trace(Between(lambda x: torch.relu(x).mean() * torch.tanh(x).sum())).layer("a")
    assert (info.label, info.note) == ("relu", "also followed by tanh")


def test_the_operations_before_the_activation_are_kept_in_order():
    found = trace(
        Between(lambda x, norm: torch.tanh(F.dropout(norm(x) + 1, 0.1)).relu(), nn.LayerNorm(8))
    )
    assert found.layer("a").between == ("LayerNorm", "add", "dropout")
    assert found.layer("b").between == ()


@dataclass
class Boxes:
    scores: torch.Tensor
    places: torch.Tensor


@pytest.mark.parametrize("hold", [Boxes, lambda one, two: {"boxes": [Boxes(one, two)]}])
def test_an_object_that_holds_the_outputs_is_passed_through(hold):
    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.scores, self.places = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x):
            x = F.relu(self.body(x))
            return hold(self.scores(x), self.places(x).sigmoid())

    found = trace(Detector())
    assert [found.layer(n).label for n in ("body", "scores", "places")] == [
        "relu",
        "linear",
        "output",
    ]
    assert found.layer("scores").last
    assert not any(info.note for info in found.layers.values())


@pytest.mark.parametrize("mark", ["mark_static_address", "mark_static"])
def test_a_mark_for_the_compiler_does_not_stop_the_trace(mark):
    import torch._dynamo

    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x):
            state = torch.tanh(self.layer(x))
            getattr(torch._dynamo, mark)(state)
            return self.head(state)

    found = trace(Cached())
    assert (found.layer("layer").label, found.layer("layer").note) == ("tanh", "")
