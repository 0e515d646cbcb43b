"""What PyTorch, Keras, Flax, Equinox and Haiku draw where nobody says what to draw.

The tests build every layer in the framework itself and hold each record against it.
"""

from initguide.frameworks import equinox, flax, haiku, keras, pytorch
from initguide.frameworks.record import Default

# The layers, each with the sizes that its laws are written in.
LAYER_KINDS: dict[str, str] = {
    "Dense": "c inputs, o outputs",
    "Convolution": "c channels in, o out, kernel k × k",
    "Transposed convolution": "c channels in, o out, kernel k × k, stride s",
    "Depthwise convolution": "c channels, kernel k × k",
    "LSTM": "c inputs, h units",
    "GRU": "c inputs, h units",
    "Embedding": "v words, width d",
    "Attention": "width d, e = heads × head size",
    "Normalization": "layer and batch alike, d features",
}

DEFAULTS: tuple[Default, ...] = (
    *pytorch.DEFAULTS,
    *keras.DEFAULTS,
    *flax.LINEN,
    *flax.NNX,
    *equinox.DEFAULTS,
    *haiku.DEFAULTS,
)
