"""Small networks of many kinds, and batches for them, for the tests of `measure`."""

import itertools

import torch
from torch import nn
from torch.nn import functional as F


def mlp(depth, nonlinearity=nn.ReLU, width=100, out=10, norm=None):
    layers = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), *([norm(width)] if norm else []), nonlinearity()]
    return nn.Sequential(*layers, nn.Linear(width, out))


class Block(nn.Module):
    def __init__(self, width, norm=True):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=not norm)
        self.bn1 = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=not norm)
        self.bn2 = nn.BatchNorm2d(width) if norm else nn.Identity()

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(h)))


class ResNet(nn.Module):
    def __init__(self, blocks=6, width=16, norm=True):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width, norm) for _ in range(blocks)))
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class Residual(nn.Module):
    """A stack of sums without a norm."""

    def __init__(self, blocks=20, width=64):
        super().__init__()
        self.stem = nn.Linear(32, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class Branch(nn.Module):
    """A branch of one layer; the activation comes first."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x):
        return x + self.layer(torch.relu(x))


def branches(depth=24, width=32):
    return nn.Sequential(
        nn.Linear(width, width), *(Branch(width) for _ in range(depth)), nn.Linear(width, 10)
    )


class Scaled(nn.Module):
    """A branch after a norm, with a factor that starts near zero (LayerScale)."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.act = nn.LayerNorm(width), nn.GELU()
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.factor = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x):
        return x + self.factor * self.down(self.act(self.up(self.norm(x))))


def scaled(depth=8, width=32):
    blocks = (Scaled(width) for _ in range(depth))
    head = (nn.LayerNorm(width), nn.Linear(width, 10))
    return nn.Sequential(nn.Linear(width, width), *blocks, *head)


class Recurrent(nn.Module):
    def __init__(self, kind=nn.GRU, layers=2):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.rnn = kind(32, 64, layers, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, tokens):
        return self.head(self.rnn(self.embedding(tokens))[0][:, -1])


class LastState(Recurrent):
    def forward(self, tokens):
        state = self.rnn(self.embedding(tokens))[1]
        return self.head((state[0] if isinstance(state, tuple) else state)[-1])


class Tokens(nn.Module):
    """Embeddings of tokens and of places, an encoder, a head on the mean."""

    def __init__(self, depth=4, norm_first=True):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.places = nn.Embedding(12, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 5)

    def forward(self, tokens):
        places = self.places(torch.arange(tokens.shape[1])).expand(len(tokens), -1, -1)
        return self.head(self.norm(self.encoder(self.embedding(tokens) + places)).mean(1))


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.hidden = nn.Linear(32, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, tokens):
        return self.head(torch.relu(self.hidden(self.embedding(tokens).mean(1))))


class Gated(nn.Module):
    """Gates side by side, a policy and a value: heads of very different size."""

    def __init__(self):
        super().__init__()
        self.gate, self.value = nn.Linear(32, 64), nn.Linear(32, 64)
        self.down = nn.Linear(64, 32)
        self.policy, self.critic = nn.Linear(32, 6), nn.Linear(32, 1)

    def forward(self, x):
        h = torch.tanh(self.down(F.silu(self.gate(x)) * self.value(x)))
        return self.policy(h), self.critic(h)


def cnn():
    widths = [3, 16, 32, 32, 64]
    layers = []
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        layers += [nn.Conv2d(a, b, 3, padding=1, stride=1 + i % 2), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Excited(nn.Module):
    """Squeeze and excite by four units, which chance may leave dead, all of them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 32, 3)
        self.squeeze, self.excite = nn.Linear(16, 4), nn.Linear(4, 16)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.a(x))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return self.head(F.relu(self.b(x * gate[:, :, None, None])).mean((2, 3)))


def autoencoder():
    widths = [100, 64, 32, 8, 32, 64]
    pairs = [(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*itertools.chain(*pairs), nn.Linear(64, 100))


def rms(x):
    return x.square().mean().sqrt().item()


def generator(seed):
    return torch.Generator().manual_seed(1000 + seed)


def vectors(seed, width=100, n=64):
    return torch.randn(n, width, generator=generator(seed))


def images(seed):
    return torch.randn(16, 3, 16, 16, generator=generator(seed))


def tokens(seed):
    return torch.randint(50, (32, 12), generator=generator(seed))


def classes(y, seed=0):
    y = y if isinstance(y, torch.Tensor) else y[0]
    target = torch.randint(y.shape[1], (len(y),), generator=generator(seed))
    return F.cross_entropy(y, target)
