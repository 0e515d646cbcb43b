"""Each recipe against its source: torch's constructors, and numbers worked by hand."""

import math
from collections import OrderedDict

import anyinit
import pytest
import torch
from plans import rows, stds
from torch import nn
from zoo import NORMED, ZOO, MobileNet, NanoGPT, Plain, ResNet, encoder

import initguide as init
from initguide import Rule
from initguide.graph.layer_info import LayerInfo

# "torch": what torch's own constructors draw.

TORCH = {
    "Linear": lambda: nn.Linear(20, 30),
    "Conv1d": lambda: nn.Conv1d(6, 12, 3, groups=3),
    "Conv2d": lambda: nn.Conv2d(6, 12, 3),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(6, 12, 3, stride=2),
    "RNN": lambda: nn.RNN(5, 9),
    "GRU": lambda: nn.GRU(5, 9, bidirectional=True),
    "LSTM": lambda: nn.LSTM(5, 9, proj_size=4),
    "LSTMCell": lambda: nn.LSTMCell(5, 9),
    "packed attention": lambda: nn.MultiheadAttention(12, 2, add_bias_kv=True),
    "separate attention": lambda: nn.MultiheadAttention(12, 2, kdim=8, vdim=6),
    "Embedding": lambda: nn.Embedding(30, 8, padding_idx=2),
    "EmbeddingBag": lambda: nn.EmbeddingBag(30, 8),
    "Bilinear": lambda: nn.Bilinear(6, 8, 10),
    "PReLU": lambda: nn.PReLU(5),
    "BatchNorm2d": lambda: nn.BatchNorm2d(6),
    "LayerNorm": lambda: nn.LayerNorm(6),
    "GroupNorm": lambda: nn.GroupNorm(2, 6),
    "encoder layer": lambda: nn.TransformerEncoderLayer(12, 2, 20),
    "Transformer": lambda: nn.Transformer(12, 2, 1, 1, 20, batch_first=True),
}
DRAWS = 30


def stacked(models):
    states = [model.state_dict() for model in models]
    return {name: torch.stack([each[name].double() for each in states]) for name in states[0]}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("make", TORCH.values(), ids=TORCH)
def test_the_torch_recipe_draws_what_torch_draws(make):
    torch.manual_seed(0)
    theirs = stacked(nn.ModuleDict({"m": make()}) for _ in range(DRAWS))
    ours_of = [nn.ModuleDict({"m": make()}) for _ in range(DRAWS)]
    for seed, model in enumerate(ours_of):
        for tensor in model.state_dict().values():
            tensor.fill_(3)
        init.initialize_(model, "torch", seed=seed)
    ours = stacked(ours_of)
    for name, want in theirs.items():
        got, count = ours[name], want.numel()
        if (want == want.flatten()[0]).all():
            assert torch.equal(got, want), name
            continue
        assert torch.equal(got == 0, want == 0), name
        # Two stds, each with a relative error of at most 1 / sqrt(2 n).
        assert got.std() / want.std() == pytest.approx(1, abs=5 / math.sqrt(count)), name
        assert abs(got.mean() - want.mean()) < 5 * want.std() * math.sqrt(2 / count), name
        if want.abs().max() < 1.75 * want.std():
            # Uniform: both come as near to the bound as a share 10 / n of it.
            assert got.abs().max() / want.abs().max() == pytest.approx(1, abs=10 / count), name


# "xavier", "kaiming", "orthogonal".


def test_xavier_takes_no_gain():
    plan = rows(Plain(), "xavier")
    for name, fans in (("fc1", 164), ("fc2", 150), ("fc3", 60)):
        assert plan[f"{name}.weight"]["law"] == "xavier_uniform_"
        assert plan[f"{name}.weight"]["std"] == pytest.approx(math.sqrt(2 / fans))


def test_kaiming_takes_the_gain_of_the_next_activation():
    plan = stds(Plain(), "kaiming")
    assert plan["fc1.weight"] == pytest.approx(math.sqrt(2 / 64))
    assert plan["fc2.weight"] == pytest.approx(1.592537 / 10, rel=1e-5)
    assert plan["fc3.weight"] == pytest.approx(1 / math.sqrt(50))
    assert rows(Plain(), "kaiming")["fc1.weight"]["law"] == "kaiming_normal_"
    selu = nn.Sequential(nn.Linear(25, 9), nn.SELU(), nn.Linear(9, 9))
    # 1 / fan_in, and not torch's 3/4.
    assert stds(selu, "kaiming")["0.weight"] == pytest.approx(0.2, rel=1e-6)


def test_orthogonal_takes_the_gain_of_the_next_activation():
    model = Plain()
    init.initialize_(model, "orthogonal", seed=0)
    for weight, gain in ((model.fc1.weight, 2**0.5), (model.fc2.weight, 1.592537)):
        values = torch.linalg.svdvals(weight.detach())
        torch.testing.assert_close(values, torch.full_like(values, gain), rtol=1e-4, atol=0)


