"""The snippets for JAX alone: parameters in dicts, and functions that use them."""

from decisions import Draw

from choices.start import Start, joined

IMPORTS = "import jax\nimport jax.numpy as jnp\n"
START = "jax.nn.initializers"
CONV = """
def conv(x, weight, stride=1):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, weight, (stride, stride), "SAME", dimension_numbers=layout
    )
"""


def drawn(draw: Draw) -> str:
    """Return the call of `jax.nn.initializers` for a draw."""
    names = {
        "kaiming_normal_": "he_normal()",
        "orthogonal_": "orthogonal()",
        "delta_orthogonal_": "delta_orthogonal()",
    }
    if draw.method in names:
        return names[draw.method]
    if draw.method == "xavier_normal_":
        return f'variance_scaling({draw.gain:.2f}**2, "fan_avg", "normal")'
    if draw.gain == 1:
        return "lecun_normal()"
    return f'variance_scaling({draw.gain:.2f}**2, "fan_in", "normal")'


def _activation(s: Start) -> str:
    return "jnp.tanh" if s.activation == "tanh" else f"jax.nn.{s.activation}"


def _plain(s: Start, code: str) -> str:
    shifted = ""
    if s.shift:
        shifted = """
for layer in params:
    gain = 2 if layer is params[0] or layer is params[-1] else 4
    layer["weight"] *= gain
    inputs = layer["weight"].reshape(-1, layer["bias"].size).sum(0)
    layer["bias"] = -inputs / 2
params[0]["bias"] *= 0  # no sigmoid comes before it
"""
    head = "orthogonal()" if s.shift else "lecun_normal()"
    return joined(
        IMPORTS
        + code.format(hidden=f"{START}.{drawn(s.draw)}", head=f"{START}.{head}", shift=shifted),
    )


def mlp(s: Start) -> str:
    """Return the snippet of a fully connected network."""
    sizes = "21 * [256] + [10]" if s.deep else "[64, 256, 256, 10]"
    step = f'{_activation(s)}(x @ layer["weight"] + layer["bias"])'
    return _plain(
        s,
        f"""
sizes = {sizes}
hidden = {{hidden}}
head = {{head}}
starts = (len(sizes) - 2) * [hidden] + [head]
keys = jax.random.split(jax.random.key(0), len(starts))
shapes = list(zip(sizes[:-1], sizes[1:]))
params = [
    {{{{"weight": start(key, shape), "bias": jnp.zeros(shape[1])}}}}
    for start, key, shape in zip(starts, keys, shapes)
]
{{shift}}

def model(params, x):
    for layer in params[:-1]:
        x = {step}
    return x @ params[-1]["weight"] + params[-1]["bias"]


outputs = model(params, jnp.ones((1, sizes[0])))""",
    )


def cnn(s: Start) -> str:
    """Return the snippet of a convolutional network."""
    channels = "[3] + 20 * [64]" if s.deep else "[3, 64, 64]"
    step = f'{_activation(s)}(conv(x, layer["weight"]) + layer["bias"])'
    return _plain(
        s,
        f"""
channels = {channels}
hidden = {{hidden}}
head = {{head}}
starts = (len(channels) - 1) * [hidden] + [head]
keys = jax.random.split(jax.random.key(0), len(starts))
shapes = [(3, 3, a, b) for a, b in zip(channels[:-1], channels[1:])]
params = [
    {{{{"weight": start(key, shape), "bias": jnp.zeros(shape[-1])}}}}
    for start, key, shape in zip(starts, keys, [*shapes, (64, 10)])
]
{{shift}}
{CONV}

def model(params, x):
    for layer in params[:-1]:
        x = {step}
    return x.mean((1, 2)) @ params[-1]["weight"] + params[-1]["bias"]


outputs = model(params, jnp.ones((1, 8, 8, 3)))""",
    )


