"""Tiny models of the families of the code bases; their names tell nothing about the roles."""

import torch
import torch.nn.functional as F
from torch import nn


class RMS(nn.Module):
    """A norm as model code writes it."""

    def __init__(self, d):
        super().__init__()
        self.g = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.g


def rotated(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Grouped(nn.Module):
    """Attention with fewer keys than queries, rotated."""

    def __init__(self, d, heads=4):
        super().__init__()
        self.heads = heads
        self.a, self.d = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.b, self.c = nn.Linear(d, d // 2, bias=False), nn.Linear(d, d // 2, bias=False)
        self.register_buffer("cos", torch.ones(d // heads // 2), False)
        self.register_buffer("sin", torch.zeros(d // heads // 2), False)

    def forward(self, x):
        batch, length, d = x.shape
        q = self.a(x).view(batch, length, self.heads, -1).transpose(1, 2)
        k = self.b(x).view(batch, length, self.heads // 2, -1).transpose(1, 2)
        v = self.c(x).view(batch, length, self.heads // 2, -1).transpose(1, 2)
        q, k = rotated(q, self.cos, self.sin), rotated(k, self.cos, self.sin)
        k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.d(y.transpose(1, 2).reshape(batch, length, d))


class Packed(nn.Module):
    """Attention with one projection for query, key and value, and a softmax written out."""

    def __init__(self, d, heads=4):
        super().__init__()
        self.heads, self.size = heads, d // heads
        self.one, self.two = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        batch, length, d = x.shape
        q, k, v = self.one(x).chunk(3, -1)
        q = q.view(batch, length, self.heads, -1).transpose(1, 2)
        k = k.view(batch, length, self.heads, -1).transpose(1, 2)
        v = v.view(batch, length, self.heads, -1).transpose(1, 2)
        scores = (q @ k.transpose(-2, -1)) * self.size**-0.5
        y = F.dropout(scores.softmax(-1), 0.1, self.training) @ v
        return self.two(y.transpose(1, 2).reshape(batch, length, d))


class Swi(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.r, self.s = nn.Linear(d, h, bias=False), nn.Linear(d, h, bias=False)
        self.t = nn.Linear(h, d, bias=False)

    def forward(self, x):
        return self.t(self.s(x) * F.silu(self.r(x)))


class Experts(nn.Module):
    """A mixture of experts with stacked weights; every expert sees every token."""

    def __init__(self, d, h, count=4):
        super().__init__()
        self.choice = nn.Linear(d, count, bias=False)
        self.first = nn.Parameter(torch.zeros(count, d, h))
        self.second = nn.Parameter(torch.zeros(count, d, h))
        self.third = nn.Parameter(torch.zeros(count, h, d))

    def forward(self, x):
        chance, index = self.choice(x).softmax(-1).topk(2, -1)
        weight = torch.zeros_like(self.choice(x)).scatter(-1, index, chance)
        y = torch.matmul(x.unsqueeze(-3), self.first)
        y = F.silu(y) * torch.matmul(x.unsqueeze(-3), self.second)
        y = torch.matmul(y, self.third)
        return (y * weight.transpose(-1, -2).unsqueeze(-1)).sum(-3)


class Plain(nn.Sequential):
    def __init__(self, d, h):
        super().__init__(nn.Linear(d, h), nn.GELU(), nn.Linear(h, d))


class Block(nn.Module):
    def __init__(self, d, attention, mlp, norm):
        super().__init__()
        self.before, self.mix, self.middle, self.think = norm(d), attention, norm(d), mlp

    def forward(self, x):
        x = x + self.mix(self.before(x))
        return x + self.think(self.middle(x))


class Decoder(nn.Module):
    def __init__(self, d=256, blocks=4, kind="llama", words=300):
        super().__init__()
        norm = nn.LayerNorm if kind == "gpt" else RMS
        attention = Packed if kind == "gpt" else Grouped
        mlp = {"llama": Swi, "gpt": Plain, "moe": Experts}[kind]
        self.start = nn.Embedding(words, d)
        self.where = nn.Embedding(64, d) if kind == "gpt" else None
        made = (Block(d, attention(d), mlp(d, 2 * d), norm) for _ in range(blocks))
        self.stack = nn.ModuleList(made)
        self.last = norm(d)
        self.end = nn.Linear(d, words, bias=False)

    def forward(self, ids):
        x = self.start(ids)
        if self.where is not None:
            x = x + self.where(torch.arange(ids.shape[1], device=ids.device))
        for block in self.stack:
            x = block(x)
        return self.end(self.last(x))


class Selective(nn.Module):
    """The mixer of Mamba, with a scan over the positions."""

    def __init__(self, d, states=8, rank=16):
        super().__init__()
        h = 2 * d
        self.h, self.states, self.rank = h, states, rank
        self.inp = nn.Linear(d, 2 * h, bias=False)
        self.local = nn.Conv1d(h, h, 4, groups=h, padding=3)
        self.select = nn.Linear(h, rank + 2 * states, bias=False)
        self.widen = nn.Linear(rank, h)
        self.logs = nn.Parameter(torch.zeros(h, states))
        self.skip = nn.Parameter(torch.zeros(h))
        self.out = nn.Linear(h, d, bias=False)

    def forward(self, x):
        length = x.shape[1]
        u, z = self.inp(x).chunk(2, -1)
        u = F.silu(self.local(u.transpose(1, 2))[..., :length].transpose(1, 2))
        step, b, c = self.select(u).split([self.rank, self.states, self.states], -1)
        step = F.softplus(self.widen(step))
        decay = torch.exp(step.unsqueeze(-1) * -torch.exp(self.logs))
        update = (step * u).unsqueeze(-1) * b.unsqueeze(-2)
        state, outputs = torch.zeros_like(update[:, 0]), []
        for t in range(4):
            state = decay[:, t] * state + update[:, t]
            outputs.append((state * c[:, t].unsqueeze(-2)).sum(-1))
        y = torch.stack(outputs, 1) + u * self.skip
        return self.out(y * F.silu(z))


class Mamba(nn.Module):
    def __init__(self, d=256, blocks=4, words=300):
        super().__init__()
        self.start = nn.Embedding(words, d)
        self.norms = nn.ModuleList(RMS(d) for _ in range(blocks))
        self.mixers = nn.ModuleList(Selective(d) for _ in range(blocks))
        self.last, self.end = RMS(d), nn.Linear(d, words, bias=False)
        self.end.weight = self.start.weight

    def forward(self, ids):
        x = self.start(ids)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x))
        return self.end(self.last(x))


class Conditioned(nn.Module):
    """A block of a diffusion transformer."""

    def __init__(self, d):
        super().__init__()
        self.n1 = nn.LayerNorm(d, elementwise_affine=False)
        self.n2 = nn.LayerNorm(d, elementwise_affine=False)
        self.mix, self.think = Packed(d), Plain(d, 4 * d)
        self.change = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))

    def forward(self, x, c):
        a, b, g, e, f, h = self.change(c).unsqueeze(1).chunk(6, -1)
        x = x + g * self.mix(self.n1(x) * (1 + b) + a)
        return x + h * self.think(self.n2(x) * (1 + f) + e)


class Diffusion(nn.Module):
    def __init__(self, d=256, blocks=4, labels=10):
        super().__init__()
        self.cells = nn.Conv2d(4, d, 2, 2)
        self.time = nn.Sequential(nn.Linear(64, d), nn.SiLU(), nn.Linear(d, d))
        self.label = nn.Embedding(labels, d)
        self.stack = nn.ModuleList(Conditioned(d) for _ in range(blocks))
        self.norm = nn.LayerNorm(d, elementwise_affine=False)
        self.change = nn.Sequential(nn.SiLU(), nn.Linear(d, 2 * d))
        self.end = nn.Linear(d, 16)

    def forward(self, x, t, y):
        x = self.cells(x).flatten(2).transpose(1, 2)
        c = self.time(t) + self.label(y)
        for block in self.stack:
            x = block(x, c)
        a, b = self.change(c).unsqueeze(1).chunk(2, -1)
        return self.end(self.norm(x) * (1 + b) + a)


def make(family, d=256, blocks=4):
    """A tiny model of a family."""
    if family in ("llama", "gpt", "moe"):
        return Decoder(d, blocks, family)
    return {"mamba": Mamba, "dit": Diffusion}[family](d, blocks)


def batch(family):
    """A batch for the model of a family."""
    if family == "dit":
        return torch.randn(2, 4, 8, 8), torch.randn(2, 64), torch.tensor([1, 2])
    return (torch.arange(8).reshape(2, 4),)


# For each code base, a family that its recipe fits, and the options that it needs.
_LLAMA = "torchtitan-llama3 olmo-core olmo-core-llama olmo-core-llama-depth olmo-core-fan-in litgpt"
_LLAMA += " llm-foundry lingua nanotron nanotron-spectral nanochat modded-nanogpt dion levanter"
FAMILIES = {name: ("llama", {}) for name in f"{_LLAMA} gemma ngpt".split()}
FAMILIES |= {f"torchtitan-{n}": ("moe", {}) for n in ("deepseek-v3", "qwen3-moe", "gpt-oss")}
FAMILIES |= {name: ("gpt", {}) for name in ("megatron", "megatron-hybrid", "gpt-neox")}
FAMILIES |= {"maxtext": ("llama", {"head_dim": 64}), "hf": ("moe", {})}
FAMILIES |= {name: ("llama", {}) for name in ("deepnorm", "t-fixup", "small-init")}
FAMILIES |= {name: ("gpt", {"mup": 4}) for name in ("mup", "completep")}
FAMILIES |= {"switch": ("moe", {})}
FAMILIES |= {"mamba": ("mamba", {}), "dit": ("dit", {})}