# "zero_gamma".


@pytest.mark.parametrize("name", NORMED)
def test_zero_gamma_zeros_only_the_last_norm_of_each_branch(name):
    model = ZOO[name]()
    init.initialize_(model, "zero_gamma", seed=0)
    zero = {key for key, p in model.named_parameters() if "weight" in key and not p.any()}
    want = {
        "resnet": {f"layer{i}.{j}.bn2.weight" for i in (1, 2) for j in (0, 1)},
        "mobilenet": {f"features.{i}.conv.7.weight" for i in (0, 1)},
    }
    assert zero == want[name]


def test_zero_gamma_starts_blocks_as_identities():
    model = MobileNet().eval()
    init.initialize_(model, "zero_gamma", seed=0)
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.features(x), x)


def test_zero_gamma_refuses_models_without_such_a_norm():
    for name in ("mixer", "encoder", "perceptron"):
        with pytest.raises(ValueError, match="'zero_gamma' must find residual branches that end"):
            init.plan(ZOO[name](), "zero_gamma")


# "gpt2".


def test_gpt2_on_a_gpt():
    plan = stds(NanoGPT(layers=3), "gpt2")
    small = {key for key, std in plan.items() if std == pytest.approx(0.02 / math.sqrt(6))}
    assert small == {f"h.{i}.{key}.weight" for i in range(3) for key in ("attn.c_proj", "c_proj")}
    rest = {key for key, std in plan.items() if std == pytest.approx(0.02)}
    assert {"wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "h.2.c_fc.weight"} <= rest
    assert {plan[key] for key in plan.keys() - small - rest} == {0.0}


def test_gpt2_on_torchs_encoder():
    plan = stds(encoder(5), "gpt2")
    for i in range(5):
        for name in ("self_attn.out_proj", "linear2"):
            assert plan[f"layers.{i}.{name}.weight"] == pytest.approx(0.02 / math.sqrt(10))
        for name in ("self_attn.in_proj_weight", "linear1.weight"):
            assert plan[f"layers.{i}.{name}"] == pytest.approx(0.02)


# "fixup".


def test_fixup_by_hand():
    # L = 4 branches of m = 2 layers: 4^(-1/2).
    plan = stds(ResNet(), "fixup")
    for stage, block, fan in ((1, 0, 72), (1, 1, 72), (2, 0, 72), (2, 1, 144)):
        name = f"layer{stage}.{block}"
        assert plan[f"{name}.conv1.weight"] == pytest.approx(0.5 * math.sqrt(2 / fan))
        assert plan[f"{name}.conv2.weight"] == 0
    assert plan["fc.weight"] == 0
    assert plan["conv1.weight"] == pytest.approx(math.sqrt(2 / 27))
    assert plan["layer2.0.downsample.0.weight"] == pytest.approx(math.sqrt(2 / 8))
    # L = 2 of m = 3: 2^(-1/4).
    plan = stds(MobileNet(), "fixup")
    factor = 2**-0.25 * init.gain("relu6")
    assert plan["features.0.conv.0.weight"] == pytest.approx(factor / math.sqrt(8))
    assert plan["features.1.conv.3.weight"] == pytest.approx(factor / 3)
    assert plan["features.1.conv.6.weight"] == plan["classifier.1.weight"] == 0


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 6), nn.Linear(6, 9)
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.head.weight = self.table.weight

    def forward(self, x):
        x = self.table(x)
        return self.head(x + self.b(torch.relu(self.a(x))))


def test_fixup_zeros_no_embedding_and_no_projection_of_a_skip():
    assert stds(Tied(), "fixup")["table.weight"] > 0
    assert stds(NanoGPT(), "fixup")["wte.weight"] > 0
    body = ResNet()
    body.fc = nn.Identity()
    zero = {key for key, std in stds(body, "fixup").items() if std == 0 and "conv" in key}
    assert zero == {f"layer{i}.{j}.conv2.weight" for i in (1, 2) for j in (0, 1)}
    assert stds(body, "fixup")["layer2.0.downsample.0.weight"] > 0


def test_fixups_scalars():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            self.scale = nn.Parameter(torch.empty(1))
            self.bias1 = nn.Parameter(torch.empty(1))

        def forward(self, x):
            return x + self.scale * self.b(torch.relu(self.a(x + self.bias1)))

    model = nn.Sequential(Block(), Block(), nn.Linear(6, 3))
    init.initialize_(model, "fixup", seed=0)
    assert (model[0].scale.item(), model[1].bias1.item()) == (1, 0)
    assert not model[2].weight.any()
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model[:2](x), x)
    # A layer with "scale" in its name is still a layer.
    model = nn.Sequential(OrderedDict(upscale=nn.Linear(3, 6), block=Block(), head=nn.Linear(6, 3)))
    assert stds(model, "fixup")["upscale.weight"] == pytest.approx(3**-0.5)


