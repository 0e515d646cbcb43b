"""LSUV with `measure_at="post"`: unit std after the activation that follows a layer."""

import copy

import pytest
import torch
from lsuv_networks import BATCH, generator, state, with_biases
from torch import nn

import initguide as init
from initguide.lsuv.next_activation import next_activations


class Functional(nn.Module):
    """Activations as functions and methods, in place, after a change of shape; shared; linear."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 6, 3)
        self.again = nn.Linear(96, 96)
        self.last = nn.Linear(96, 4)

    def forward(self, x):
        x = torch.nn.functional.gelu(self.convolution(x).flatten(1), approximate="tanh")
        x = torch.relu_(self.again(x))
        return self.last(self.again(x).relu())


def activated(*activations, biases=0.0, width=30):
    pairs = ((nn.Linear(20 if i == 0 else width, width), f) for i, f in enumerate(activations))
    return with_biases(nn.Sequential(*(m for pair in pairs for m in pair)), biases)


IMAGES = torch.randn(32, 2, 6, 6, generator=generator(1))


# A model, its batch, and the modules or functions that the activations' outputs are read from.
POST = {
    "homogeneous": (activated(nn.ReLU(), nn.LeakyReLU(0.2), nn.PReLU(init=0.1)), BATCH),
    "homogeneous, biases": (
        activated(nn.ReLU(inplace=True), nn.LeakyReLU(0.2), biases=0.6),
        BATCH,
    ),
    "smooth": (activated(nn.GELU(), nn.SiLU(), nn.ELU(), nn.Softplus(), nn.Mish()), BATCH),
    "smooth, biases": (
        activated(nn.GELU(), nn.SiLU(inplace=True), nn.SELU(), biases=0.6),
        BATCH,
    ),
    "scaled input": (activated(nn.GELU(), nn.GELU()), 1e3 * BATCH + 50),
    "tiny input": (activated(nn.ReLU(), nn.GELU(), biases=0.3), 1e-12 * BATCH),
    "huge input": (activated(nn.ReLU(), nn.ReLU6()), 1e25 * BATCH),
    "moved": (
        activated(nn.Sequential(nn.Identity(), nn.Unflatten(1, (5, 6)), nn.ReLU())),
        BATCH,
    ),
    "double": (activated(nn.ReLU(), nn.GELU(), biases=0.2).double(), BATCH.double()),
}


@pytest.mark.parametrize("name", POST)
@pytest.mark.parametrize("orthonormal", [True, False])
def test_unit_std_after_the_activation(name, orthonormal):
    model, x = copy.deepcopy(POST[name][0]), POST[name][1]
    before = state(model)
    report = init.lsuv_(
        model, x, measure_at="post", orthonormal=orthonormal, generator=generator(0)
    )
    h = x
    with torch.no_grad():
        for layer, activation, row in zip(model[::2], model[1::2], report.rows, strict=True):
            h = activation(layer(h))
            assert h.double().std(correction=0).item() == pytest.approx(1, abs=1e-5)
            assert row["std_after"] == pytest.approx(1, abs=1e-5)
            assert row["note"].startswith("measured after ")
    for key, value in model.state_dict().items():
        assert not key.endswith("bias") or torch.equal(value, before[key])


def test_activations_may_be_functions():
    model = with_biases(Functional(), 0.3)
    report = init.lsuv_(model, IMAGES, measure_at="post", generator=generator())
    with torch.no_grad():
        x = model.convolution(IMAGES).flatten(1)
        x = nn.functional.gelu(x, approximate="tanh")
        y = model.again(x).relu()
        z = model(IMAGES)
    stds = [t.std(correction=0).item() for t in (x, y, z)]
    assert stds == pytest.approx([1, 1, 1], abs=1e-5)
    assert [row["note"] for row in report.rows] == [
        "measured after gelu",
        "measured after relu",
        "measured at the output: no activation follows",
    ]


def test_post_with_a_relu_and_no_bias_by_hand():
    """By hand: outputs -1, 1, 3 become 0, 1, 3 of std sqrt(14)/3, and the scale is its inverse."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    init.ones_(model[0].weight)
    init.zeros_(model[0].bias)
    x = torch.tensor([[-1.0], [1.0], [3.0]])
    (row,) = init.lsuv_(model, x, measure_at="post", orthonormal=False).rows
    assert row["std_before"] == pytest.approx(14**0.5 / 3)
    assert row["scale"] == pytest.approx(3 / 14**0.5)


