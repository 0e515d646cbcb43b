"""The snippets for Keras, with any of its backends.

One initializer object draws the same values each time, so each layer gets an object of its own.
"""

from decisions import Draw

from choices.start import Start, joined

BACKEND = """import os

os.environ["KERAS_BACKEND"] = "jax"  # or "torch", "tensorflow"
"""
IMPORTS = f"{BACKEND}import keras\nfrom keras import initializers, layers\n"


def _drawn(draw: Draw) -> str:
    names = {
        "kaiming_normal_": "HeNormal()",
        "orthogonal_": "Orthogonal()",
    }
    if draw.method in names:
        return names[draw.method]
    mode = "fan_avg" if draw.method == "xavier_normal_" else "fan_in"
    if mode == "fan_in" and draw.gain == 1:
        return "LecunNormal()"
    return f'VarianceScaling({draw.gain:.2f}**2, "{mode}", "untruncated_normal")'


def _hidden(draw: Draw) -> str:
    if draw.method == "delta_orthogonal_":
        return """
def hidden(shape, dtype=None):
    centre = initializers.Orthogonal()(shape[2:], dtype)
    zeros = [[1, 1], [1, 1], [0, 0], [0, 0]]
    return keras.ops.pad(centre[None, None], zeros)"""
    body = f"    return initializers.{_drawn(draw)}"
    if len(body) > 80:
        body = body.replace("(", "(\n        ").replace(")", "\n    )")
    return f"""
def hidden():  # a new one for each layer: one draws the same values again
{body}"""


def _plain(s: Start, code: str) -> str:
    shifted = ""
    if s.shift:
        shifted = """
weights = [layer for layer in model.layers if layer.weights]
for layer in weights:
    gain = 2 if layer in (weights[0], weights[-1]) else 4
    layer.kernel.assign(gain * layer.kernel)
    axes = tuple(range(len(layer.kernel.shape) - 1))
    layer.bias.assign(-keras.ops.sum(layer.kernel, axes) / 2)
weights[0].bias.assign(0 * weights[0].bias)  # no sigmoid comes before it"""
    head = "orthogonal" if s.shift else "lecun_normal"
    start = "hidden" if s.draw.method == "delta_orthogonal_" else "hidden()"
    code = code.replace("HIDDEN", start).replace("HEAD", f'"{head}"')
    return f"{IMPORTS}\n{_hidden(s.draw)}\n\n\n{joined(code, shifted)}"


def mlp(s: Start) -> str:
    """Return the snippet of a fully connected network."""
    f = f'layers.Activation("{s.activation}")'
    if s.deep:
        return _plain(
            s,
            f"""
model = keras.Sequential([keras.Input((256,))])
for _ in range(20):
    model.add(layers.Dense(256, kernel_initializer=HIDDEN))
    model.add({f})
model.add(layers.Dense(10, kernel_initializer=HEAD))""",
        )
    return _plain(
        s,
        f"""
model = keras.Sequential(
    [
        keras.Input((64,)),
        layers.Dense(256, kernel_initializer=HIDDEN),
        {f},
        layers.Dense(256, kernel_initializer=HIDDEN),
        {f},
        layers.Dense(10, kernel_initializer=HEAD),
    ]
)""",
    )


def cnn(s: Start) -> str:
    """Return the snippet of a convolutional network."""
    f = f'layers.Activation("{s.activation}")'
    conv = 'layers.Conv2D(64, 3, padding="same", kernel_initializer=HIDDEN)'
    if s.deep:
        return _plain(
            s,
            f"""
model = keras.Sequential([keras.Input((8, 8, 3))])
for _ in range(20):
    model.add({conv})
    model.add({f})
model.add(layers.GlobalAveragePooling2D())
model.add(layers.Dense(10, kernel_initializer=HEAD))""",
        )
    return _plain(
        s,
        f"""
model = keras.Sequential(
    [
        keras.Input((8, 8, 3)),
        {conv},
        {f},
        {conv},
        {f},
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, kernel_initializer=HEAD),
    ]
)""",
    )


