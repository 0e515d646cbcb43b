"""Build the layers of PyTorch, Keras, Flax, Equinox and Haiku, and return their initial arrays.

Each function takes the sizes of a layer by letter, as in `SIZES`. It returns the arrays by the
parameter names of the records; a name of several parameters has several arrays.
"""

import os
from functools import cache

os.environ["KERAS_BACKEND"] = "jax"

import equinox
import haiku
import jax
import jax.numpy as jnp
import keras
import numpy as np
import torch
from flax import linen, nnx
from torch import nn

# In each layer fan_in, fan_out, their mean and other counts that a default may use differ a lot.
SIZES = {
    "Dense": {"c": 30, "o": 300},
    "Convolution": {"c": 20, "o": 90, "k": 3},
    "Transposed convolution": {"c": 90, "o": 20, "k": 3, "s": 2},
    "Depthwise convolution": {"c": 400, "k": 5},
    "LSTM": {"c": 30, "h": 100},
    "GRU": {"c": 30, "h": 100},
    "Embedding": {"v": 500, "d": 30},
    "Attention": {"d": 90, "e": 40},
    "Normalization": {"d": 16},
}
HEADS = 4

TORCH = {
    "nn.Linear": lambda c, o: nn.Linear(c, o),
    "nn.Conv2d": lambda c, o, k: nn.Conv2d(c, o, k),
    "nn.ConvTranspose2d": lambda c, o, k, s: nn.ConvTranspose2d(c, o, k, stride=s),
    "nn.Conv2d(groups=c)": lambda c, k: nn.Conv2d(c, c, k, groups=c),
    "nn.LSTM": lambda c, h: nn.LSTM(c, h),
    "nn.GRU": lambda c, h: nn.GRU(c, h),
    "nn.Embedding": lambda v, d: nn.Embedding(v, d),
    "nn.MultiheadAttention": lambda d, e: nn.MultiheadAttention(d, 3),
    "nn.LayerNorm": lambda d: nn.LayerNorm(d),
    "nn.BatchNorm2d": lambda d: nn.BatchNorm2d(d),
}


def torch_parameters(layer, names):
    """Return the named parameters of a torch layer; 'bias_ih, bias_hh' names two of them."""
    parameters = dict(layer.named_parameters())
    wanted = [name if name in parameters else f"{name}_l0" for name in names.split(", ")]
    return [parameters[name] for name in wanted]


def _keras(layer, *shapes):
    layer.build(*shapes)
    return {
        weight.path.partition("/")[2]: np.asarray(weight.value)
        for weight in layer.trainable_weights
    }


def _keras_plain(layer, *shapes):
    return {name.split("/")[-1]: [value] for name, value in _keras(layer, *shapes).items()}


def _keras_attention(d, e):
    layer = keras.layers.MultiHeadAttention(HEADS, e // HEADS)
    found = _keras(layer, (None, 5, d), (None, 5, d))
    inputs = [found[f"{name}/kernel"].reshape(d, e) for name in ("query", "key", "value")]
    return {
        "query, key, value": inputs,
        "attention_output": [found["attention_output/kernel"].reshape(e, d)],
        "biases of the four": [_flat(v for name, v in found.items() if "bias" in name)],
    }


def _flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


KERAS = {
    "Dense": lambda c, o: _keras_plain(keras.layers.Dense(o), (None, c)),
    "Conv2D": lambda c, o, k: _keras_plain(keras.layers.Conv2D(o, k), (None, 9, 9, c)),
    "Conv2DTranspose": lambda c, o, k, s: _keras_plain(
        keras.layers.Conv2DTranspose(o, k, strides=s), (None, 9, 9, c)
    ),
    "DepthwiseConv2D": lambda c, k: _keras_plain(keras.layers.DepthwiseConv2D(k), (None, 9, 9, c)),
    "LSTM": lambda c, h: _keras_plain(keras.layers.LSTM(h), (None, 5, c)),
    "GRU": lambda c, h: _keras_plain(keras.layers.GRU(h), (None, 5, c)),
    "Embedding": lambda v, d: _keras_plain(keras.layers.Embedding(v, d), (None, 5)),
    "MultiHeadAttention": _keras_attention,
    "LayerNormalization": lambda d: _keras_plain(keras.layers.LayerNormalization(), (None, d)),
    "BatchNormalization": lambda d: _keras_plain(keras.layers.BatchNormalization(), (None, d)),
}


def _flax_plain(found):
    return {path.split("/")[-1]: [value] for path, value in found.items()}


def _flax_attention(found):
    d, *heads = found["query/kernel"].shape
    e = np.prod(heads)
    return {
        "query, key, value": [
            found[f"{n}/kernel"].reshape(d, e) for n in ("query", "key", "value")
        ],
        "out": [found["out/kernel"].reshape(e, d)],
        "biases of the four": [_flat(v for path, v in found.items() if "bias" in path)],
    }


def _flax_cell(found):
    """Join the input kernels ('ii', 'if', … or 'dense_i') and the recurrent ones ('hi', …)."""

    def joined(letter):
        names = [
            p
            for p in found
            if p.endswith("kernel") and p.split("/")[0].removeprefix("dense_")[0] == letter
        ]
        return np.concatenate([found[name] for name in names], axis=1)

    biases = _flat(v for path, v in found.items() if path.endswith("bias"))
    return {
        "input kernels": [joined("i")],
        "recurrent kernels": [joined("h")],
        "biases": [biases],
    }


def _named(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        "/".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path): np.asarray(v)
        for path, v in leaves
    }


