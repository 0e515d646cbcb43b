"""Networks of realistic width for the tests of `measure`: layers of torch's own and others."""

import torch
from models import generator
from torch import nn
from torch.nn import functional as F

WIDTH, VOCABULARY = 256, 1000


def table(*shape, std=0.02):
    return nn.Parameter(std * torch.randn(*shape))


class Attention(nn.Module):
    def __init__(self, width=WIDTH, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (
            each.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for each in self.qkv(x).chunk(3, dim=-1)
        )
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(h.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width=WIDTH):
        super().__init__()
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class Experts(nn.Module):
    """Routed experts with stacked weights, as transformers holds them."""

    def __init__(self, width=WIDTH, count=4, each=128):
        super().__init__()
        self.router = nn.Linear(width, count, bias=False)
        self.up, self.down = table(count, each, width), table(count, width, each)

    def forward(self, x):
        flat = x.flatten(0, 1)
        share, chosen = self.router(flat).softmax(-1).topk(2)
        out = torch.zeros_like(flat)
        for index in range(len(self.up)):
            rows, place = torch.where(chosen == index)
            h = F.linear(F.silu(F.linear(flat[rows], self.up[index])), self.down[index])
            out.index_add_(0, rows, h * share[rows, place, None])
        return out.view_as(x)


class Block(nn.Module):
    def __init__(self, mixer=Mlp):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention, self.mlp = Attention(), mixer()

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Decoder(nn.Module):
    """A language model. The head is a module, or the table of the tokens."""

    def __init__(self, depth=6, mixer=Mlp, head="module"):
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), table(64, WIDTH)
        self.blocks = nn.ModuleList(Block(mixer) for _ in range(depth))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False) if "module" in head else None
        if head == "tied module":
            self.head.weight = self.tokens.weight
        self.how = head
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                ends = name.endswith(("proj.weight", "down", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * depth) ** 0.5 if ends else 0.02)
            elif "norm" not in name:
                nn.init.zeros_(parameter)

    def forward(self, ids):
        x = self.tokens(ids) + self.places[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if self.head is not None:
            return self.head(x)
        weight = self.tokens.weight
        return torch.einsum("btd,vd->btv", x, weight) if self.how == "einsum" else x @ weight.T


class Own(nn.Module):
    """A layer whose weight, scale and shift no module of torch holds."""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(width, width) * (2 / width) ** 0.5)
        self.factor, self.offset = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return F.relu(x @ self.matrix * self.factor + self.offset)


class Transposed(nn.Module):
    """The same, by other operations, and with the weight in a list."""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.held = nn.ParameterList([torch.randn(width, width) * (2 / width) ** 0.5])

    def forward(self, x):
        return F.relu(torch.addmm(x.new_zeros(x.shape[-1]), x, self.held[0].t()))


def own(kind=Own, depth=4):
    return nn.Sequential(
        nn.Linear(32, WIDTH), *(kind() for _ in range(depth)), nn.Linear(WIDTH, 10)
    )


class StateSpace(nn.Module):
    """A selective state-space layer; the bias of the step is a layer's, or the module's own."""

    def __init__(self, own_bias=False, width=WIDTH, states=16):
        super().__init__()
        self.enter, self.select = nn.Linear(width, width), nn.Linear(width, 2 * states + 16)
        self.dt_proj, self.leave = nn.Linear(16, width, bias=not own_bias), nn.Linear(width, width)
        rates = torch.arange(1.0, states + 1).log().repeat(width, 1)
        self.A_log, self.D = nn.Parameter(rates), nn.Parameter(torch.ones(width))
        step = torch.exp(torch.rand(width) * 4.6 - 6.9)
        bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        if own_bias:
            self.dt_bias = bias
        else:
            self.dt_proj.bias = bias

    def forward(self, x):
        x = F.silu(self.enter(x))
        states = self.A_log.shape[1]
        b, c, low = self.select(x).split([states, states, 16], dim=-1)
        step = self.dt_proj(low)
        step = F.softplus(step + self.dt_bias if hasattr(self, "dt_bias") else step)
        keep = torch.exp(step[..., None] * -torch.exp(self.A_log))
        add = step[..., None] * b[:, :, None] * x[..., None]
        state, out = torch.zeros_like(add[:, 0]), []
        for t in range(x.shape[1]):
            state = keep[:, t] * state + add[:, t]
            out.append((state * c[:, t, None]).sum(-1))
        return self.leave(torch.stack(out, 1) + self.D * x)