def test_post_with_a_bias_by_hand():
    """relu(a + 1) and relu(-3 a + 1) differ by 2 where a = 1: the std of two numbers is half."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    init.constant_(model[0].weight, 5.0)
    init.ones_(model[0].bias)
    x = torch.tensor([[1.0], [-3.0]])
    (row,) = init.lsuv_(model, x, measure_at="post", orthonormal=False).rows
    assert row["scale"] == pytest.approx(1 / 5, abs=1e-6)
    assert model[0].weight.item() == pytest.approx(1, abs=1e-6)


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(20, 20), nn.Linear(20, 20)

    def forward(self, x):
        return torch.relu(self.other(torch.relu(self.one(x) + x)).roll(1, 0))


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(20, 20)

    def forward(self, x):
        return torch.relu(self.layer(x)) if x.sum() > -1e9 else x


def two_slopes():
    return nn.Sequential(nn.Linear(20, 20), nn.PReLU(), nn.Linear(20, 20), nn.PReLU(init=0.1))


# Models whose layers are measured before the activation, and the notes that say why.
MEASURED_BEFORE = {
    "norm": (
        nn.Sequential(nn.Linear(20, 20), nn.LayerNorm(20), nn.Tanh(), nn.Linear(20, 20)),
        [
            "measured at the output: LayerNorm before tanh",
            "measured at the output: no activation follows",
        ],
    ),
    "dropout": (
        nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.1), nn.ReLU()),
        ["measured at the output: Dropout before relu"],
    ),
    "sum": (
        Sum(),
        ["measured at the output: add before relu", "measured at the output: roll before relu"],
    ),
    "none": (nn.Linear(20, 20), ["measured at the output: no activation follows"]),
    "untraceable": (
        Untraceable(),
        [
            "measured at the output: forward of the model cannot be traced: "
            "it branches on a value, which needs an example"
        ],
    ),
    "slopes": (two_slopes(), ["measured at the output: prelu has 2 slopes"] * 2),
}


@pytest.mark.parametrize("name", MEASURED_BEFORE)
def test_post_measures_the_output_if_no_activation_can_be_measured(name):
    model, notes = copy.deepcopy(MEASURED_BEFORE[name])
    twin = copy.deepcopy(model)
    torch.manual_seed(7)
    report = init.lsuv_(model, BATCH, measure_at="post", generator=generator())
    torch.manual_seed(7)
    init.lsuv_(twin, BATCH, generator=generator())
    assert [row["note"] for row in report.rows] == notes
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_transformer_layer_is_measured_after_its_activation():
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    x, seen = torch.randn(8, 5, 16, generator=generator(1)), []
    model.dropout.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    report = init.lsuv_(model, x, measure_at="post", generator=generator())
    with torch.no_grad():
        model(x)
    assert seen[-1].std(correction=0).item() == pytest.approx(1, abs=0.3)
    notes = {row["layer"]: row["note"] for row in report.rows}
    assert notes["linear1"] == "measured after gelu"
    assert notes["linear2"].startswith("measured at the output")


@pytest.mark.parametrize("autocast", [True, False])
def test_post_in_half_precision(autocast):
    model, x = activated(nn.GELU(), nn.ReLU(), biases=0.5), BATCH.repeat(8, 1)
    if not autocast:
        model, x = model.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        init.lsuv_(model, x, measure_at="post", generator=generator())
        with torch.no_grad():
            stds = [model[:i](x).double().std(correction=0).item() for i in (2, 4)]
    assert stds == pytest.approx([1, 1], abs=3e-3)


def test_the_sample_of_the_search_may_differ_from_the_batch():
    """Every fifth image is dark; the others decide as much."""
    model = with_biases(nn.Sequential(nn.Conv2d(2, 32, 3), nn.GELU()), 0.4)
    x = torch.randn(40, 2, 16, 16, generator=generator(1))
    x[::5] *= 1e-3
    init.lsuv_(model, x, measure_at="post", generator=generator())
    with torch.no_grad():
        assert model(x).double().std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_post_runs_the_model_once():
    model, calls = activated(nn.GELU(), nn.GELU(), biases=0.5), []
    model.register_forward_hook(lambda *_: calls.append(1))
    init.lsuv_(model, BATCH, measure_at="post")
    assert calls == [1]


class Attends(nn.Module):
    """Attention whose output goes to an activation."""

    def __init__(self):
        super().__init__()
        self.attention, self.last = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 8)

    def forward(self, x):
        return self.last(torch.tanh(self.attention(x, x, x)[0]))


def test_what_follows_attention_is_what_follows_its_projection():
    found = next_activations(Attends(), ["attention", "last"])
    notes = {name: each.note for name, each in found.items()}
    assert notes == {
        "attention": "measured at the output: getitem before tanh",
        "last": "measured at the output: no activation follows",
    }
    assert next_activations(nn.MultiheadAttention(8, 2), [""])[""].function is None
