"""Each framework's default has the distribution of its record, and our call has it too."""

import importlib.metadata
from pathlib import Path

import framework_layers as built
import haiku
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import stats

import initguide as init
from initguide.frameworks import DEFAULTS, LAYER_KINDS, Default, Distribution

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = ["PyTorch", *built.ARRAYS]
CUT = stats.truncnorm(-2, 2).std()


def label(default):
    return f"{default.framework}, {default.name}, {default.parameter}"


def scale(distribution, sizes):
    return eval(distribution.square, dict(sizes)) ** 0.5


def scipys(distribution, sizes):
    """Return scipy's distribution of an entry."""
    size = scale(distribution, sizes)
    return {
        "uniform": stats.uniform(-size, 2 * size),
        "normal": stats.norm(0, size),
        "truncated normal": stats.truncnorm(-2, 2, scale=size / CUT),
        "cut normal": stats.truncnorm(-2, 2, scale=size),
    }[distribution.kind]


def check_orthogonal(array, gates):
    """Check that the array, or each gate's block of it, is a uniformly drawn orthogonal matrix."""
    h, columns = array.shape
    blocks = np.split(np.asarray(array, float), 1 if gates else columns // h, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(h), atol=2e-5)
    # A coordinate of a uniform point on the sphere in n dimensions.
    n = columns if gates else h
    coordinate = stats.beta((n - 1) / 2, (n - 1) / 2, loc=-1, scale=2)
    assert stats.kstest(array.ravel(), coordinate.cdf).pvalue > 1e-4
    if gates:
        squares = np.linalg.svd(array[:, :h], compute_uv=False) ** 2
        assert squares.mean() == pytest.approx(h / columns, rel=0.1)
        assert squares.max() > 2 * squares.min()


def check(array, distribution, sizes):
    if distribution.kind == "constant":
        assert (array == float(distribution.square)).all()
    elif distribution.kind == "forget gate":
        h = sizes["h"]
        np.testing.assert_array_equal(array, np.repeat([0, float(distribution.square), 0, 0], h))
    elif distribution.kind.startswith("orthogonal"):
        check_orthogonal(array, gates=distribution.kind == "orthogonal")
    else:
        expected, values = scipys(distribution, sizes), np.ravel(array).astype(float)
        mean, variance, _, kurtosis = (float(m) for m in expected.stats("mvsk"))
        assert stats.kstest(values, expected.cdf).pvalue > 1e-4
        assert abs(values.mean() - mean) < 4 * np.sqrt(variance / values.size)
        # The relative standard error of a variance is sqrt((kurtosis - 1) / N), kurtosis in full.
        error = np.sqrt((kurtosis + 2) / values.size)
        assert values.var() == pytest.approx(variance, rel=4 * error)
        low, high = expected.support()
        assert low * (1 + 1e-6) <= values.min()
        assert values.max() <= high * (1 + 1e-6)
        if distribution.kind == "normal":
            # One entry in eighty exceeds 2.5 std, but no entry of a normal that was cut at two.
            assert abs(values).max() > 2.5 * scale(distribution, sizes)


def our_arrays(default):
    """Return the arrays that the record's call draws."""
    sizes = built.SIZES[default.layer]
    if default.framework != "PyTorch":
        return [eval(default.ours, {"init": init, "rng": np.random.default_rng(0), **sizes})]
    arrays = []
    for name in built.classes(default.name):
        layer = built.TORCH[name](**sizes)
        parameters = built.torch_parameters(layer, default.parameter)
        with torch.no_grad():
            for parameter in parameters:
                parameter.fill_(torch.nan)
        torch.manual_seed(1)
        eval(default.ours, {"init": init, "layer": layer, **sizes})
        arrays += [parameter.detach().numpy() for parameter in parameters]
    return arrays


@pytest.mark.parametrize("default", DEFAULTS, ids=label)
def test_the_framework_draws_the_recorded_distribution(default):
    arrays = built.their_arrays(default)
    for array in arrays:
        check(array, default.distribution, built.SIZES[default.layer])
    # Query, key and value are three draws; two classes may agree in every bit.
    if default.distribution.kind not in ("constant", "forget gate"):
        draws = len({array.tobytes() for array in arrays})
        assert draws * len(built.classes(default.name)) >= len(arrays)


@pytest.mark.parametrize("default", DEFAULTS, ids=label)
def test_our_call_draws_the_recorded_distribution(default):
    theirs = built.their_arrays(default)
    for array in our_arrays(default):
        check(array, default.distribution, built.SIZES[default.layer])
        assert array.shape in {their.shape for their in theirs}


def test_every_layer_and_parameter_has_a_record():
    recorded = {(default.framework, default.layer) for default in DEFAULTS}
    expected = {(framework, layer) for framework in FRAMEWORKS for layer in LAYER_KINDS}
    assert expected - recorded == {("Haiku", "Attention")}
    assert recorded <= expected
    names = {(d.framework, name) for d in DEFAULTS for name in built.classes(d.name)}
    assert names == {(f, name) for f, layers in built.ARRAYS.items() for name in layers} | {
        ("PyTorch", name) for name in built.TORCH
    }
    for framework in built.ARRAYS:
        for default in (d for d in DEFAULTS if d.framework == framework):
            for name in built.classes(default.name):
                stated = {
                    d.parameter
                    for d in DEFAULTS
                    if (d.framework, d.name) == (framework, default.name)
                }
                assert stated == built.initial_arrays(framework, name, default.layer).keys()


def test_the_attention_of_haiku_has_no_default():
    attention = haiku.transform(lambda x: haiku.MultiHeadAttention(2, 4)(x, x, x))
    with pytest.raises(ValueError, match="provide a weight initializer"):
        attention.init(jax.random.key(0), jnp.ones((1, 3, 8)))


def test_the_lstm_of_haiku_adds_one_to_its_forget_gate():
    h = 4

    def step(x):
        lstm = haiku.LSTM(h)
        state = haiku.LSTMState(jnp.zeros((1, h)), jnp.ones((1, h)))
        return lstm(x, state)[1].cell

    cell = haiku.transform(step)
    zeros = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), jnp.zeros((1, 3))))
    kept = cell.apply(zeros, None, jnp.zeros((1, 3)))
    np.testing.assert_allclose(kept, 1 / (1 + np.exp(-1)), rtol=1e-6)


