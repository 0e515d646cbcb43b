"""The snippets for Flax: modules of `flax.linen`, whose layers take `kernel_init`."""

from choices.jax_code import drawn
from choices.start import Start, joined

IMPORTS = "import flax.linen as nn\nimport jax\nimport jax.numpy as jnp\n"


def _plain(s: Start, layers: str, inputs: str) -> str:
    shifted = ""
    if s.shift:
        shifted = """
weights = list(params["params"].values())
for layer in weights:
    gain = 2 if layer is weights[0] or layer is weights[-1] else 4
    layer["kernel"] *= gain
    inputs = layer["kernel"].reshape(-1, layer["bias"].size).sum(0)
    layer["bias"] = -inputs / 2
weights[0]["bias"] *= 0  # no sigmoid comes before it"""
    head = "orthogonal()" if s.shift else "lecun_normal()"
    return joined(
        f"""{IMPORTS}
hidden = nn.initializers.{drawn(s.draw)}
head = nn.initializers.{head}
{layers.strip()}
params = model.init(jax.random.key(0), jnp.ones({inputs}))""",
        shifted,
    )


def mlp(s: Start) -> str:
    """Return the snippet of a fully connected network."""
    f = f"nn.{s.activation}"
    if s.deep:
        layers = f"""
layers = []
for _ in range(20):
    layers += [nn.Dense(256, kernel_init=hidden), {f}]
model = nn.Sequential([*layers, nn.Dense(10, kernel_init=head)])"""
    else:
        layers = f"""
model = nn.Sequential(
    [
        nn.Dense(256, kernel_init=hidden),
        {f},
        nn.Dense(256, kernel_init=hidden),
        {f},
        nn.Dense(10, kernel_init=head),
    ]
)"""
    return _plain(s, layers, f"(1, {256 if s.deep else 64})")


def cnn(s: Start) -> str:
    """Return the snippet of a convolutional network."""
    f = f"nn.{s.activation}"
    if s.deep:
        layers = f"""
layers = []
for _ in range(20):
    layers += [nn.Conv(64, (3, 3), kernel_init=hidden), {f}]
layers += [lambda x: x.mean((1, 2)), nn.Dense(10, kernel_init=head)]
model = nn.Sequential(layers)"""
    else:
        layers = f"""
model = nn.Sequential(
    [
        nn.Conv(64, (3, 3), kernel_init=hidden),
        {f},
        nn.Conv(64, (3, 3), kernel_init=hidden),
        {f},
        lambda x: x.mean((1, 2)),
        nn.Dense(10, kernel_init=head),
    ]
)"""
    return _plain(s, layers, "(1, 8, 8, 3)")


def residual_norm() -> str:
    """Return the snippet of a residual network with BatchNorm."""
    return f"""{IMPORTS}
hidden = nn.initializers.he_normal()
head = nn.initializers.lecun_normal()


class Block(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, x, train=True):
        def conv():
            return nn.Conv(
                self.channels, (3, 3), use_bias=False, kernel_init=hidden
            )

        h = nn.relu(nn.BatchNorm(not train)(conv()(x)))
        # A scale of zero: the block starts as the identity.
        norm2 = nn.BatchNorm(not train, scale_init=nn.initializers.zeros)
        return nn.relu(x + norm2(conv()(h)))


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        x = nn.Conv(64, (3, 3), use_bias=False, kernel_init=hidden)(x)
        x = nn.relu(nn.BatchNorm(not train)(x))
        for _ in range(4):
            x = Block(64)(x, train)
        return nn.Dense(10, kernel_init=head)(x.mean((1, 2)))


model = ResNet()
params = model.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
"""


def residual_plain() -> str:
    """Return the snippet of a residual network without norms: Fixup."""
    return f"""{IMPORTS}
branches = 12
zeros = nn.initializers.zeros
# Two layers in each branch: the variance of He / branches.
first = nn.initializers.variance_scaling(2 / branches, "fan_in", "normal")


class Block(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        h = nn.relu(nn.Dense(self.width, kernel_init=first)(x))
        return x + scale * nn.Dense(self.width, kernel_init=zeros)(h)


model = nn.Sequential(
    [
        nn.Dense(256, kernel_init=nn.initializers.lecun_normal()),
        *(Block(256) for _ in range(branches)),
        nn.Dense(10, kernel_init=zeros),
    ]
)
params = model.init(jax.random.key(0), jnp.ones((1, 64)))
"""


def recurrent(cell: str) -> str:
    """Return the snippet of a recurrent layer; Flax draws each gate by itself."""
    name = {"LSTM": "LSTMCell", "GRU": "GRUCell", "RNN": "SimpleCell"}[cell]
    imports, forget = IMPORTS, ""
    if cell == "LSTM":
        imports = f"import math\n\n{IMPORTS}"
        forget = """
steps = 100  # how long to remember
params["params"]["cell"]["hf"]["bias"] += math.log(steps)  # forget gate"""
    return joined(
        f"""{imports}
cell = nn.{name}(
    128,
    kernel_init=nn.initializers.xavier_uniform(),
    recurrent_kernel_init=nn.initializers.orthogonal(),
    bias_init=nn.initializers.zeros,
)
model = nn.RNN(cell)
params = model.init(jax.random.key(0), jnp.ones((1, 10, 64)))""",
        forget,
    )