def _linen(module, *inputs, read=_flax_plain):
    return read(_named(module.init(jax.random.key(0), *inputs)["params"]))


def _linen_cell(cell, c, h):
    carry = cell.initialize_carry(jax.random.key(1), (1, c))
    return _linen(cell, carry, jnp.ones((1, c)), read=_flax_cell)


_IMAGE = (1, 9, 9)
LINEN = {
    "nn.Dense": lambda c, o: _linen(linen.Dense(o), jnp.ones((1, c))),
    "nn.Conv": lambda c, o, k: _linen(linen.Conv(o, (k, k)), jnp.ones((*_IMAGE, c))),
    "nn.ConvTranspose": lambda c, o, k, s: _linen(
        linen.ConvTranspose(o, (k, k), strides=(s, s)), jnp.ones((*_IMAGE, c))
    ),
    "nn.Conv(feature_group_count=c)": lambda c, k: _linen(
        linen.Conv(c, (k, k), feature_group_count=c), jnp.ones((*_IMAGE, c))
    ),
    "nn.LSTMCell": lambda c, h: _linen_cell(linen.LSTMCell(h), c, h),
    "nn.OptimizedLSTMCell": lambda c, h: _linen_cell(linen.OptimizedLSTMCell(h), c, h),
    "nn.GRUCell": lambda c, h: _linen_cell(linen.GRUCell(h), c, h),
    "nn.Embed": lambda v, d: _linen(linen.Embed(v, d), jnp.ones((1,), int)),
    "nn.MultiHeadAttention": lambda d, e: _linen(
        linen.MultiHeadAttention(HEADS, qkv_features=e), jnp.ones((1, 5, d)), read=_flax_attention
    ),
    "nn.LayerNorm": lambda d: _linen(linen.LayerNorm(), jnp.ones((2, d))),
    "nn.BatchNorm": lambda d: _linen(linen.BatchNorm(True), jnp.ones((2, d))),
}


def _nnx(module, *sizes, read=_flax_plain, **options):
    state = nnx.state(module(*sizes, **options, rngs=nnx.Rngs(0)), nnx.Param)
    return read(_named(nnx.to_pure_dict(state)))


NNX = {
    "nnx.Linear": lambda c, o: _nnx(nnx.Linear, c, o),
    "nnx.Conv": lambda c, o, k: _nnx(nnx.Conv, c, o, (k, k)),
    "nnx.ConvTranspose": lambda c, o, k, s: _nnx(nnx.ConvTranspose, c, o, (k, k), strides=s),
    "nnx.Conv(feature_group_count=c)": lambda c, k: _nnx(
        nnx.Conv, c, c, (k, k), feature_group_count=c
    ),
    "nnx.LSTMCell": lambda c, h: _nnx(nnx.LSTMCell, c, h, read=_flax_cell),
    "nnx.OptimizedLSTMCell": lambda c, h: _nnx(nnx.OptimizedLSTMCell, c, h, read=_flax_cell),
    "nnx.GRUCell": lambda c, h: _nnx(nnx.GRUCell, c, h, read=_flax_cell),
    "nnx.Embed": lambda v, d: _nnx(nnx.Embed, v, d),
    "nnx.MultiHeadAttention": lambda d, e: _nnx(
        nnx.MultiHeadAttention, HEADS, d, e, read=_flax_attention
    ),
    "nnx.LayerNorm": lambda d: _nnx(nnx.LayerNorm, d),
    "nnx.BatchNorm": lambda d: _nnx(nnx.BatchNorm, d),
}


def _equinox(layer, *sizes, **options):
    module = layer(*sizes, **options, key=jax.random.key(0))
    return {
        name: [np.asarray(value)]
        for name, value in vars(module).items()
        if equinox.is_inexact_array(value)
    }


def _equinox_gru(c, h):
    found = _equinox(equinox.nn.GRUCell, c, h)
    found["bias, bias_n"] = [_flat([*found.pop("bias"), *found.pop("bias_n")])]
    return found


