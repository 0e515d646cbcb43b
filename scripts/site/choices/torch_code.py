"""The snippets for PyTorch: with initguide, and without. Both build the same models."""

import textwrap

from decisions import Draw

from choices.start import Start, joined

MODULES = {
    "relu": "nn.ReLU()",
    "gelu": "nn.GELU()",
    "silu": "nn.SiLU()",
    "tanh": "nn.Tanh()",
    "sigmoid": "nn.Sigmoid()",
    "selu": "nn.SELU()",
}
HEAD = """
head = model[-1]
nn.init.kaiming_normal_(head.weight, nonlinearity="linear")
nn.init.zeros_(head.bias)
"""


def _with_torch(model: str, start: str) -> str:
    return joined(model.replace("import initguide as init\n\n", ""), start)


# Plain networks ----------------------------------------------------------------------------------


def _mlp(s: Start) -> str:
    f = MODULES[s.activation]
    if s.deep:
        layers = f"""
layers = []
for _ in range(20):
    layers += [nn.Linear(256, 256), {f}]
model = nn.Sequential(*layers, nn.Linear(256, 10))"""
    else:
        layers = f"""
model = nn.Sequential(
    nn.Linear(64, 256),
    {f},
    nn.Linear(256, 256),
    {f},
    nn.Linear(256, 10),
)"""
    return f"from torch import nn\n\nimport initguide as init\n{layers}"


def _cnn(s: Start) -> str:
    f = MODULES[s.activation]
    if s.deep:
        layers = f"""
layers = []
for channels in [3] + 19 * [64]:
    conv = nn.Conv2d(channels, 64, 3, padding=1)
    layers += [conv, {f}]
layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
model = nn.Sequential(*layers)"""
    else:
        layers = f"""
model = nn.Sequential(
    nn.Conv2d(3, 64, 3, padding=1),
    {f},
    nn.Conv2d(64, 64, 3, padding=1),
    {f},
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)"""
    return f"from torch import nn\n\nimport initguide as init\n{layers}"


def _recipe(s: Start, layer: str) -> str:
    if s.draw.method in ("orthogonal_", "delta_orthogonal_"):
        return f"""
rule = init.Rule("*weight", "{s.draw.method}", on=nn.{layer})
print(init.initialize_(model, [rule, "auto"], seed=0))"""
    return "print(init.initialize_(model, seed=0))"


def _shifted(s: Start, layer: str, module: str) -> str:
    """Return orthogonal weights of gain 4 and the biases that remove the mean of the sigmoids."""
    draw = f"{module}.{s.draw.method}(layer.weight, gain=gain)"
    if module == "nn.init" and layer == "Conv2d":
        draw = """if layer is weighted[-1]:
        nn.init.orthogonal_(layer.weight, gain=gain)
    else:
        nn.init.zeros_(layer.weight)
        nn.init.orthogonal_(layer.weight[:, :, 1, 1], gain=gain)"""
    elif layer == "Conv2d":
        draw = """if layer is weighted[-1]:
        init.orthogonal_(layer.weight, gain=gain)
    else:
        init.delta_orthogonal_(layer.weight, gain=gain)"""
    return f"""
weighted = [layer for layer in model if hasattr(layer, "weight")]
for layer in weighted:
    gain = 2 if layer in (weighted[0], weighted[-1]) else 4
    {draw}
    with torch.no_grad():
        layer.bias.copy_(-layer.weight.flatten(1).sum(1) / 2)
{module}.zeros_(weighted[0].bias)  # no sigmoid comes before it"""


def _drawn(draw: Draw) -> str:
    if draw.method == "kaiming_normal_":
        return 'nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")'
    if draw.method == "xavier_normal_":
        return f"nn.init.xavier_normal_(layer.weight, gain={draw.gain:.2f})"
    if draw.method == "orthogonal_":
        return "nn.init.orthogonal_(layer.weight)"
    if draw.method == "delta_orthogonal_":
        return "nn.init.zeros_(layer.weight)\nnn.init.orthogonal_(layer.weight[:, :, 1, 1])"
    if draw.gain == 1:
        return 'nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")'
    return f"""fan_in = layer.weight[0].numel()
nn.init.normal_(layer.weight, std={draw.gain:.2f} / fan_in**0.5)"""


def _by_layer(s: Start, layer: str) -> str:
    return f"""
for layer in model[:-1]:
    if isinstance(layer, nn.{layer}):
{textwrap.indent(_drawn(s.draw), " " * 8)}
        nn.init.zeros_(layer.bias){HEAD}"""


def _plain(s: Start, model: str, layer: str) -> dict[str, str]:
    if s.shift:
        model = f"import torch\n{model}"
        return {
            "initguide": joined(model, _shifted(s, layer, "init")),
            "PyTorch": _with_torch(model, _shifted(s, layer, "nn.init")),
        }
    return {
        "initguide": joined(model, _recipe(s, layer)),
        "PyTorch": _with_torch(model, _by_layer(s, layer)),
    }


