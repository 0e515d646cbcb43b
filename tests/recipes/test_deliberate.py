"""Deliberate starts are kept and listed; dense random weights are drawn anew."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide import Rule

D = 256


def inverse_softplus(x):
    return x + torch.log(-torch.expm1(-x))


class Steps(nn.Module):
    """A state-space block: step sizes between 0.001 and 0.1, in order or at random."""

    def __init__(self, name="dt_proj", *, ordered=True):
        super().__init__()
        self.name = name
        self.into = nn.Linear(D, 16)
        self.add_module(name, nn.Linear(16, D))
        at = torch.linspace(0, 1, D) if ordered else torch.rand(D)
        steps = torch.exp(math.log(1e-3) + at * math.log(100))
        getattr(self, name).bias.data.copy_(inverse_softplus(steps))

    def forward(self, x):
        return x * F.softplus(getattr(self, self.name)(self.into(x)))


class Adapter(nn.Module):
    """LoRA, in layers or in parameters of its own."""

    def __init__(self, *, layers=True):
        super().__init__()
        self.base = nn.Linear(D, D).requires_grad_(False)
        self.layers = layers
        if layers:
            self.down, self.up = nn.Linear(D, 8, bias=False), nn.Linear(8, D, bias=False)
            nn.init.zeros_(self.up.weight)
        else:
            self.a = nn.Parameter(torch.randn(8, D) / 16)
            self.b = nn.Parameter(torch.zeros(D, 8))

    def forward(self, x):
        added = self.up(self.down(x)) if self.layers else x @ self.a.T @ self.b.T
        return self.base(x) + added


class Scaled(nn.Module):
    """ReZero, LayerScale, SkipInit: a branch times a parameter."""

    def __init__(self, value, size=1, name="alpha"):
        super().__init__()
        self.name, self.body = name, nn.Linear(D, D)
        self.register_parameter(name, nn.Parameter(torch.full((size,), value)))

    def forward(self, x):
        return x + getattr(self, self.name) * torch.tanh(self.body(x))


class Modulated(nn.Module):
    """DiT's adaLN-Zero: the condition makes shift, scale and gate of each block, and the head."""

    def __init__(self, depth=2):
        super().__init__()
        self.stem, self.condition = nn.Linear(16, D), nn.Embedding(10, D)
        self.gates = nn.ModuleList(nn.Linear(D, 3 * D) for _ in range(depth))
        self.bodies = nn.ModuleList(nn.Linear(D, D) for _ in range(depth))
        self.norm = nn.LayerNorm(D, elementwise_affine=False)
        self.last, self.head = nn.Linear(D, 2 * D), nn.Linear(D, 16)
        for layer in (*self.gates, self.last, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x, y):
        x, c = self.stem(x), F.silu(self.condition(y))
        for gate, body in zip(self.gates, self.bodies, strict=True):
            shift, scale, amount = gate(c).chunk(3, -1)
            x = x + amount * body(self.norm(x) * (1 + scale) + shift)
        shift, scale = self.last(c).chunk(2, -1)
        return self.head(self.norm(x) * (1 + scale) + shift)


class Highway(nn.Module):
    def __init__(self):
        super().__init__()
        self.carry, self.new = nn.Linear(D, D), nn.Linear(D, D)
        nn.init.constant_(self.carry.bias, -2.0)

    def forward(self, x):
        gate = torch.sigmoid(self.carry(x))
        return gate * torch.relu(self.new(x)) + (1 - gate) * x


class Contrast(nn.Module):
    """CLIP's temperature."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(D, 64), nn.Linear(D, 64)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, x, y):
        left, right = F.normalize(self.left(x), dim=-1), F.normalize(self.right(y), dim=-1)
        return self.logit_scale * left @ right.T


class Gamma(nn.Module):
    """A residual block whose last norm starts at zero, and a zero convolution beside it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.control = nn.Conv2d(64, 64, 1)
        for tensor in (self.norm.weight, self.control.weight, self.control.bias):
            nn.init.zeros_(tensor)

    def forward(self, x):
        return torch.relu(x + self.norm(self.conv(x)) + self.control(x))