def _equinox_attention(d, e):
    layer = equinox.nn.MultiheadAttention(
        HEADS, d, qk_size=e // HEADS, vo_size=e // HEADS, key=jax.random.key(0)
    )
    inputs = (layer.query_proj, layer.key_proj, layer.value_proj)
    assert all(linear.bias is None for linear in (*inputs, layer.output_proj))
    return {
        "query_proj, key_proj, value_proj": [np.asarray(linear.weight) for linear in inputs],
        "output_proj": [np.asarray(layer.output_proj.weight)],
    }


def _equinox_norm(module):
    return {"weight": [np.asarray(module.weight)], "bias": [np.asarray(module.bias)]}


EQUINOX = {
    "Linear": lambda c, o: _equinox(equinox.nn.Linear, c, o),
    "Conv2d": lambda c, o, k: _equinox(equinox.nn.Conv2d, c, o, k),
    "ConvTranspose2d": lambda c, o, k, s: _equinox(equinox.nn.ConvTranspose2d, c, o, k, stride=s),
    "Conv2d(groups=c)": lambda c, k: _equinox(equinox.nn.Conv2d, c, c, k, groups=c),
    "LSTMCell": lambda c, h: _equinox(equinox.nn.LSTMCell, c, h),
    "GRUCell": _equinox_gru,
    "Embedding": lambda v, d: _equinox(equinox.nn.Embedding, v, d),
    "MultiheadAttention": _equinox_attention,
    "LayerNorm": lambda d: _equinox_norm(equinox.nn.LayerNorm(d)),
    "BatchNorm": lambda d: _equinox_norm(equinox.nn.BatchNorm(d, "batch", mode="batch")),
}


def _haiku(build, *inputs):
    drawn = haiku.transform_with_state(lambda *xs: build()(*xs)).init(jax.random.key(0), *inputs)[0]
    return {
        path.split("/")[-1]: [value]
        for path, value in _named(drawn).items()
        if not path.endswith("average")
    }


def _haiku_lstm(c, h):
    found = _haiku(
        lambda: lambda x: haiku.LSTM(h)(x, haiku.LSTM(h).initial_state(1)), jnp.ones((1, c))
    )
    return {
        "w, of input and state": found["w"],
        "b, of which the code adds 1 to the forget gate": found["b"],
    }


HAIKU = {
    "Linear": lambda c, o: _haiku(lambda: haiku.Linear(o), jnp.ones((1, c))),
    "Conv2D": lambda c, o, k: _haiku(lambda: haiku.Conv2D(o, k), jnp.ones((*_IMAGE, c))),
    "Conv2DTranspose": lambda c, o, k, s: _haiku(
        lambda: haiku.Conv2DTranspose(o, k, s), jnp.ones((*_IMAGE, c))
    ),
    "DepthwiseConv2D": lambda c, k: _haiku(
        lambda: haiku.DepthwiseConv2D(1, k), jnp.ones((*_IMAGE, c))
    ),
    "LSTM": _haiku_lstm,
    "GRU": lambda c, h: _haiku(
        lambda: lambda x: haiku.GRU(h)(x, haiku.GRU(h).initial_state(1)), jnp.ones((1, c))
    ),
    "Embed": lambda v, d: _haiku(lambda: haiku.Embed(v, d), jnp.ones((1,), int)),
    "LayerNorm": lambda d: _haiku(lambda: haiku.LayerNorm(-1, True, True), jnp.ones((2, d))),
    "BatchNorm": lambda d: _haiku(
        lambda: lambda x: haiku.BatchNorm(True, True, 0.9)(x, True), jnp.ones((2, d))
    ),
}

ARRAYS = {
    "Keras": KERAS,
    "Flax linen": LINEN,
    "Flax nnx": NNX,
    "Equinox": EQUINOX,
    "Haiku": HAIKU,
}


def classes(name):
    """Return the classes in the name of a record."""
    return name.split(", ")


@cache
def initial_arrays(framework, name, layer):
    """Return all initial arrays of one class of a framework, by the names of the records."""
    keras.utils.set_random_seed(0)
    return ARRAYS[framework][name](**SIZES[layer])


def their_arrays(default):
    """Return the initial arrays of the record's parameter in its framework, one for each class."""
    arrays = []
    for name in classes(default.name):
        if default.framework == "PyTorch":
            torch.manual_seed(0)
            layer = TORCH[name](**SIZES[default.layer])
            parameters = torch_parameters(layer, default.parameter)
            arrays += [parameter.detach().numpy() for parameter in parameters]
        else:
            arrays += initial_arrays(default.framework, name, default.layer)[default.parameter]
    return arrays
