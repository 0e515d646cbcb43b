"""The records of all frameworks, and the layers that they describe."""

from initguide.frameworks import equinox, flax, haiku, keras, pytorch
from initguide.frameworks.record import Default

# For each kind of layer, the sizes that the formulas of its distributions use.
LAYER_KINDS: dict[str, str] = {
    "Dense": "c inputs, o outputs",
    "Convolution": "c channels in, o out, kernel k × k",
    "Transposed convolution": "c channels in, o out, kernel k × k, stride s",
    "Depthwise convolution": "c channels, kernel k × k",
    "LSTM": "c inputs, h units",
    "GRU": "c inputs, h units",
    "Embedding": "v words, width d",
    "Attention": "width d, e = attention heads × size of a head",
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