def residual_norm() -> str:
    """Return the snippet of a residual network with norms."""
    return f"""{IMPORTS}
he = {START}.he_normal()
lecun = {START}.lecun_normal()
first, last, *keys = jax.random.split(jax.random.key(0), 10)
shape = (3, 3, 64, 64)
params = {{
    "first": he(first, (3, 3, 3, 64)),
    "blocks": [
        {{
            "conv1": he(keys[2 * i], shape),
            "scale1": jnp.ones(64),
            "conv2": he(keys[2 * i + 1], shape),
            "scale2": jnp.zeros(64),  # the block starts as the identity
        }}
        for i in range(4)
    ],
    "head": lecun(last, (64, 10)),
}}

{CONV}

def norm(x, scale):  # BatchNorm while training
    return scale * jax.nn.standardize(x, axis=(0, 1, 2))


def model(params, x):
    x = jax.nn.relu(norm(conv(x, params["first"]), 1))
    for block in params["blocks"]:
        h = jax.nn.relu(norm(conv(x, block["conv1"]), block["scale1"]))
        x = jax.nn.relu(x + norm(conv(h, block["conv2"]), block["scale2"]))
    return x.mean((1, 2)) @ params["head"]


outputs = model(params, jnp.ones((1, 8, 8, 3)))
"""


def residual_plain() -> str:
    """Return the snippet of a residual network without norms: Fixup."""
    return f"""{IMPORTS}
branches = 12
lecun = {START}.lecun_normal()
# Two layers in each branch: the variance of He / branches.
first = {START}.variance_scaling(2 / branches, "fan_in", "normal")
key, *keys = jax.random.split(jax.random.key(0), 1 + branches)
params = {{
    "stem": lecun(key, (64, 256)),
    "blocks": [
        {{
            "first": first(key, (256, 256)),
            "last": jnp.zeros((256, 256)),
            "scale": jnp.ones(()),
            "biases": jnp.zeros((2, 256)),
        }}
        for key in keys
    ],
    "head": jnp.zeros((256, 10)),
}}


def model(params, x):
    x = x @ params["stem"]
    for block in params["blocks"]:
        bias1, bias2 = block["biases"]
        h = jax.nn.relu(x @ block["first"] + bias1)
        x = x + block["scale"] * (h @ block["last"] + bias2)
    return x @ params["head"]


outputs = model(params, jnp.ones((1, 64)))
"""


def recurrent(cell: str) -> str:
    """Return the snippet of a recurrent layer, gate by gate."""
    gates = {
        "LSTM": '("input", "forget", "cell", "output")',
        "GRU": '("reset", "update", "new")',
        "RNN": '("state",)',
    }[cell]
    step = {
        "LSTM": """
def step(params, state, x):
    h, c = state
    z = {
        gate: x @ p["input"] + h @ p["state"] + p["bias"]
        for gate, p in params.items()
    }
    i, f, o = (jax.nn.sigmoid(z[g]) for g in ("input", "forget", "output"))
    c = f * c + i * jnp.tanh(z["cell"])
    return (o * jnp.tanh(c), c)


state = step(params, (jnp.zeros(128), jnp.zeros(128)), jnp.ones(64))""",
        "GRU": """
def step(params, h, x):
    a = {gate: x @ p["input"] + p["bias"] for gate, p in params.items()}
    b = {gate: h @ p["state"] for gate, p in params.items()}
    r, z = (jax.nn.sigmoid(a[g] + b[g]) for g in ("reset", "update"))
    return (1 - z) * jnp.tanh(a["new"] + r * b["new"]) + z * h


state = step(params, jnp.zeros(128), jnp.ones(64))""",
        "RNN": """
def step(params, h, x):
    p = params["state"]
    return jnp.tanh(x @ p["input"] + h @ p["state"] + p["bias"])


state = step(params, jnp.zeros(128), jnp.ones(64))""",
    }[cell]
    imports, forget = IMPORTS, ""
    if cell == "LSTM":
        imports = f"import math\n\n{IMPORTS}"
        forget = """
steps = 100  # how long to remember
params["forget"]["bias"] += math.log(steps)"""
    return f"""{imports}
gates = {gates}
xavier = {START}.xavier_uniform()
orthogonal = {START}.orthogonal()
keys = jax.random.split(jax.random.key(0), (len(gates), 2))
params = {{
    gate: {{
        "input": xavier(key[0], (64, 128)),
        "state": orthogonal(key[1], (128, 128)),
        "bias": jnp.zeros(128),
    }}
    for gate, key in zip(gates, keys)
}}{forget}

{step}
"""


