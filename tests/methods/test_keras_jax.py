"""Keras and JAX as oracles: the same laws, fans, layouts and shapes as our NumPy functions."""

import math
import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np
import pytest
from scipy import stats

import initguide as init

# A 3×3 convolution: fan_in 36, fan_out 900, so that no fan passes for another.
SHAPE = (3, 3, 4, 100)
DRAWS = 6


def ours(name, *args, **options):
    function = getattr(init, name)
    return lambda seed, shape: function(shape, *args, rng=seed, **options)


def jaxs(name, *args, **options):
    function = getattr(jax.nn.initializers, name)(*args, **options)
    return lambda seed, shape: np.asarray(function(jax.random.key(seed), shape))


def kerass(name, **options):
    kind = getattr(keras.initializers, name)
    return lambda seed, shape: keras.ops.convert_to_numpy(kind(seed=seed, **options)(shape))


def scaled(scale, mode="fan_in", distribution="truncated_normal"):
    return ours("variance_scaling", scale, mode, distribution)


# The std of a standard normal cut at ±2.
CUT = stats.truncnorm(-2, 2).std()
SAME_LAW = {
    "lecun_uniform, jax": (ours("lecun_uniform"), jaxs("lecun_uniform")),
    "lecun_uniform, keras": (ours("lecun_uniform"), kerass("LecunUniform")),
    "xavier_uniform, jax": (ours("xavier_uniform"), jaxs("glorot_uniform")),
    "xavier_uniform, keras": (ours("xavier_uniform"), kerass("GlorotUniform")),
    "kaiming_uniform, jax": (ours("kaiming_uniform"), jaxs("he_uniform")),
    "kaiming_uniform, keras": (ours("kaiming_uniform"), kerass("HeUniform")),
    "lecun_normal, jax": (scaled(1.0), jaxs("lecun_normal")),
    "glorot_normal, jax": (scaled(1.0, "fan_avg"), jaxs("glorot_normal")),
    "he_normal, jax": (scaled(2.0), jaxs("he_normal")),
    "lecun_normal, keras": (scaled(1.0), kerass("LecunNormal")),
    "glorot_normal, keras": (scaled(1.0, "fan_avg"), kerass("GlorotNormal")),
    "he_normal, keras": (scaled(2.0), kerass("HeNormal")),
    **{
        f"{mode}, {distribution}, jax": (
            scaled(0.7, mode, distribution),
            jaxs("variance_scaling", 0.7, mode, distribution),
        )
        for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
        for distribution in ("truncated_normal", "normal", "uniform")
    },
    "fan_out, keras": (
        scaled(0.7, "fan_out", "normal"),
        kerass("VarianceScaling", scale=0.7, mode="fan_out", distribution="untruncated_normal"),
    ),
    "kaiming_normal": (
        ours("kaiming_normal"),
        jaxs("variance_scaling", 2.0, "fan_in", "normal"),
    ),
    "normal, jax": (ours("normal", std=0.02), jaxs("normal", 0.02)),
    "normal, keras": (ours("normal", 1.0, 0.02), kerass("RandomNormal", mean=1.0, stddev=0.02)),
    "uniform, jax": (ours("uniform", 0, 0.3), jaxs("uniform", 0.3)),
    "uniform, keras": (ours("uniform", -1, 2), kerass("RandomUniform", minval=-1, maxval=2)),
    # Their std is that before the cut.
    "truncated_normal, jax": (
        ours("truncated_normal", std=0.3 * CUT),
        jaxs("truncated_normal", 0.3),
    ),
    "truncated_normal, keras": (
        ours("truncated_normal", 1.0, 0.3 * CUT),
        kerass("TruncatedNormal", mean=1.0, stddev=0.3),
    ),
}


@pytest.mark.parametrize("pair", SAME_LAW)
def test_the_law_is_theirs(pair):
    a, b = (
        np.concatenate([draw(seed, SHAPE).ravel() for seed in range(DRAWS)]).astype(float)
        for draw in SAME_LAW[pair]
    )
    assert stats.ks_2samp(a, b).pvalue > 1e-4
    # For kurtosis up to 3, the standard error of a std's relative error is at most 1/sqrt(2 N).
    assert a.std() == pytest.approx(b.std(), rel=4 * np.sqrt(2 / (2 * len(a))))
    assert abs(a.mean() - b.mean()) < 4 * a.std() * np.sqrt(2 / len(a))


