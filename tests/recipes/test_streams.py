"""The residual stream after "auto": its size over many blocks, of every kind of branch and skip."""

import itertools
import math

import pytest
import torch
from models import rms
from plans import stds
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.graph.trace import trace

WIDTH, DEPTH = 256, 24


class Convolutions(nn.Module):
    """A block of a diffusion U-Net: its skip is a convolution where asked."""

    def __init__(self, into, out, skip=True, norm="module"):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, into), nn.GroupNorm(8, out)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.time = nn.Linear(64, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(into, out, 1) if skip else nn.Identity()
        self.kind = norm

    def normed(self, norm, x):
        if self.kind == "module":
            return norm(x)
        if self.kind == "function":
            return F.group_norm(x, norm.num_groups, norm.weight, norm.bias)
        return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)

    def forward(self, x, t):
        h = self.conv1(F.silu(self.normed(self.norm1, x)))
        h = h + self.time(F.silu(t))[:, :, None, None]
        h = self.conv2(F.silu(self.normed(self.norm2, h)))
        return self.shortcut(x) + h


class Chain(nn.Module):
    def __init__(self, channels=128, depth=20, **options):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            Convolutions(channels, channels, **options) for _ in range(depth)
        )
        self.norm, self.out = nn.GroupNorm(8, channels), nn.Conv2d(channels, 3, 3, padding=1)
        self.seen = []

    def forward(self, x, t):
        h = self.stem(x)
        stream = [h]
        for block in self.blocks:
            h = block(h, t)
            stream.append(h)
        self.seen = stream
        return self.out(F.silu(self.norm(h)))


class UNet(nn.Module):
    """A U-Net as of DDPM: two blocks a level on the way down, and three on the way up."""

    def __init__(self, widths=(64, 128, 256)):
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down, self.up, self.mid = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        at, kept = widths[0], [widths[0]]
        for level, width in enumerate(widths):
            for _ in range(2):
                self.down.append(Convolutions(at, width, skip=at != width))
                at = width
                kept.append(at)
            if level < len(widths) - 1:
                self.down.append(nn.Conv2d(at, at, 3, stride=2, padding=1))
                kept.append(at)
        self.mid.append(Convolutions(at, at, skip=False))
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(3):
                self.up.append(Convolutions(at + kept.pop(), width))
                at = width
            if level > 0:
                self.up.append(nn.Conv2d(at, at, 3, padding=1))
        self.norm, self.conv_out = nn.GroupNorm(8, at), nn.Conv2d(at, 3, 3, padding=1)
        self.seen = []

    def forward(self, x, t):
        h = self.conv_in(x)
        kept, stream = [h], [h]
        for block in self.down:
            h = block(h) if isinstance(block, nn.Conv2d) else block(h, t)
            kept.append(h)
            stream.append(h)
        h = self.mid[0](h, t)
        for block in self.up:
            if isinstance(block, nn.Conv2d):
                h = block(F.interpolate(h, scale_factor=2.0))
            else:
                h = block(torch.cat([h, kept.pop()], 1), t)
            stream.append(h)
        self.seen = stream
        return self.conv_out(F.silu(self.norm(h)))


STREAMS = {
    "skips of convolutions": Chain,
    "another width": lambda: Chain(64, 24),
    "norms by function": lambda: Chain(128, 20, norm="function"),
    "norms written out": lambda: Chain(64, 24, norm="written"),
    "identity skips": lambda: Chain(128, 20, skip=False),
    "U-Net": UNet,
    "a wider U-Net": lambda: UNet((128, 256)),
}


@pytest.mark.parametrize("build", STREAMS.values(), ids=STREAMS)
def test_the_stream_of_convolutions_keeps_its_size(build):
    model, source = build(), torch.Generator().manual_seed(0)
    init.initialize_(model, seed=0)
    with torch.no_grad():
        model(torch.randn(2, 3, 16, 16, generator=source), torch.randn(2, 64, generator=source))
    sizes = [rms(each) for each in model.seen]
    assert max(sizes) < 1.6
    assert min(sizes) > 0.6