def transformer() -> str:
    """Return the snippet of a decoder like GPT-2."""
    return f"""{IMPORTS}
words, length, width, heads, blocks = 1000, 64, 128, 4, 4
inner = {START}.normal(0.02)
ends = {START}.normal(0.02 / (2 * blocks) ** 0.5)


def block(key):
    keys = jax.random.split(key, 4)
    return {{
        "qkv": inner(keys[0], (width, 3 * width)),
        "out": ends(keys[1], (width, width)),
        "up": inner(keys[2], (width, 4 * width)),
        "down": ends(keys[3], (4 * width, width)),
        "scales": jnp.ones((2, width)),
    }}


key1, key2, *keys = jax.random.split(jax.random.key(0), 2 + blocks)
params = {{
    "words": inner(key1, (words, width)),
    "places": inner(key2, (length, width)),
    "blocks": [block(key) for key in keys],
}}


def model(params, tokens):
    n = tokens.shape[1]
    x = params["words"][tokens] + params["places"][:n]
    for p in params["blocks"]:
        h = p["scales"][0] * jax.nn.standardize(x) @ p["qkv"]
        q, k, v = jnp.split(h.reshape(*x.shape[:2], 3 * heads, -1), 3, 2)
        h = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + h.reshape(x.shape) @ p["out"]
        h = p["scales"][1] * jax.nn.standardize(x) @ p["up"]
        x = x + jax.nn.gelu(h) @ p["down"]
    return jax.nn.standardize(x) @ params["words"].T  # the head is tied


outputs = model(params, jnp.zeros((1, 8), int))
"""


def llama() -> str:
    """Return the snippet of a decoder like Llama."""
    return f"""{IMPORTS}
words, width, heads, blocks = 1000, 128, 4, 4
inner = {START}.normal(0.02)
ends = {START}.normal(0.02 / (2 * blocks) ** 0.5)
lecun = {START}.lecun_normal()


def block(key):
    keys = jax.random.split(key, 5)
    return {{
        "qkv": inner(keys[0], (width, 3 * width)),
        "out": ends(keys[1], (width, width)),
        "gate": inner(keys[2], (width, 3 * width)),
        "up": inner(keys[3], (width, 3 * width)),
        "down": ends(keys[4], (3 * width, width)),
        "scales": jnp.ones((2, width)),
    }}


key1, key2, *keys = jax.random.split(jax.random.key(0), 2 + blocks)
params = {{
    "words": inner(key1, (words, width)),
    "head": lecun(key2, (width, words)),
    "blocks": [block(key) for key in keys],
}}


def norm(x):
    return x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def model(params, tokens):  # the rotations of q and k have no weights
    x = params["words"][tokens]
    for p in params["blocks"]:
        h = p["scales"][0] * norm(x) @ p["qkv"]
        q, k, v = jnp.split(h.reshape(*x.shape[:2], 3 * heads, -1), 3, 2)
        h = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + h.reshape(x.shape) @ p["out"]
        h = p["scales"][1] * norm(x)
        x = x + (jax.nn.silu(h @ p["gate"]) * (h @ p["up"])) @ p["down"]
    return norm(x) @ params["head"]


outputs = model(params, jnp.zeros((1, 8), int))
"""