@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (3, 3, 4, 100), (3, 3, 4, 20)], ids=str)
@pytest.mark.parametrize(
    "theirs", [jaxs("orthogonal", 2.0), kerass("Orthogonal", gain=2.0)], ids=["jax", "keras"]
)
def test_orthogonal_is_orthonormal_on_the_same_side(shape, theirs):
    grams = []
    for weight in (init.orthogonal(shape, 2.0, rng=0), theirs(0, shape)):
        matrix = weight.reshape(-1, shape[-1])
        grams.append((matrix.T @ matrix, matrix @ matrix.T))
    for mine, other in zip(*grams, strict=True):
        eye = 4 * np.eye(len(mine))
        assert np.allclose(mine, eye, atol=1e-5) == np.allclose(other, eye, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 5, 4, 6), (3, 3, 2, 4, 6)], ids=str)
def test_delta_orthogonal_has_jaxs_place_and_gain(shape):
    weights = [init.delta_orthogonal(shape, 1.5, rng=0), jaxs("delta_orthogonal", 1.5)(0, shape)]
    for weight in weights:
        places = np.argwhere(np.abs(weight).sum((-1, -2)))
        assert len(places) == 1
        centre = weight[tuple(places[0])]
        np.testing.assert_allclose(centre @ centre.T, 1.5**2 * np.eye(4), atol=1e-5)
    if all(size % 2 for size in shape[:-2]):
        assert ((weights[0] == 0) == (weights[1] == 0)).all()


def test_identity_is_keras():
    theirs = keras.ops.convert_to_numpy(keras.initializers.Identity(gain=0.5)((3, 5)))
    np.testing.assert_array_equal(init.identity((3, 5), 0.5), theirs)


# Attention kernels of JAX and Keras: (shape, in_axes, out_axes).
KERNELS = [((256, 8, 32), 0, (1, 2)), ((8, 48, 300), (0, 1), 2), ((4, 300, 16), 1, (0, 2))]


@pytest.mark.parametrize(("shape", "into", "out"), KERNELS, ids=str)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_named_axes_have_the_std_of_jax(shape, into, out, mode):
    draw = jax.nn.initializers.variance_scaling(2.0, mode, "normal", in_axis=into, out_axis=out)
    expected = float(draw(jax.random.key(0), shape).std())
    axes = {"in_axes": into, "out_axes": out, "rng": 0}
    ours = [init.variance_scaling(shape, 2.0, mode, "normal", **axes)]
    if mode == "fan_avg":
        gain = 2**0.5
        ours += [f(shape, gain, **axes) for f in (init.xavier_normal, init.xavier_uniform)]
    else:
        options = {"mode": mode, "nonlinearity": "relu"}
        ours += [f(shape, **options, **axes) for f in (init.kaiming_normal, init.kaiming_uniform)]
    if mode == "fan_in":
        ours += [f(shape, 2**0.5, **axes) for f in (init.lecun_normal, init.lecun_uniform)]
    # Two samples of the size of the array; four standard errors.
    slack = 4 / ours[0].size ** 0.5
    for array in ours:
        assert array.shape == shape
        assert array.std() == pytest.approx(expected, rel=slack)


@pytest.mark.parametrize(("shape", "into", "out"), KERNELS, ids=str)
@pytest.mark.parametrize("layout", ["in_out", "out_in"])
def test_named_axes_make_one_orthogonal_matrix(shape, into, out, layout):
    found = init.orthogonal(shape, 0.5, layout=layout, in_axes=into, out_axes=out, rng=0)
    axes = [into] if isinstance(into, int) else list(into)
    matrix = np.moveaxis(found, axes, range(len(axes)))
    matrix = matrix.reshape(math.prod(shape[axis] for axis in axes), -1)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert np.allclose(singular, 0.5)