def residual_norm() -> str:
    """Return the snippet of a residual network with BatchNorm."""
    return f"""{BACKEND}import keras
from keras import layers


def conv():
    return layers.Conv2D(
        64, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
    )


def block(x):
    h = layers.ReLU()(layers.BatchNormalization()(conv()(x)))
    # A scale of zero: the block starts as the identity.
    norm2 = layers.BatchNormalization(gamma_initializer="zeros")
    return layers.ReLU()(x + norm2(conv()(h)))


inputs = keras.Input((8, 8, 3))
x = layers.ReLU()(layers.BatchNormalization()(conv()(inputs)))
for _ in range(4):
    x = block(x)
x = layers.GlobalAveragePooling2D()(x)
head = layers.Dense(10, kernel_initializer="lecun_normal")
model = keras.Model(inputs, head(x))
"""


def residual_plain() -> str:
    """Return the snippet of a residual network without norms: Fixup."""
    return f"""{IMPORTS}
branches = 12


class Block(layers.Layer):
    def build(self, shape):
        # Two layers in each branch: the variance of He / branches.
        first = initializers.VarianceScaling(
            2 / branches, "fan_in", "untruncated_normal"
        )
        self.first = layers.Dense(256, "relu", kernel_initializer=first)
        self.last = layers.Dense(256, kernel_initializer="zeros")
        self.scale = self.add_weight(shape=(), initializer="ones")
        self.first.build(shape)
        self.last.build(shape)

    def call(self, x):
        return x + self.scale * self.last(self.first(x))


model = keras.Sequential(
    [
        keras.Input((64,)),
        layers.Dense(256, kernel_initializer="lecun_normal"),
        *(Block() for _ in range(branches)),
        layers.Dense(10, kernel_initializer="zeros"),
    ]
)
"""


def recurrent(cell: str) -> str:
    """Return the snippet of a recurrent layer."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    name = "SimpleRNN" if cell == "RNN" else cell
    if cell == "RNN":
        return f"""{BACKEND}from keras import layers

layer = layers.SimpleRNN(
    128,
    kernel_initializer="glorot_uniform",
    recurrent_initializer="orthogonal",
)
layer.build((None, None, 64))
"""
    imports, forget, options = IMPORTS, "", ""
    if cell == "LSTM":
        imports = IMPORTS.replace("import os", "import math\nimport os", 1)
        options = "    unit_forget_bias=False,\n    bias_initializer=forget,\n"
        forget = """
def forget(shape, dtype=None):  # Keras's order: input, forget, cell, output
    steps = 100  # how long to remember
    zeros = keras.ops.zeros(128, dtype)
    return keras.ops.concatenate([zeros, zeros + math.log(steps), zeros, zeros])

"""
    return f"""{imports}