def test_distributions_print_their_formulas():
    assert str(Distribution("uniform", "1 / (c * k**2)")) == "U(±1/√(ck²))"
    assert str(Distribution("uniform", "6 / (c + o)")) == "U(±√(6/(c+o)))"
    assert str(Distribution("uniform", "0.0025")) == "U(±0.05)"
    assert str(Distribution("uniform", "1 / k**2")) == "U(±1/k)"
    assert str(Distribution("cut normal", "1 / c")) == "cN(0, 1/c)"
    assert str(Distribution("constant", "0")) == "0"


WRONG = {
    "the fan": Default(
        "PyTorch", "Dense", "nn.Linear", "weight", Distribution("uniform", "1 / o"), ""
    ),
    "the mean of the fans": Default(
        *("Keras", "Dense", "Dense", "kernel", Distribution("uniform", "3 / c"), "")
    ),
    "the cut": Default(
        "Haiku", "Dense", "Linear", "w", Distribution("truncated normal", "1 / c"), ""
    ),
    "the shape": Default(
        "Flax nnx", "Dense", "nnx.Linear", "kernel", Distribution("normal", "1 / c"), ""
    ),
    "the gates": Default(
        "Keras", "GRU", "GRU", "recurrent_kernel", Distribution("orthogonal gates"), ""
    ),
    "the scale, by two percent": Default(
        *("Keras", "LSTM", "LSTM", "kernel", Distribution("uniform", "1.04 * 6 / (c + 4 * h)"), "")
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_record_fails(wrong):
    with pytest.raises(AssertionError):
        test_the_framework_draws_the_recorded_distribution(wrong)


@pytest.mark.parametrize("name", ["torch", "keras", "flax", "equinox", "dm-haiku", "jax"])
def test_the_installed_frameworks_have_the_pinned_versions(name):
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    installed = importlib.metadata.version(name).partition("+")[0]
    assert f"{name}=={installed}" in pinned
