"""check_initializer finds nothing wrong with right initializers, ours and others'."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import functools
import math

import jax
import keras
import numpy as np
import pytest
import torch
from initializers import arrays, by_shape_, dropped, tensor_fans, tensors
from torch import nn

import initguide as init

partial = functools.partial


def jaxs(name, *args, **options):
    function = getattr(jax.nn.initializers, name)(*args, **options)

    def draw(shape, rng=None):
        key = jax.random.key(np.random.default_rng(rng).integers(2**31))
        return np.asarray(function(key, shape))

    return draw


def kerass(name, **options):
    kind = getattr(keras.initializers, name)

    def draw(shape, rng=None):
        seed = int(np.random.default_rng(rng).integers(2**31))
        return keras.ops.convert_to_numpy(kind(seed=seed, **options)(shape))

    return draw


def gram_schmidt(shape, rng):
    """Column by column: the rest of a Gaussian column has the right sign by itself."""
    n, k = math.prod(shape[:-1]), shape[-1]
    tall = rng.normal(size=(max(n, k), min(n, k)))
    for j in range(tall.shape[1]):
        for _ in range(2):
            tall[:, j] -= tall[:, :j] @ (tall[:, :j].T @ tall[:, j])
        tall[:, j] /= np.linalg.norm(tall[:, j])
    return (tall if n >= k else tall.T).reshape(shape)


def polar_(tensor, generator=None):
    x = torch.randn(len(tensor), tensor[0].numel(), generator=generator, dtype=tensor.dtype)
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    with torch.no_grad():
        return tensor.copy_((u @ v).reshape(tensor.shape))


def by_loops(shape, rng):
    """As a beginner writes it."""
    fan_in, fan_out = shape
    weight = np.zeros(shape)
    bound = math.sqrt(6 / (fan_in + fan_out))
    for i in range(fan_in):
        for j in range(fan_out):
            weight[i][j] = rng.uniform(-bound, bound)
    return weight


def maxout_normal_(weight, g):
    return init.normal_(weight, std=tensor_fans(weight)[0] ** -0.5, generator=g)


def student(shape, rng=None):
    """A distribution with long tails, which no method has."""
    return 0.01 * np.random.default_rng(rng).standard_t(5, shape)


KAIMING = next(method for method in init.METHODS if method.title == "Kaiming normal")
# Their functions are slow: few large draws.
LARGE = {"shapes": [(360, 40), (3, 5, 16, 72)]}
NEEDS = {
    "constant_": {"val": 0.5},
    "constant": {"val": 0.5},
    "sparse_": {"sparsity": 0.9},
    "sparse": {"sparsity": 0.9},
}


def ours(name):
    return partial(getattr(init, name), **NEEDS.get(name, {}))


RIGHT = {name: (ours(name), ours(name), {}) for m in init.METHODS for name in m.names}
RIGHT |= {
    f"{name}, torch": (partial(getattr(nn.init, name), **NEEDS.get(name, {})), ours(name), {})
    for name in nn.init.__all__
    # Among the wrong ones.
    if name.endswith("_") and name != "sparse_"
}
RIGHT |= {f"{m.title}, across": (ours(m.names[0]), ours(m.names[1]), {}) for m in init.METHODS}
RIGHT |= {
    "jax, he_uniform": (jaxs("he_uniform"), "kaiming_uniform", LARGE),
    "jax, he_normal": (jaxs("he_normal"), partial(init.variance_scaling, scale=2.0), LARGE),
    "jax, orthogonal": (jaxs("orthogonal"), "orthogonal", LARGE),
    "jax, delta_orthogonal": (
        jaxs("delta_orthogonal"),
        "delta_orthogonal",
        # It does not take fewer outputs, and for even kernels its centre is another one.
        {"shapes": [(3, 3, 16, 72), (5, 5, 12, 12)]},
    ),
    "keras, GlorotUniform": (kerass("GlorotUniform"), "xavier_uniform", LARGE),
    "keras, Orthogonal": (kerass("Orthogonal"), "orthogonal", LARGE),
    "by hand, He": (arrays(lambda i, o: (2 / i) ** 0.5), "kaiming_normal", {}),
    "by hand, He, torch": (tensors(lambda i, o: (2 / i) ** 0.5), "kaiming_normal_", {}),
    "by hand, uniform": (
        arrays(lambda i, o: (3 / i) ** 0.5, "uniform"),
        init.lecun_uniform,
        {},
    ),
    "by hand, cut": (
        arrays(lambda i, o: i**-0.5 / 0.87962566, "truncated"),
        "variance_scaling",
        {},
    ),
    "by hand, loops": (by_loops, "xavier_uniform", {"shapes": [(200, 30), (30, 200)]}),
    "by hand, out_in": (
        lambda shape, rng: rng.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape),
        "kaiming_normal",
        {"layout": "out_in"},
    ),
    "by hand, Gram-Schmidt": (gram_schmidt, "orthogonal", {"shapes": [(40, 60), (60, 40)]}),
    "by hand, SVD": (polar_, "orthogonal_", {}),
    "by hand, no rng asked": (lambda w: init.zeros_(w), init.zeros_, {}),
    "a scale of its own": (maxout_normal_, "lecun_normal_", {}),
    "a lambda for like": (
        init.xavier_normal_,
        lambda w, g: init.normal_(w, std=math.sqrt(2 / sum(tensor_fans(w))), generator=g),
        {},
    ),
    "long tails": (student, student, {}),
    "zeros by chance": (dropped, dropped, {}),
    "a gain by shape": (by_shape_, by_shape_, {}),
    "a record for like": (init.kaiming_normal_, KAIMING, {}),
    "one small shape": (init.xavier_normal_, "xavier_normal_", {"shapes": [(3, 5)]}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_initializer_has_no_findings(name):
    function, like, options = RIGHT[name]
    report = init.check_initializer(function, like, **options)
    report.assert_ok()
    assert report.ok
    assert len(report.rows) >= 1