class StateBlock(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.norm, self.mixer = nn.LayerNorm(WIDTH), StateSpace(**options)

    def forward(self, x):
        return x + self.mixer(self.norm(x))


def state_space(depth=4, **options):
    blocks = (StateBlock(**options) for _ in range(depth))
    head = (nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY))
    return nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), *blocks, *head)


class InnerScale(nn.Module):
    """Blocks with a factor of 1e-6 at their end, and a branch inside them with another."""

    def __init__(self, width=48, depth=6, scale=1e-6):
        super().__init__()
        self.enter, self.leave = nn.Linear(32, width), nn.Linear(width, 10)
        self.mix = nn.ModuleList(Mlp(width) for _ in range(depth))
        self.then = nn.ModuleList(Mlp(width) for _ in range(depth))
        self.inner = nn.ParameterList(torch.full((width,), scale) for _ in range(depth))
        self.outer = nn.ParameterList(torch.full((width,), scale) for _ in range(depth))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        norm = F.layer_norm
        x = self.enter(x)
        for mix, then, inner, outer in zip(
            self.mix, self.then, self.inner, self.outer, strict=True
        ):
            h = x + inner * mix(norm(x, x.shape[-1:]))
            x = x + then(norm(h, h.shape[-1:])) * outer
        return self.leave(norm(x, x.shape[-1:]))


class ChannelBlock(nn.Module):
    """Attention between channels and convolutions over the places, each with a factor."""

    def __init__(self, width, scale):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.near = nn.Conv1d(width, width, 3, 1, 1, groups=width)
        self.mixed = nn.Conv1d(width, width, 1)
        self.scale_a, self.scale_b = (nn.Parameter(torch.tensor(scale)) for _ in range(2))
        for layer in (self.qkv, self.out):
            nn.init.trunc_normal_(layer.weight, std=0.02)

    def forward(self, x):
        q, k, v = self.qkv(self.norms[0](x)).transpose(1, 2).chunk(3, dim=1)
        weights = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(1, 2)).softmax(-1)
        x = x + self.scale_a * self.out((weights @ v).transpose(1, 2))
        h = self.mixed(F.gelu(self.near(self.norms[1](x).transpose(1, 2))))
        return x + self.scale_b * h.transpose(1, 2)


def channels(width=128, depth=10, scale=1e-5):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.norm = nn.Linear(4, width), nn.LayerNorm(width)
            self.blocks = nn.ModuleList(ChannelBlock(width, scale) for _ in range(depth))
            self.score = nn.Linear(width, 10)

        def forward(self, x):
            x = self.enter(x.unflatten(1, (-1, 4)))
            for block in self.blocks:
                x = block(x)
            return self.score(self.norm(x)[:, 0])

    return Network()


class Reader(nn.Module):
    """A token that reads the input through a branch, which a factor scales."""

    def __init__(self, scale, depth=6, width=WIDTH):
        super().__init__()
        self.enter, self.leave = nn.Linear(4, width), nn.Linear(width, 10)
        self.token = table(1, 1, width)
        self.blocks = nn.ModuleList(Mlp(width) for _ in range(depth))
        self.read = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.then = nn.ModuleList(Mlp(width) for _ in range(2))
        sizes = range(depth + 4)
        self.scales = nn.ParameterList(torch.full((width,), scale) for _ in sizes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x):
        norm, (*scales, a, b, c, d) = nn.LayerNorm(WIDTH), self.scales
        x = self.enter(x.unflatten(1, (-1, 4)))
        for block, scale in zip(self.blocks, scales, strict=True):
            x = x + scale * block(norm(x))
        token = self.token.expand(len(x), -1, -1)
        for read, then, one, other in zip(self.read, self.then, (a, c), (b, d), strict=True):
            both = norm(torch.cat([token, x], 1))
            token = token + one * read(both).mean(1, keepdim=True)
            token = token + other * then(norm(token))
        return self.leave(norm(token)[:, 0])