def prior():
    model = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, 90))
    nn.init.constant_(model[2].bias, -math.log(99))
    return model


def identity():
    model = nn.Sequential(nn.RNN(D, D, nonlinearity="relu"))
    nn.init.eye_(model[0].weight_hh_l0)
    return model


def class_odds():
    model = nn.Sequential(nn.Linear(D, 5))
    model[0].bias.data.copy_(torch.tensor([0.9, 0.05, 0.03, 0.015, 0.005]).log())
    return model


def waves():
    model = nn.Sequential(nn.Embedding(512, D))
    at = torch.arange(512)[:, None] / 10_000 ** (torch.arange(D // 2) / D * 2)
    model[0].weight.data.copy_(torch.cat([at.sin(), at.cos()], 1))
    return model


def gate_bias(module):
    for name, bias in module.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(bias)
    module.bias_ih_l0.data.chunk(4)[1].fill_(3)
    return nn.Sequential(module)


class Mixed(nn.Module):
    """The invertible convolution of a flow, whose determinant the loss needs."""

    def __init__(self, channels=48):
        super().__init__()
        self.rotation = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])
        self.shift = nn.Conv2d(channels // 2, channels // 2, 3, padding=1)

    def forward(self, x):
        one, two = F.conv2d(x, self.rotation[:, :, None, None]).chunk(2, 1)
        return torch.cat([one, two + self.shift(one)], 1), torch.slogdet(self.rotation)[1]


class MixedLayer(nn.Module):
    """The same in a layer of torch, for sound."""

    def __init__(self, channels=8):
        super().__init__()
        self.mix = nn.Conv1d(channels, channels, 1, bias=False)
        nn.init.orthogonal_(self.mix.weight)
        self.net = nn.Sequential(nn.Conv1d(4, 64, 3, padding=1), nn.Tanh(), nn.Conv1d(64, 4, 1))

    def forward(self, x):
        one, two = self.mix(x).chunk(2, 1)
        return torch.cat([one, two + self.net(one)], 1)


KEPT = {
    "a rotation": (Mixed, ["rotation"]),
    "a layer that rotates": (MixedLayer, ["mix.weight"]),
    "steps in order": (lambda: Steps(), ["dt_proj.bias"]),
    "random steps": (lambda: Steps("delta", ordered=False), ["delta.bias"]),
    "LoRA, layers": (lambda: Adapter(), ["up.weight"]),
    "LoRA, parameters": (lambda: Adapter(layers=False), ["b"]),
    "ReZero": (lambda: Scaled(0.0), ["alpha"]),
    "LayerScale": (lambda: Scaled(1e-5, D, "gamma"), ["gamma"]),
    "SkipInit": (lambda: Scaled(0.2, 1, "gain"), ["gain"]),
    "adaLN-Zero": (
        Modulated,
        ["gates.0.weight", "gates.1.weight", "last.weight", "head.weight"],
    ),
    "highway": (Highway, ["carry.bias"]),
    "temperature": (Contrast, ["logit_scale"]),
    "zero gamma and zero convolution": (Gamma, ["norm.weight", "control.weight"]),
    "prior": (prior, ["2.bias"]),
    "odds of classes": (class_odds, ["0.bias"]),
    "identity": (identity, ["0.weight_hh_l0"]),
    "sinusoids": (waves, ["0.weight"]),
    "forget gate": (lambda: gate_bias(nn.LSTM(D, D)), ["0.bias_ih_l0"]),
}


@pytest.mark.parametrize(("build", "names"), KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("copied", [False, True])
def test_a_deliberate_start_is_kept_and_listed(build, names, copied):
    model = copy.deepcopy(build()) if copied else build()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    plan = init.initialize_(model, seed=0)
    kept = [row["parameter"] for row in plan.rows if (row["note"] or "").startswith("kept: ")]
    assert sorted(kept) == sorted(names)
    for name in names:
        assert torch.equal(model.get_parameter(name), before[name])
        assert f"{name} (" in str(plan)
    assert max(map(len, plan._summary())) <= 100
    assert init.audit(model).findings == []
    # Twice is as once: what is kept and what the plan sets is the same again.
    again = copy.deepcopy(model)
    assert str(init.initialize_(again, seed=0)) == str(plan)
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


@pytest.mark.parametrize(("build", "names"), KEPT.values(), ids=KEPT)
def test_an_argument_a_rule_or_another_recipe_overrides(build, names):
    own = [*(Rule(name, "ones_") for name in names), "auto"]
    for recipe, keep in (("auto", False), ("kaiming", None), (own, None)):
        model = build()
        plan = init.plan(model, recipe, keep_deliberate=keep)
        assert not [row for row in plan.rows if "kept: " in (row["note"] or "")]
        assert "as the model set them" not in str(plan)


# Not deliberate.


class Own(nn.Module):
    """Weights of its own in memory that nothing was written to."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(D, D))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 10)

    def forward(self, x):
        return self.head(torch.tanh(self.norm(x) @ self.w))


class Dead(nn.Module):
    """A branch of two layers of zeros, which can never leave zero."""

    def __init__(self):
        super().__init__()
        self.stem, self.one, self.two = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, D)
        for layer in (self.one, self.two):
            nn.init.zeros_(layer.weight)

    def forward(self, x):
        x = self.stem(x)
        return x + self.two(torch.tanh(self.one(x)))


def hidden_zero():
    model = nn.Sequential(nn.Linear(D, D), nn.Tanh(), nn.Linear(D, D), nn.Tanh(), nn.Linear(D, 10))
    nn.init.zeros_(model[2].weight)
    return model


def random_scale(mean=1.0):
    model = nn.Sequential(nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 3, 3))
    for module in model:
        if hasattr(module, "weight"):
            nn.init.normal_(module.weight, mean * isinstance(module, nn.BatchNorm2d), 0.02)
    return model


DRAWN = {
    "zeros in the way of the signal": (hidden_zero, "2.weight"),
    "a weight in fresh memory": (Own, "w"),
    "the first of two zeros": (Dead, "one.weight"),
    "the second of two zeros": (Dead, "two.weight"),
    "a scale drawn around one": (random_scale, "1.weight"),
    # MobileViT in transformers draws the scales of its norms as it draws weights.
    "a scale drawn around zero": (lambda: random_scale(0.0), "1.weight"),
    "a policy head": (
        lambda: (
            nn.Sequential(nn.Linear(D, D), nn.Tanh(), init.orthogonal_layer(nn.Linear(D, 4), 0.01))
            if hasattr(init, "orthogonal_layer")
            else _policy()
        ),
        "2.weight",
    ),
    "GPT-2's draw": (lambda: _normal(0.02), "0.weight"),
    "an orthogonal draw": (lambda: _orthogonal(), "0.weight"),
    "an orthogonal draw in a linear place": (
        lambda: nn.Sequential(_orthogonal()[0], nn.Linear(D, D)),
        "0.weight",
    ),
    "an orthogonal draw of the wrong scale": (
        lambda: nn.Sequential(_rotated(nn.Conv2d(64, 64, 1)), nn.ReLU(), nn.Conv2d(64, 4, 1)),
        "0.weight",
    ),
    "columns that are orthonormal": (
        lambda: nn.Sequential(_rotated(nn.Conv1d(64, 80, 1)), nn.Conv1d(80, 4, 1)),
        "0.weight",
    ),
}


def _policy():
    model = nn.Sequential(nn.Linear(D, D), nn.Tanh(), nn.Linear(D, 4))
    nn.init.orthogonal_(model[2].weight, gain=0.01)
    return model


def _normal(std):
    model = nn.Sequential(nn.Linear(D, D), nn.GELU(), nn.Linear(D, 10))
    nn.init.normal_(model[0].weight, std=std)
    return model


def _rotated(layer):
    nn.init.orthogonal_(layer.weight)
    return layer


def _orthogonal():
    model = nn.Sequential(nn.Linear(D, D), nn.GELU(), nn.Linear(D, 10))
    nn.init.orthogonal_(model[0].weight)
    return model


@pytest.mark.parametrize(("build", "name"), DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_deliberate_is_drawn_anew(build, name, dtype):
    model = build().to(dtype)
    before = model.get_parameter(name).detach().clone()
    plan = init.initialize_(model, seed=0)
    assert "as the model set them" not in str(plan)
    assert not torch.equal(model.get_parameter(name), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_torchs_own_start_is_not_deliberate(dtype):
    builds = [
        *(lambda n=n: nn.Linear(n, n + 1) for n in (1, 2, 3, 8, 16, 300)),
        *(lambda k=k: k(16, 32, 3) for k in (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)),
        *(lambda k=k: k(24, 40) for k in (nn.RNN, nn.GRU, nn.LSTM, nn.LSTMCell)),
        lambda: nn.Bilinear(8, 9, 10),
        lambda: nn.Embedding(30, 16, padding_idx=3),
        lambda: nn.TransformerEncoderLayer(64, 4, 96),
        lambda: nn.PReLU(5),
    ]
    for build in builds:
        for seed in range(10):
            torch.manual_seed(seed)
            model = nn.ModuleDict({"m": build().to(dtype)})
            assert "as the model set" not in str(init.plan(model)), (build(), seed)


def test_memory_after_to_empty_is_not_deliberate():
    def build():
        layers = [layer for _ in range(3) for layer in (Scaled(1.0), nn.LayerNorm(D))]
        return nn.Sequential(*layers, nn.Linear(D, 10))

    with torch.device("meta"):
        model = build()
    plan = init.plan(model)
    assert "meta and sharded tensors show no values here" in str(plan)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.data.zero_()
    plain = build()
    init.initialize_(model, seed=0)
    init.initialize_(plain, seed=0)
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


def test_equal_weights_are_kept_and_are_a_fault():
    model = nn.Sequential(nn.Linear(D, D), nn.Tanh(), nn.Linear(D, 10))
    nn.init.constant_(model[0].weight, 0.01)
    assert "0.weight (all 0.01)" in str(init.plan(model))
    (found,) = [each for each in init.audit(model).findings if each.where == "0.weight"]
    assert found.kind == "constant"
    assert "units that start equal stay so" in found.message


@pytest.mark.parametrize("build", [hidden_zero, Dead])
def test_dead_layers_are_a_fault(build):
    model = build()
    init.initialize_(model, seed=0)
    zero = build()
    names = [name for name, p in zero.named_parameters() if p.ndim > 1 and not p.any()]
    with torch.no_grad():
        for name in names:
            model.get_parameter(name).zero_()
    assert [(f.where, f.kind) for f in init.audit(model).findings] == [
        (name, "constant") for name in names
    ]


class Fading(nn.Module):
    """A parameter in a formula that no recipe knows."""

    def __init__(self, values, name="rate"):
        super().__init__()
        self.name, self.layer = name, nn.Linear(D, D)
        self.register_parameter(name, nn.Parameter(values))

    def forward(self, x):
        return self.layer(x) + torch.exp(-getattr(self, self.name).square())


@pytest.mark.parametrize("name", ["rate", "time_decay"])
@pytest.mark.parametrize(
    "values",
    [torch.full((D,), 0.1), torch.linspace(-5, 3, D), torch.tensor(0.8), torch.eye(D)],
    ids=["constant", "in order", "one number", "identity"],
)
def test_a_parameter_that_no_rule_names_is_kept_if_its_values_are_no_random_draw(values, name):
    model = Fading(values.clone(), name)
    entry = next(e for e in init.initialize_(model, seed=0).entries if e.param.name == name)
    assert entry.kept
    assert torch.equal(getattr(model, name), values)
    for wrong in ({"keep_deliberate": False}, {"recipe": "xavier"}):
        with pytest.raises(ValueError, match=f"must have a rule; got none for {name}"):
            init.plan(model, **wrong)


@pytest.mark.parametrize("build", [lambda: torch.randn(D), lambda: torch.rand(4, D)])
def test_random_values_that_no_rule_names_are_an_error(build):
    with pytest.raises(ValueError, match="must have a rule; got none for decays"):
        init.plan(Fading(build(), "decays"))