def mlp(s: Start) -> dict[str, str]:
    """Return the snippets of a fully connected network."""
    return _plain(s, _mlp(s), "Linear")


def cnn(s: Start) -> dict[str, str]:
    """Return the snippets of a convolutional network."""
    return _plain(s, _cnn(s), "Conv2d")


# All other networks: a model, initguide's start, and PyTorch's -----------------------------------


def _both(model: str, ours: str, theirs: str) -> dict[str, str]:
    return {"initguide": joined(model, ours), "PyTorch": _with_torch(model, theirs)}


def residual_norm() -> dict[str, str]:
    """Return the snippets of a residual network with BatchNorm."""
    model = """
import torch
from torch import nn

import initguide as init


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        conv = {"kernel_size": 3, "padding": 1, "bias": False}
        self.conv1 = nn.Conv2d(channels, channels, **conv)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, **conv)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        h = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(x + self.norm2(self.conv2(h)))


model = nn.Sequential(
    nn.Conv2d(3, 64, 3, padding=1, bias=False),
    nn.BatchNorm2d(64),
    nn.ReLU(),
    *(Block(64) for _ in range(4)),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)"""
    return _both(
        model,
        'print(init.initialize_(model, "zero_gamma", seed=0))',
        f"""
for layer in model.modules():
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if isinstance(layer, Block):
        nn.init.zeros_(layer.norm2.weight)  # the block starts as the identity{HEAD}""",
    )


def residual_plain() -> dict[str, str]:
    """Return the snippets of a residual network without norms: Fixup."""
    model = """
import torch
from torch import nn

import initguide as init


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x + self.scale * self.last(torch.relu(self.first(x)))


branches = 12
body = [Block(256) for _ in range(branches)]
model = nn.Sequential(nn.Linear(64, 256), *body, nn.Linear(256, 10))"""
    return _both(
        model,
        'print(init.initialize_(model, "fixup", seed=0))',
        """
nn.init.kaiming_normal_(model[0].weight, nonlinearity="linear")
for block in body:  # two layers in each branch: std of He / sqrt(branches)
    std = (2 / block.first.in_features / branches) ** 0.5
    nn.init.normal_(block.first.weight, std=std)
    nn.init.zeros_(block.last.weight)
nn.init.zeros_(model[-1].weight)
for layer in model.modules():
    if isinstance(layer, nn.Linear):
        nn.init.zeros_(layer.bias)""",
    )


def recurrent(cell: str) -> dict[str, str]:
    """Return the snippets of a recurrent layer: LSTM, GRU or RNN."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    model = f"""
from torch import nn

import initguide as init

layer = nn.{cell}(64, 128, batch_first=True)"""
    ours, theirs = "", ""
    if cell == "LSTM":
        model = f"import math\n\n{model.lstrip()}\nsteps = 100  # how long to remember"
        ours = "\ninit.forget_bias_(layer, math.log(steps))"
        theirs = """
# torch's order of the gates: input, forget, cell, output
nn.init.constant_(layer.bias_ih_l0[128:256], math.log(steps))"""
    return _both(
        model,
        f"print(init.initialize_(layer, seed=0)){ours}",
        f"""
for gate in layer.weight_ih_l0.chunk({gates}):
    nn.init.xavier_uniform_(gate)
for gate in layer.weight_hh_l0.chunk({gates}):
    nn.init.orthogonal_(gate)
nn.init.zeros_(layer.bias_ih_l0)
nn.init.zeros_(layer.bias_hh_l0){theirs}""",
    )


def transformer() -> dict[str, str]:
    """Return the snippets of a decoder like GPT-2."""
    model = """
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init


class Block(nn.Module):
    def __init__(self, width, heads=4):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        n = x.shape[1]
        mask = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        h = self.norm1(x)
        x = x + self.attention(h, h, h, attn_mask=mask, need_weights=False)[0]
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, words=1000, length=64, width=128, blocks=4):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        h = self.blocks(self.words(tokens) + self.places(places))
        return self.norm(h) @ self.words.weight.T  # the head is tied


model = GPT()"""
    return _both(
        model,
        'print(init.initialize_(model, "gpt2", seed=0))',
        """
branches = 2 * len(model.blocks)
for name, weight in model.named_parameters():
    if name.endswith("bias"):
        nn.init.zeros_(weight)
    elif "norm" in name:
        nn.init.ones_(weight)
    elif name.endswith(("out_proj.weight", "down.weight")):
        nn.init.normal_(weight, std=0.02 / branches**0.5)
    else:
        nn.init.normal_(weight, std=0.02)""",
    )


def llama() -> dict[str, str]:
    """Return the snippets of a decoder like Llama."""
    model = """
from torch import nn
from torch.nn import functional as F

import initguide as init