class OneBranch(nn.Module):
    """A deep network in a single residual branch."""

    def __init__(self, std, depth=12, width=WIDTH):
        super().__init__()
        self.enter, self.leave = nn.Linear(32, width), nn.Linear(width, 10)
        self.body = nn.Sequential(
            *(m for _ in range(depth) for m in (nn.Linear(width, width), nn.Tanh())),
            nn.Linear(width, width),
        )
        for layer in self.body[::2]:
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = self.enter(x)
        return self.leave(x + self.body(x))


class Towers(nn.Module):
    """Two encoders of the same inputs, whose outputs are compared."""

    def __init__(self):
        super().__init__()
        self.one, self.two = (
            nn.Sequential(nn.Linear(32, WIDTH), nn.GELU(), nn.Linear(WIDTH, 64)) for _ in range(2)
        )

    def forward(self, x):
        return F.normalize(self.one(x), dim=-1) @ F.normalize(self.two(x), dim=-1).T


class Modulated(nn.Module):
    """The last layer of a diffusion transformer: the modulation and the output start at zero."""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.enter, self.norm = nn.Linear(32, width), nn.LayerNorm(width, elementwise_affine=False)
        self.modulation, self.out = nn.Linear(32, 2 * width), nn.Linear(width, 32)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        shift, scale = self.modulation(F.silu(x)).chunk(2, dim=-1)
        return self.out(self.norm(self.enter(x)) * (1 + scale) + shift)


class Dense(nn.Module):
    """A layer of DenseNet: it reads the outputs of all layers before it."""

    def __init__(self, width, growth=32):
        super().__init__()
        self.norm1, self.reduce = nn.BatchNorm2d(width), nn.Conv2d(width, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.grow = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        h = self.reduce(F.relu(self.norm1(x)))
        return torch.cat([x, self.grow(F.relu(self.norm2(h)))], 1)


def densenet(blocks=(6, 12, 24, 16), width=64):
    layers = [nn.Conv2d(3, width, 3, 2, 1, bias=False)]
    for index, depth in enumerate(blocks):
        layers += [Dense(width + 32 * i) for i in range(depth)]
        width += 32 * depth
        if index < len(blocks) - 1:
            layers += [
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, width // 2, 1, bias=False),
            ]
            layers += [nn.AvgPool2d(2)]
            width //= 2
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return model


class ActorCritic(nn.Module):
    """A policy and a value, with the orthogonal gains of published code."""

    def __init__(self, wrap, width=WIDTH):
        super().__init__()
        self.wrap, self.one, self.two = wrap, nn.Linear(32, width), nn.Linear(width, width)
        self.policy, self.value = nn.Linear(width, 4), nn.Linear(width, 1)
        gains = {self.one: 2**0.5, self.two: 2**0.5, self.policy: 0.01, self.value: 1.0}
        for layer, gain in gains.items():
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        h = torch.tanh(self.two(torch.tanh(self.one(x))))
        return self.wrap(self.policy(h), self.value(h))


def ids(seed=0):
    return torch.randint(VOCABULARY, (4, 24), generator=generator(seed))


def next_tokens(y):
    """The loss of a language model: the labels are the tokens of another batch."""
    return F.cross_entropy(y.flatten(0, 1), ids(1).flatten())


def handmade(y):
    """The same, as many write it."""
    return -F.log_softmax(y, dim=-1).gather(-1, ids(1)[..., None]).mean()