@pytest.mark.parametrize("recipe", ["gpt2", "fixup", "zero_gamma"])
def test_residual_recipes_refuse_models_without_branches(recipe):
    with pytest.raises(ValueError, match=f"recipe '{recipe}' must find residual branches"):
        init.plan(Plain(), recipe)


# "auto".


def test_auto_divides_branches_without_a_norm_by_their_number():
    plan = stds(ZOO["mixer"](), "auto")
    assert plan["1.channel.2.weight"] == pytest.approx(1 / math.sqrt(64 * 4))
    # Behind a norm the scale does not matter, and stays He's.
    assert stds(ResNet(), "auto")["layer1.0.conv2.weight"] == pytest.approx(math.sqrt(2 / 72))


class Sums(nn.Module):
    """Residual branches of two layers, whose last ones have a fan_in of 16."""

    def __init__(self, branches):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(branches)
        )

    def forward(self, x):
        for branch in self.branches:
            x = x + branch(x)
        return x


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_auto_gives_the_sum_of_all_branches_the_size_of_one(branches):
    plan = stds(Sums(branches), "auto")
    for index in range(branches):
        assert plan[f"branches.{index}.2.weight"] == pytest.approx((16 * branches) ** -0.5)


class Sine(nn.Module):
    """No scale brings its second moment to one."""

    def forward(self, x):
        return torch.sin(x)


LAWS = {
    "relu": (nn.ReLU(), "kaiming_normal_", math.sqrt(2 / 50)),
    "leaky_relu": (nn.LeakyReLU(0.5), "kaiming_normal_", math.sqrt(2 / 1.25 / 50)),
    "gelu": (nn.GELU(), "lecun_normal_", anyinit.gain("gelu") / math.sqrt(50)),
    "silu": (nn.SiLU(), "lecun_normal_", anyinit.gain("silu") / math.sqrt(50)),
    "elu": (nn.ELU(), "lecun_normal_", anyinit.gain("elu") / math.sqrt(50)),
    "sine": (Sine(), "lecun_normal_", 1.520867 / math.sqrt(50)),
    "selu": (nn.SELU(), "lecun_normal_", 1 / math.sqrt(50)),
    "none": (nn.Identity(), "lecun_normal_", 1 / math.sqrt(50)),
    "tanh": (nn.Tanh(), "xavier_normal_", 1.592537 * math.sqrt(2 / 70)),
    "sigmoid": (nn.Sigmoid(), "xavier_normal_", 1.846230 * math.sqrt(2 / 70)),
}


@pytest.mark.parametrize(("module", "law", "std"), LAWS.values(), ids=LAWS)
def test_auto_follows_the_activation(module, law, std):
    model = nn.Sequential(nn.Linear(50, 20), module, nn.Linear(20, 2))
    row = rows(model, "auto")["0.weight"]
    assert row["law"] == law
    assert row["std"] == pytest.approx(std, rel=1e-5)


@pytest.mark.parametrize(("activation", "most"), [(nn.GELU, 4), (nn.SiLU, 12), (nn.Mish, 4)])
def test_a_deep_stack_of_smooth_layers_keeps_signal_and_gradient(activation, most):
    """Under the forward gain 30 layers of SiLU multiply the signal by about 90, of GELU by 7."""
    layers = [layer for _ in range(30) for layer in (nn.Linear(128, 128), activation())]
    model = nn.Sequential(*layers)
    for seed in range(3):
        init.initialize_(model, seed=seed)
        source = torch.Generator().manual_seed(seed)
        x = torch.randn(64, 128, generator=source).requires_grad_()
        y = model(x)
        down = torch.randn(y.shape, generator=source)
        (gradient,) = torch.autograd.grad(y, x, down)
        assert 1 / 4 < y.square().mean().sqrt().item() < most
        assert 1 / 4 < (gradient.norm() / down.norm()).item() < 2 * most


def test_names_with_brackets_are_names():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.b = nn.ModuleDict({"x[0]": nn.Linear(4, 4), "x0": nn.Linear(4, 4)})

        def forward(self, x):
            return x + self.b["x[0]"](torch.relu(self.b["x0"](x)))

    plan = stds(Odd(), "fixup")
    assert plan["b.x[0].weight"] == 0
    assert plan["b.x0.weight"] > 0
    assert stds(Odd(), "torch")["b.x[0].bias"] == pytest.approx(0.5 / math.sqrt(3))
    assert Rule("b.x[[]0].weight", "zeros_").matches("b.x[0].weight", Odd(), LayerInfo())