class Block(nn.Module):
    def __init__(self, width, heads=4):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, 3 * width, bias=False)
        self.up = nn.Linear(width, 3 * width, bias=False)
        self.down = nn.Linear(3 * width, width, bias=False)

    def forward(self, x):  # the rotations of q and k have no weights
        h = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = h.permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(h.transpose(1, 2).flatten(2))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, words=1000, width=128, blocks=4):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, words, bias=False)

    def forward(self, tokens):
        return self.head(self.norm(self.blocks(self.words(tokens))))


model = Llama()"""
    return _both(
        model,
        """
rule = init.Rule("head.weight", "lecun_normal_")
print(init.initialize_(model, [rule, "gpt2"], seed=0))""",
        """
branches = 2 * len(model.blocks)
for name, weight in model.named_parameters():
    if "norm" in name:
        nn.init.ones_(weight)
    elif name.endswith(("out.weight", "down.weight")):
        nn.init.normal_(weight, std=0.02 / branches**0.5)
    elif name == "head.weight":
        nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    else:
        nn.init.normal_(weight, std=0.02)""",
    )


def unet() -> dict[str, str]:
    """Return the snippets of a U-Net that predicts noise."""
    model = """
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class UNet(nn.Module):
    def __init__(self, channels=64):
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.down, self.middle, self.up = (Block(channels) for _ in range(3))
        self.smaller = nn.Conv2d(channels, channels, 3, 2, padding=1)
        self.merge = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x):
        skip = self.down(self.first(x))
        h = self.middle(self.smaller(skip))
        h = torch.cat([F.interpolate(h, scale_factor=2), skip], 1)
        return self.last(F.silu(self.norm(self.up(self.merge(h)))))


model = UNet()"""
    return _both(
        model,
        """
rules = [
    init.Rule("*conv2.weight", "zeros_"),  # each block starts as its skip
    init.Rule("last.weight", "zeros_"),  # the first prediction is zero
    init.Rule("*weight", "lecun_normal_", on=nn.Conv2d),
    "auto",
]
print(init.initialize_(model, rules, seed=0))""",
        """
for name, layer in model.named_modules():
    if isinstance(layer, nn.Conv2d):
        nn.init.zeros_(layer.bias)
        if name == "last" or name.endswith("conv2"):
            nn.init.zeros_(layer.weight)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")""",
    )


def siren() -> dict[str, str]:
    """Return the snippets of a sine network."""
    model = """
import torch
from torch import nn

import initguide as init


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(30 * x)


model = nn.Sequential(
    nn.Linear(2, 256),
    Sine(),
    nn.Linear(256, 256),
    Sine(),
    nn.Linear(256, 256),
    Sine(),
    nn.Linear(256, 3),
)"""
    return _both(
        model,
        """
first = init.Rule("0.weight", "uniform_", a=-1 / 2, b=1 / 2)
others = init.Rule("*weight", "lecun_uniform_", gain=2**0.5 / 30)
biases = init.Rule("*bias", "zeros_")
print(init.initialize_(model, [first, others, biases, "auto"], seed=0))""",
        """
for layer in model[::2]:
    bound = (6 / layer.in_features) ** 0.5 / 30
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)
nn.init.uniform_(model[0].weight, -1 / 2, 1 / 2)  # 1 / inputs""",
    )


def lora() -> dict[str, str]:
    """Return the snippets of a low-rank adapter."""
    model = """
import torch
from torch import nn

import initguide as init


class LoRA(nn.Module):
    def __init__(self, frozen, rank=8):
        super().__init__()
        self.frozen = frozen.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(rank, frozen.in_features))
        self.B = nn.Parameter(torch.empty(frozen.out_features, rank))

    def forward(self, x):
        return self.frozen(x) + x @ self.A.T @ self.B.T


model = LoRA(nn.Linear(256, 256))  # in place of a pretrained layer"""
    return _both(
        model,
        """
init.lecun_uniform_(model.A, gain=3**-0.5)
init.zeros_(model.B)""",
        """
nn.init.kaiming_uniform_(model.A, a=5**0.5)
nn.init.zeros_(model.B)""",
    )


def ppo() -> dict[str, str]:
    """Return the snippets of a policy and a value network."""
    model = """
from torch import nn

import initguide as init


def network(outputs):
    return nn.Sequential(
        nn.Linear(8, 64),
        nn.Tanh(),
        nn.Linear(64, 64),
        nn.Tanh(),
        nn.Linear(64, outputs),
    )


policy, value = network(4), network(1)"""
    return _both(
        model,
        """
for seed, (model, gain) in enumerate([(policy, 0.01), (value, 1.0)]):
    rules = [
        init.Rule("4.weight", "orthogonal_", gain=gain),
        init.Rule("*weight", "orthogonal_", gain=2**0.5),
        init.Rule("*bias", "zeros_"),
    ]
    print(init.initialize_(model, rules, seed=seed))""",
        """
for model, gain in ((policy, 0.01), (value, 1.0)):
    for layer in model[::2]:
        nn.init.orthogonal_(layer.weight, gain=2**0.5)
        nn.init.zeros_(layer.bias)
    nn.init.orthogonal_(model[-1].weight, gain=gain)""",
    )