def unet() -> str:
    """Return the snippet of a U-Net that predicts noise."""
    return f"""{IMPORTS}
channels = 64
lecun = {START}.lecun_normal()
keys = jax.random.split(jax.random.key(0), 6)
shape = (3, 3, channels, channels)


def new_block(key):  # zeros: each block starts as its skip
    return {{"conv1": lecun(key, shape), "conv2": jnp.zeros(shape)}}


params = {{
    "first": lecun(keys[0], (3, 3, 3, channels)),
    "down": new_block(keys[1]),
    "smaller": lecun(keys[2], shape),
    "middle": new_block(keys[3]),
    "merge": lecun(keys[4], (3, 3, 2 * channels, channels)),
    "up": new_block(keys[5]),
    "last": jnp.zeros((3, 3, channels, 3)),  # the first prediction is zero
}}

{CONV}

def active(x):  # a norm without weights of its own, and SiLU
    return jax.nn.silu(jax.nn.standardize(x, axis=(1, 2, 3)))


def block(p, x):
    return x + conv(active(conv(active(x), p["conv1"])), p["conv2"])


def model(params, x):
    skip = block(params["down"], conv(x, params["first"]))
    h = block(params["middle"], conv(skip, params["smaller"], stride=2))
    h = h.repeat(2, axis=1).repeat(2, axis=2)
    h = conv(jnp.concatenate([h, skip], -1), params["merge"])
    return conv(active(block(params["up"], h)), params["last"])


outputs = model(params, jnp.ones((1, 8, 8, 3)))
"""


def siren() -> str:
    """Return the snippet of a sine network."""
    return f"""{IMPORTS}
sizes = [2, 256, 256, 256, 3]
keys = jax.random.split(jax.random.key(0), len(sizes) - 1)
params = []
for key, n, m in zip(keys, sizes[:-1], sizes[1:]):
    bound = (6 / n) ** 0.5 / 30 if params else 1 / n
    weight = jax.random.uniform(key, (n, m), minval=-bound, maxval=bound)
    params.append({{"weight": weight, "bias": jnp.zeros(m)}})


def model(params, x):
    for layer in params[:-1]:
        x = jnp.sin(30 * (x @ layer["weight"] + layer["bias"]))
    return x @ params[-1]["weight"] + params[-1]["bias"]


outputs = model(params, jnp.ones((1, 2)))
"""


def lora() -> str:
    """Return the snippet of a low-rank adapter."""
    return f"""{IMPORTS}
rank = 8
frozen = jnp.eye(256)  # the pretrained weights
start = {START}.variance_scaling(1 / 3, "fan_in", "uniform")
params = {{
    "A": start(jax.random.key(1), (256, rank)),
    "B": jnp.zeros((rank, 256)),
}}


def model(params, x):
    return x @ frozen + x @ params["A"] @ params["B"]


outputs = model(params, jnp.ones((1, 256)))
"""


def ppo() -> str:
    """Return the snippet of a policy and a value network."""
    return f"""{IMPORTS}

def network(key, outputs, gain):
    hidden = {START}.orthogonal(2**0.5)
    head = {START}.orthogonal(gain)
    keys = jax.random.split(key, 3)
    return [
        {{"weight": start(key, (n, m)), "bias": jnp.zeros(m)}}
        for start, key, n, m in zip(
            (hidden, hidden, head), keys, (8, 64, 64), (64, 64, outputs)
        )
    ]


key1, key2 = jax.random.split(jax.random.key(0))
params = {{"policy": network(key1, 4, 0.01), "value": network(key2, 1, 1.0)}}


def model(layers, x):
    for layer in layers[:-1]:
        x = jnp.tanh(x @ layer["weight"] + layer["bias"])
    return x @ layers[-1]["weight"] + layers[-1]["bias"]


outputs = model(params["policy"], jnp.ones((1, 8)))
"""