def test_skips_and_stems_of_a_normed_stream_need_no_gain():
    plan = {row["parameter"]: row for row in init.plan(Chain()).rows}
    assert plan["stem.weight"]["std"] == pytest.approx(1 / math.sqrt(27))
    for i in (0, 7, 19):
        row = plan[f"blocks.{i}.shortcut.weight"]
        assert (row["before"], row["note"]) == ("linear", None)
        assert row["std"] == pytest.approx(1 / math.sqrt(128))
        assert plan[f"blocks.{i}.conv1.weight"]["before"] == "silu"
    # After a norm and before the sum, as in ResNet, the activation on the stream decides.
    post = nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    assert stds(post)["0.weight"] == pytest.approx(math.sqrt(2 / 72))


class PlainExperts(nn.Module):
    """Experts in one parameter, called in a loop over all of them."""

    def __init__(self, width, inner, count):
        super().__init__()
        self.w_in = nn.Parameter(torch.empty(count, 2 * inner, width))
        self.w_out = nn.Parameter(torch.empty(count, width, inner))

    def forward(self, x, weights):
        total = torch.zeros_like(x)
        for i in range(len(self.w_in)):
            gate, up = F.linear(x, self.w_in[i]).chunk(2, dim=-1)
            total = total + weights[..., i : i + 1] * F.linear(F.silu(gate) * up, self.w_out[i])
        return total


class BatchedExperts(PlainExperts):
    """All experts at once, with the weights as (in, out)."""

    def __init__(self, width, inner, count):
        super().__init__(width, inner, count)
        self.w_in = nn.Parameter(torch.empty(count, width, inner))
        self.w_out = nn.Parameter(torch.empty(count, inner, width))

    def forward(self, x, weights):
        flat = x.reshape(1, -1, x.shape[-1]).expand(len(self.w_in), -1, -1)
        y = torch.bmm(F.gelu(torch.bmm(flat, self.w_in)), self.w_out)
        weights = weights.reshape(-1, len(self.w_in)).T.unsqueeze(-1)
        return (y * weights).sum(0).view(x.shape)


class EinsumExperts(PlainExperts):
    def forward(self, x, weights):
        h = torch.einsum("btd,efd->btef", x, self.w_in)
        gate, up = h.chunk(2, dim=-1)
        y = torch.einsum("btef,edf->bted", F.silu(gate) * up, self.w_out)
        return (y * weights.unsqueeze(-1)).sum(2)


