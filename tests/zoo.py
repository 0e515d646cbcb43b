"""Networks as people write them, small: what rules and audits are tried on."""

import torch
from method_models import METHODS
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.recipes.code_bases.rules import CODE_BASES


class Basic(nn.Module):
    """A residual block as in ResNet-18; the skip is projected where the size changes."""

    def __init__(self, into, out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or into != out:
            conv = nn.Conv2d(into, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(out))

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Basic(8, 8), Basic(8, 8))
        self.layer2 = nn.Sequential(Basic(8, 16, 2), Basic(16, 16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Inverted(nn.Module):
    """MobileNet v2's block: expand, depthwise, project without an activation."""

    def __init__(self, width, expand=4):
        super().__init__()
        inner = expand * width
        self.conv = nn.Sequential(
            nn.Conv2d(width, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, inner, 3, 1, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x):
        return x + self.conv(x)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.features = nn.Sequential(Inverted(8), Inverted(8))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 10))

    def forward(self, x):
        return self.classifier(self.features(self.stem(x)).mean([2, 3]))


class SqueezeExcite(nn.Module):
    """Scales channels by a sigmoid of their means, with a residual around a depthwise block."""

    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.norm = nn.BatchNorm2d(width)
        self.down = nn.Conv2d(width, width // 4, 1)
        self.up = nn.Conv2d(width // 4, width, 1)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, x):
        h = F.silu(self.norm(self.depthwise(x)))
        s = F.adaptive_avg_pool2d(h, 1)
        s = torch.sigmoid(self.up(F.silu(self.down(s))))
        return x + self.project(h * s)


class Dense(nn.Module):
    """DenseNet: norm and activation come first; what came before is concatenated."""

    def __init__(self, into, growth=8, depth=3):
        super().__init__()
        widths = [into + i * growth for i in range(depth)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in widths)
        self.convs = nn.ModuleList(nn.Conv2d(w, growth, 3, 1, 1, bias=False) for w in widths)

    def forward(self, x):
        features = [x]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.block = Dense(8)
        self.norm = nn.BatchNorm2d(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.norm(self.block(self.stem(x))))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Double(nn.Sequential):
    def __init__(self, into, out):
        super().__init__(
            nn.Conv2d(into, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1),
            nn.GroupNorm(2, out),
            nn.LeakyReLU(0.1),
        )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inc = Double(3, 8)
        self.down = Double(8, 16)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.out = Double(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        first = self.inc(x)
        second = self.down(self.pool(first))
        up = self.up(second)
        return self.head(self.out(torch.cat([first, up], dim=1)))


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(0.1)
        self.heads = heads
        self.width = width

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(self.width, dim=2)
        q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        return self.dropout(self.c_proj(y))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = CausalAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)
        self.gelu = nn.GELU()

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.c_proj(self.gelu(self.c_fc(self.ln_2(x))))


class NanoGPT(nn.Module):
    """Its head is tied to its embedding, and it branches on whether it has targets."""

    def __init__(self, layers=2, width=32, vocabulary=50, context=16):
        super().__init__()
        self.context = context
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(context, width)
        self.h = nn.ModuleList(Block(width, 2) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.wte.weight = self.lm_head.weight

    def forward(self, idx, targets=None):
        _, t = idx.size()
        assert t <= self.context, "too long"
        pos = torch.arange(0, t, dtype=torch.long, device=idx.device)
        x = self.wte(idx) + self.wpe(pos)
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        if targets is not None:
            return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
        return logits, None


class ViT(nn.Module):
    """A class token, a position embedding, packed attention."""

    def __init__(self, width=32):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        self.norm1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        h = self.norm1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


class Seq2Seq(nn.Module):
    """GRUs with additive attention, and an embedding whose row 0 is padding."""

    def __init__(self, vocabulary=40, width=16):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=0)
        self.encoder = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * width, width)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(2 * width, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.out = nn.Linear(3 * width, vocabulary)

    def forward(self, source, target):
        memory, state = self.encoder(self.embed(source))
        start = torch.tanh(self.bridge(torch.cat([state[0], state[1]], -1)))[None]
        h, _ = self.decoder(self.embed(target), (start, start))
        energy = torch.tanh(self.query(h)[:, :, None] + self.key(memory)[:, None])
        weights = torch.softmax(self.score(energy).squeeze(-1), -1)
        return self.out(torch.cat([h, weights @ memory], -1))


class MixerBlock(nn.Module):
    def __init__(self, tokens, width):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.token = nn.Sequential(nn.Linear(tokens, 32), nn.GELU(), nn.Linear(32, tokens))
        self.norm2 = nn.LayerNorm(width)
        self.channel = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))

    def forward(self, x):
        x = x + self.token(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel(self.norm2(x))


class Mixer(nn.Sequential):
    def __init__(self, tokens=9, width=16):
        super().__init__(MixerBlock(tokens, width), MixerBlock(tokens, width))
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self[1](self[0](x)).mean(1))


class Generator(nn.Sequential):
    """A DCGAN's."""

    def __init__(self):
        super().__init__(
            nn.ConvTranspose2d(16, 32, 4, 1, 0, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(True),
            nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(True),
            nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )


class Gated(nn.Module):
    """WaveNet's unit: tanh times sigmoid, then a residual and a skip output."""

    def __init__(self, width, dilation):
        super().__init__()
        self.filter = nn.Conv1d(width, width, 2, dilation=dilation)
        self.gate = nn.Conv1d(width, width, 2, dilation=dilation)
        self.residual = nn.Conv1d(width, width, 1)
        self.skip = nn.Conv1d(width, width, 1)
        self.pad = dilation

    def forward(self, x):
        h = F.pad(x, (self.pad, 0))
        z = torch.tanh(self.filter(h)) * torch.sigmoid(self.gate(h))
        return x + self.residual(z), self.skip(z)


class WaveNet(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.stem = nn.Conv1d(1, width, 1)
        self.units = nn.ModuleList(Gated(width, 2**i) for i in range(3))
        self.head = nn.Conv1d(width, 8, 1)

    def forward(self, x):
        x, total = self.stem(x), 0
        for unit in self.units:
            x, skip = unit(x)
            total = total + skip
        return self.head(torch.relu(total))


class Siamese(nn.Module):
    """One encoder for both inputs."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(20, 32), nn.ELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 1)

    def forward(self, a, b):
        return torch.sigmoid(self.head(torch.abs(self.encoder(a) - self.encoder(b))))


class SwiGLU(nn.Module):
    """Llama's block, with RMSNorm and three projections."""

    def __init__(self, width=32):
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.gate = nn.Linear(width, 64, bias=False)
        self.up = nn.Linear(width, 64, bias=False)
        self.down = nn.Linear(64, width, bias=False)

    def forward(self, x):
        h = self.norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Plain(nn.Module):
    """The perceptron of a hundred tutorials."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 100)
        self.fc2 = nn.Linear(100, 50)
        self.fc3 = nn.Linear(50, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        x = self.dropout(F.relu(self.fc1(x.view(x.size(0), -1))))
        return F.log_softmax(self.fc3(torch.tanh(self.fc2(x))), dim=1)


def encoder(layers=2, **options):
    options = {"dim_feedforward": 64, "batch_first": True, **options}
    layer = nn.TransformerEncoderLayer(32, 2, **options)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class Between(nn.Module):
    """Two layers with an operation between them."""

    def __init__(self, between, *modules):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8)
        self.between = between
        self.more = nn.ModuleList(modules)

    def forward(self, x):
        return self.b(self.between(self.a(x), *self.more))


ZOO = {
    "perceptron": Plain,
    "resnet": ResNet,
    "mobilenet": MobileNet,
    "squeeze_excite": lambda: SqueezeExcite(16),
    "densenet": DenseNet,
    "unet": UNet,
    "nanogpt": NanoGPT,
    "vit": ViT,
    "seq2seq": Seq2Seq,
    "mixer": Mixer,
    "generator": Generator,
    "wavenet": WaveNet,
    "siamese": Siamese,
    "swiglu": SwiGLU,
    "encoder": encoder,
    "transformer": lambda: nn.Transformer(32, 2, 1, 1, 64),
}

# How many residual branches they have; those of the first two end in a norm.
BRANCHES = {
    "resnet": 4,
    "mobilenet": 2,
    "squeeze_excite": 1,
    "nanogpt": 4,
    "vit": 2,
    "mixer": 4,
    "wavenet": 3,
    "swiglu": 1,
    "encoder": 4,
    "transformer": 5,
}
NORMED = ("resnet", "mobilenet")


CODE_BASE_NAMES = {record.name for record in CODE_BASES}


def fits(name, recipe):
    """Whether a recipe is meant for such a model."""
    if recipe == "zero_gamma":
        return name in NORMED
    if recipe in CODE_BASE_NAMES or recipe in {*METHODS} - {"spectral"}:
        # Their models are in code_base_models.py and method_models.py.
        return False
    return recipe not in ("gpt2", "fixup") or name in BRANCHES


PAIRS = [(name, recipe) for name in ZOO for recipe in init.RECIPES if fits(name, recipe)]


def recipe_for(name, recipe):
    """The recipe, with rules for the parameters outside layers."""
    own = [
        init.Rule("cls_token", "zeros_"),
        init.Rule("pos_embed", "truncated_normal_", std=0.02),
    ]
    return [*own, recipe] if name == "vit" else recipe