def by_gate(kind):
    def draw(shape, dtype=None):
        shape = (shape[0], shape[1] // {gates})
        parts = [kind()(shape, dtype) for _ in range({gates})]
        return keras.ops.concatenate(parts, axis=1)

    return draw

{forget}
layer = layers.{name}(
    128,
    kernel_initializer=by_gate(initializers.GlorotUniform),
    recurrent_initializer=by_gate(initializers.Orthogonal),
{options})
layer.build((None, None, 64))
"""


def transformer() -> str:
    """Return the snippet of a decoder like GPT-2."""
    return f"""{IMPORTS}
ops = keras.ops
words, length, width, heads, blocks = 1000, 64, 128, 4, 4


def normal(std=0.02):
    return initializers.RandomNormal(stddev=std)


class Block(layers.Layer):
    def build(self, shape):
        ends = 0.02 / (2 * blocks) ** 0.5
        self.norm1 = layers.LayerNormalization()
        self.norm2 = layers.LayerNormalization()
        self.qkv = layers.Dense(3 * width, kernel_initializer=normal())
        self.out = layers.Dense(width, kernel_initializer=normal(ends))
        self.up = layers.Dense(4 * width, "gelu", kernel_initializer=normal())
        self.down = layers.Dense(width, kernel_initializer=normal(ends))

    def call(self, x):
        n = ops.shape(x)[1]
        h = ops.reshape(self.qkv(self.norm1(x)), (-1, n, 3 * heads, 32))
        q, k, v = ops.split(h, 3, axis=2)
        h = ops.dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(ops.reshape(h, (-1, n, width)))
        return x + self.down(self.up(self.norm2(x)))


tokens = keras.Input((length,), dtype="int32")
table = layers.Embedding(words, width, embeddings_initializer=normal())
places = layers.Embedding(length, width, embeddings_initializer=normal())
x = table(tokens) + places(ops.arange(length))
for _ in range(blocks):
    x = Block()(x)
x = layers.LayerNormalization()(x)
head = layers.Lambda(lambda x: x @ ops.transpose(table.embeddings))
model = keras.Model(tokens, head(x))  # the head is tied
"""


def llama() -> str:
    """Return the snippet of a decoder like Llama."""
    return f"""{IMPORTS}
ops = keras.ops
words, length, width, heads, blocks = 1000, 64, 128, 4, 4


def dense(size, std=0.02):
    start = initializers.RandomNormal(stddev=std)
    return layers.Dense(size, use_bias=False, kernel_initializer=start)


class Block(layers.Layer):
    def build(self, shape):
        ends = 0.02 / (2 * blocks) ** 0.5
        self.norm1 = layers.RMSNormalization()
        self.norm2 = layers.RMSNormalization()
        self.qkv, self.out = dense(3 * width), dense(width, ends)
        self.gate, self.up = dense(3 * width), dense(3 * width)
        self.down = dense(width, ends)

    def call(self, x):  # the rotations of q and k have no weights
        n = ops.shape(x)[1]
        h = ops.reshape(self.qkv(self.norm1(x)), (-1, n, 3 * heads, 32))
        q, k, v = ops.split(h, 3, axis=2)
        h = ops.dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(ops.reshape(h, (-1, n, width)))
        h = self.norm2(x)
        return x + self.down(ops.silu(self.gate(h)) * self.up(h))


tokens = keras.Input((length,), dtype="int32")
start = initializers.RandomNormal(stddev=0.02)
x = layers.Embedding(words, width, embeddings_initializer=start)(tokens)
for _ in range(blocks):
    x = Block()(x)
head = dense(words, width**-0.5)
model = keras.Model(tokens, head(layers.RMSNormalization()(x)))
"""


def unet() -> str:
    """Return the snippet of a U-Net that predicts noise."""
    return f"""{BACKEND}import keras
from keras import layers


def conv(channels, start="lecun_normal", strides=1):
    return layers.Conv2D(
        channels, 3, strides, padding="same", kernel_initializer=start
    )


def active(x):
    return layers.Activation("silu")(layers.GroupNormalization(8)(x))


def block(x):
    h = conv(64)(active(x))
    return x + conv(64, "zeros")(active(h))  # it starts as its skip


inputs = keras.Input((8, 8, 3))
skip = block(conv(64)(inputs))
h = block(conv(64, strides=2)(skip))
h = layers.Concatenate()([layers.UpSampling2D()(h), skip])
h = block(conv(64)(h))
# Zeros: the first prediction is zero.
model = keras.Model(inputs, conv(3, "zeros")(active(h)))
"""


def siren() -> str:
    """Return the snippet of a sine network."""
    return f"""{IMPORTS}

def dense(size, bound):
    start = initializers.RandomUniform(-bound, bound)
    return layers.Dense(size, kernel_initializer=start)


def sine(x):
    return keras.ops.sin(30 * x)


bound = (6 / 256) ** 0.5 / 30
model = keras.Sequential(
    [
        keras.Input((2,)),
        dense(256, 1 / 2),  # 1 / inputs
        layers.Activation(sine),
        dense(256, bound),
        layers.Activation(sine),
        dense(256, bound),
        layers.Activation(sine),
        dense(3, bound),
    ]
)
"""


def lora() -> str:
    """Return the snippet of a low-rank adapter."""
    return f"""{IMPORTS}

class LoRA(layers.Layer):
    def __init__(self, frozen, rank=8):
        super().__init__()
        self.frozen, self.rank = frozen, rank
        frozen.trainable = False

    def build(self, shape):
        start = initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        self.A = self.add_weight((shape[-1], self.rank), start)
        self.B = self.add_weight((self.rank, self.frozen.units), "zeros")

    def call(self, x):
        return self.frozen(x) + x @ self.A @ self.B


frozen = layers.Dense(256)  # the pretrained layer
model = keras.Sequential([keras.Input((256,)), LoRA(frozen)])
"""


def ppo() -> str:
    """Return the snippet of a policy and a value network."""
    return f"""{IMPORTS}

def dense(size, gain, activation=None):
    start = initializers.Orthogonal(gain)
    return layers.Dense(size, activation, kernel_initializer=start)


def network(outputs, gain):
    return keras.Sequential(
        [
            keras.Input((8,)),
            dense(64, 2**0.5, "tanh"),
            dense(64, 2**0.5, "tanh"),
            dense(outputs, gain),
        ]
    )


policy, value = network(4, 0.01), network(1, 1.0)
"""