class Expert(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class ModuleExperts(nn.Module):
    """Experts in modules of their own, each for the tokens that it was chosen for."""

    def __init__(self, width, inner, count):
        super().__init__()
        self.parts = nn.ModuleList(Expert(width, inner) for _ in range(count))

    def forward(self, x, weights):
        total = torch.zeros_like(x)
        for i, part in enumerate(self.parts):
            total = total + weights[..., i].unsqueeze(-1) * part(x)
        return total


class Mixture(nn.Module):
    def __init__(self, experts, count=4, shared=False, top=2):
        super().__init__()
        self.gate = nn.Linear(WIDTH, count, bias=False)
        self.experts = experts(WIDTH, 192, count)
        self.shared = Expert(WIDTH, 128) if shared else None
        self.top = top

    def forward(self, x):
        weights = self.gate(x).softmax(-1)
        kept = weights.topk(self.top, -1)[0][..., -1:]
        weights = torch.where(weights >= kept, weights, 0.0)
        y = self.experts(x, weights / weights.sum(-1, keepdim=True))
        return y if self.shared is None else y + self.shared(x)


class Block(nn.Module):
    def __init__(self, feed):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed = feed

    def forward(self, x):
        q, k, v = self.qkv(self.n1(x)).chunk(3, -1)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return x + self.feed(self.n2(x))


class Language(nn.Module):
    """A language model whose head is given by a function of the last signal and the model."""

    def __init__(self, feed, head=None, depth=DEPTH, vocabulary=1000):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(64, WIDTH)
        self.blocks = nn.ModuleList(Block(feed()) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(WIDTH), head
        self.out = nn.Linear(WIDTH, vocabulary, bias=False) if head is None else None
        self.seen = []

    def forward(self, ids):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        stream = [x]
        for block in self.blocks:
            x = block(x)
            stream.append(x)
        self.seen = stream
        x = self.norm(x)
        return self.out(x) if self.head is None else self.head(self, x)


FEEDS = {
    "dense": lambda: Expert(WIDTH, 512),
    "a loop over one parameter": lambda: Mixture(PlainExperts),
    "bmm": lambda: Mixture(BatchedExperts, 8, top=1),
    "einsum": lambda: Mixture(EinsumExperts),
    "modules": lambda: Mixture(ModuleExperts),
    "a shared expert": lambda: Mixture(PlainExperts, shared=True),
    "modules beside a shared expert": lambda: Mixture(ModuleExperts, 3, shared=True),
}
IDS = torch.randint(0, 1000, (4, 16), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
def test_the_stream_over_24_blocks_grows_at_most_twice(feed):
    model = Language(feed)
    init.initialize_(model, seed=0)
    assert trace(model).branch_count == 2 * DEPTH
    with torch.no_grad():
        model(IDS)
    sizes = [rms(each) for each in model.seen]
    assert sizes[-1] < 2 * sizes[0]
    # Each branch adds at most its share, and something.
    steps = [math.sqrt(max(after**2 - before**2, 0)) for before, after in itertools.pairwise(sizes)]
    assert max(steps) < 3 / math.sqrt(2 * DEPTH) * 1.5
    assert sizes[-1] > 1.02 * sizes[0]


@pytest.mark.parametrize(("name", "weight"), [
    ("a loop over one parameter", "feed.experts.w_out"),
    ("bmm", "feed.experts.w_out"),
    ("einsum", "feed.experts.w_out"),
    ("modules", "feed.experts.parts.2.down.weight"),
    ("dense", "feed.down.weight"),
    ("a shared expert", "feed.shared.down.weight"),
])  # fmt: skip
def test_gpt2_scales_the_ends_of_experts(name, weight):
    plan = stds(Language(FEEDS[name], depth=3), "gpt2")
    small = 0.02 / math.sqrt(6)
    for i in range(3):
        assert plan[f"blocks.{i}.{weight}"] == pytest.approx(small)
        assert plan[f"blocks.{i}.proj.weight"] == pytest.approx(small)
        assert plan.get(f"blocks.{i}.feed.gate.weight", 0.02) == pytest.approx(0.02)


def by_method(model, x):
    return x @ model.tokens.weight.T


def by_function(model, x):
    return F.linear(x, model.tokens.weight)


def by_einsum(model, x):
    return torch.einsum("btd,vd->btv", x, model.tokens.weight)


def by_matmul(model, x):
    return torch.matmul(x, model.tokens.weight.transpose(0, 1))


def capped(model, x):
    return 30 * torch.tanh(by_function(model, x) / 30)


def scaled(model, x):
    return by_method(model, x.float()) * 1.0


HEADS = {f.__name__: f for f in (by_method, by_function, by_einsum, by_matmul, capped, scaled)}


def excess(logits):
    """How far the first loss is above that of a uniform guess, for random targets."""
    targets = torch.randint(0, 1000, logits.shape[:-1], generator=torch.Generator().manual_seed(1))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item() - math.log(1000)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_table_that_is_multiplied_is_a_head(head):
    model = Language(FEEDS["dense"], head, depth=4)
    rows = {row["parameter"]: row for row in init.initialize_(model, seed=0).rows}
    assert rows["tokens.weight"]["std"] == pytest.approx(1 / 16)
    assert rows["tokens.weight"]["note"] == "the forward also multiplies by it, as a head does"
    # Positions are added to the vectors of that table, so they are as small.
    assert rows["places.weight"]["std"] == pytest.approx(1 / 16)
    with torch.no_grad():
        logits = model(IDS)
    assert rms(logits) == pytest.approx(1, abs=0.1)
    # With logits of variance 1 it is 1/2, and the targets' logits add a mean of 64 of them.
    assert abs(excess(logits)) < 0.5 + 3 / 8


def test_a_tie_by_function_is_planned_as_one_by_module():
    tied = Language(FEEDS["dense"], depth=2)
    assert tied.out is not None
    tied.out.weight = tied.tokens.weight
    want = stds(tied)
    got = stds(Language(FEEDS["dense"], by_function, depth=2))
    assert got == want
    untied = stds(Language(FEEDS["dense"], depth=2))
    assert untied["tokens.weight"] == 1.0


class Autoencoder(nn.Module):
    def __init__(self, decode, inner=64):
        super().__init__()
        self.enc, self.decode = nn.Linear(300, inner), decode
        self.shift = nn.Parameter(torch.zeros(300))

    def forward(self, x):
        return self.decode(torch.relu(self.enc(x)), self.enc.weight, self.shift)


DECODERS = {
    "F.linear": lambda h, w, b: F.linear(h, w.T, b),
    "matmul": lambda h, w, b: h @ w + b,
    "F.linear with t": lambda h, w, b: F.linear(h, w.t()) + b,
}


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("inner", [64, 512])
def test_the_own_use_of_a_layer_decides(decode, inner):
    model = Autoencoder(decode, inner)
    row = init.initialize_(model, seed=0).rows[1]
    assert (row["parameter"], row["before"], row["fan_in"]) == ("enc.weight", "relu", 300)
    assert row["note"].startswith("its weight is also used in ")
    x = torch.randn(400, 300, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert rms(torch.relu(model.enc(x))) == pytest.approx(1, abs=0.1)


class Coupling(nn.Module):
    """An affine coupling; the half that it changes is given by the parity."""

    def __init__(self, parity, width=WIDTH, masked=False):
        super().__init__()
        self.parity, self.masked = parity, masked
        size = width if masked else width // 2
        self.scale = nn.Sequential(nn.Linear(size, 256), nn.ReLU(), nn.Linear(256, size))
        self.shift = nn.Sequential(nn.Linear(size, 256), nn.ReLU(), nn.Linear(256, size))
        self.register_buffer("mask", (torch.arange(width) % 2 == parity).float())

    def forward(self, x):
        if self.masked:
            kept = x * self.mask
            s, t = torch.tanh(self.scale(kept)), self.shift(kept)
            return kept + (1 - self.mask) * (x * torch.exp(s) + t)
        a, b = x.chunk(2, -1)
        b = b * torch.exp(torch.tanh(self.scale(a))) + self.shift(a)
        return torch.cat([b, a], -1)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("width", [256, 300])
def test_an_affine_coupling_is_no_residual_branch(masked, width):
    model = nn.Sequential(*[Coupling(i % 2, width, masked) for i in range(4)])
    found = trace(model)
    assert found.branch_count == 0
    assert not any(info.ends for info in found.layers.values())
    plan, size = stds(model), width if masked else width // 2
    for i in range(4):
        assert plan[f"{i}.scale.0.weight"] == pytest.approx(math.sqrt(2 / size))
        assert plan[f"{i}.shift.2.weight"] == pytest.approx(1 / 16)


def test_a_modulated_branch_is_still_a_branch():
    class Modulated(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.ada = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
            self.a, self.b = nn.Linear(WIDTH, 512), nn.Linear(512, WIDTH)

        def forward(self, x, c, mask):
            shift, scale, gate = self.ada(F.silu(c)).chunk(3, -1)
            h = self.norm(x) * (1 + scale) + shift
            return x + gate * self.b(F.gelu(self.a(h))) * mask

    found = trace(Modulated())
    assert found.branch_count == 1
    assert {name for name, info in found.layers.items() if info.ends} == {"b"}