def transformer() -> str:
    """Return the snippet of a decoder like GPT-2."""
    return f"""{IMPORTS}
blocks = 4
inner = nn.initializers.normal(0.02)
ends = nn.initializers.normal(0.02 / (2 * blocks) ** 0.5)


class Block(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        mask = nn.make_causal_mask(x[..., 0])
        attention = nn.MultiHeadDotProductAttention(
            4, kernel_init=inner, out_kernel_init=ends
        )
        x = x + attention(nn.LayerNorm()(x), mask=mask)
        h = nn.Dense(4 * self.width, kernel_init=inner)(nn.LayerNorm()(x))
        return x + nn.Dense(self.width, kernel_init=ends)(nn.gelu(h))


class GPT(nn.Module):
    @nn.compact
    def __call__(self, tokens, words=1000, length=64, width=128):
        table = nn.Embed(words, width, embedding_init=inner)
        places = nn.Embed(length, width, embedding_init=inner)
        x = table(tokens) + places(jnp.arange(tokens.shape[1]))
        for _ in range(blocks):
            x = Block(width)(x)
        return table.attend(nn.LayerNorm()(x))  # the head is tied


model = GPT()
params = model.init(jax.random.key(0), jnp.zeros((1, 8), int))
"""


def llama() -> str:
    """Return the snippet of a decoder like Llama."""
    return f"""{IMPORTS}
blocks = 4
inner = nn.initializers.normal(0.02)
ends = nn.initializers.normal(0.02 / (2 * blocks) ** 0.5)


def dense(features, kernel_init):
    return nn.Dense(features, use_bias=False, kernel_init=kernel_init)


class Block(nn.Module):
    width: int
    heads: int = 4

    @nn.compact
    def __call__(self, x):  # the rotations of q and k have no weights
        h = dense(3 * self.width, inner)(nn.RMSNorm()(x))
        q, k, v = jnp.split(h.reshape(*x.shape[:2], 3 * self.heads, -1), 3, 2)
        h = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + dense(self.width, ends)(h.reshape(x.shape))
        h = nn.RMSNorm()(x)
        gate = nn.silu(dense(3 * self.width, inner)(h))
        return x + dense(self.width, ends)(
            gate * dense(3 * self.width, inner)(h)
        )


class Llama(nn.Module):
    @nn.compact
    def __call__(self, tokens, words=1000, width=128):
        x = nn.Embed(words, width, embedding_init=inner)(tokens)
        for _ in range(blocks):
            x = Block(width)(x)
        head = dense(words, nn.initializers.lecun_normal())
        return head(nn.RMSNorm()(x))


model = Llama()
params = model.init(jax.random.key(0), jnp.zeros((1, 8), int))
"""


def unet() -> str:
    """Return the snippet of a U-Net that predicts noise."""
    return f"""{IMPORTS}
zeros = nn.initializers.zeros
lecun = nn.initializers.lecun_normal()


def conv(channels, start=lecun, strides=1):
    return nn.Conv(channels, (3, 3), strides, kernel_init=start)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        channels = x.shape[-1]
        h = conv(channels)(nn.silu(nn.GroupNorm(8)(x)))
        # Zeros: each block starts as its skip.
        return x + conv(channels, zeros)(nn.silu(nn.GroupNorm(8)(h)))


class UNet(nn.Module):
    channels: int = 64

    @nn.compact
    def __call__(self, x):
        skip = Block()(conv(self.channels)(x))
        h = Block()(conv(self.channels, strides=2)(skip))
        h = h.repeat(2, axis=1).repeat(2, axis=2)
        h = Block()(conv(self.channels)(jnp.concatenate([h, skip], -1)))
        # Zeros: the first prediction is zero.
        return conv(3, zeros)(nn.silu(nn.GroupNorm(8)(h)))


model = UNet()
params = model.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
"""


def siren() -> str:
    """Return the snippet of a sine network."""
    return f"""{IMPORTS}

def within(bound):
    def draw(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


def sine(x):
    return jnp.sin(30 * x)


hidden = within((6 / 256) ** 0.5 / 30)
model = nn.Sequential(
    [
        nn.Dense(256, kernel_init=within(1 / 2)),  # 1 / inputs
        sine,
        nn.Dense(256, kernel_init=hidden),
        sine,
        nn.Dense(256, kernel_init=hidden),
        sine,
        nn.Dense(3, kernel_init=hidden),
    ]
)
params = model.init(jax.random.key(0), jnp.ones((1, 2)))
"""


def lora() -> str:
    """Return the snippet of a low-rank adapter."""
    return f"""{IMPORTS}

class LoRA(nn.Module):
    features: int
    rank: int = 8

    @nn.compact
    def __call__(self, x):
        frozen = nn.Dense(self.features, name="frozen")  # the pretrained layer
        start = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        A = self.param("A", start, (x.shape[-1], self.rank))
        B = self.param("B", nn.initializers.zeros, (self.rank, self.features))
        return frozen(x) + x @ A @ B


model = LoRA(256)
params = model.init(jax.random.key(0), jnp.ones((1, 256)))
"""


def ppo() -> str:
    """Return the snippet of a policy and a value network."""
    return f"""{IMPORTS}

def network(outputs, gain):
    hidden = nn.initializers.orthogonal(2**0.5)
    head = nn.initializers.orthogonal(gain)
    return nn.Sequential(
        [
            nn.Dense(64, kernel_init=hidden),
            nn.tanh,
            nn.Dense(64, kernel_init=hidden),
            nn.tanh,
            nn.Dense(outputs, kernel_init=head),
        ]
    )


policy, value = network(4, 0.01), network(1, 1.0)
key1, key2 = jax.random.split(jax.random.key(0))
params = {{
    "policy": policy.init(key1, jnp.ones((1, 8))),
    "value": value.init(key2, jnp.ones((1, 8))),
}}
"""
