"""Every method keeps the contract: torch's values, the seed's say, any tensor; and its record."""

import inspect
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import initguide as init
from initguide.methods.record import method_of

ROOT = Path(__file__).parents[2]
SCALED = [method for method in init.METHODS if "fan" in method.law]
TORCHS = {name for name in nn.init.__all__ if name.endswith("_")}
CONVOLUTIONAL = {"Dirac", "Delta-orthogonal", "ICNR"}
FLAT = {"Eye", "Sparse, by input", "Sparse, by unit"}
TWINS = [
    (name, options)
    for name, choices in {
        "zeros_": [{}],
        "ones_": [{}],
        "constant_": [{"val": 0.3}],
        "normal_": [{}, {"mean": 1.0, "std": 0.02}],
        "uniform_": [{}, {"a": -0.3, "b": 0.1}],
        "xavier_normal_": [{}, {"gain": 5 / 3}],
        "xavier_uniform_": [{}, {"gain": 5 / 3}],
        "kaiming_normal_": [
            {},
            {"a": math.sqrt(5)},
            {"mode": "fan_out", "nonlinearity": "relu"},
            {"nonlinearity": "tanh"},
        ],
        "kaiming_uniform_": [{}, {"a": math.sqrt(5)}, {"mode": "fan_out", "nonlinearity": "selu"}],
    }.items()
    for options in choices
]


def shape_for(method):
    return (8, 4, 3, 3) if method.title in CONVOLUTIONAL else (6, 4)


def call(method, generator=None, **tensor_options):
    """Call a method's torch function with what it needs beyond the tensor."""
    tensor = torch.empty(shape_for(method), **tensor_options)
    return method.tensor(tensor, **needed(method), **source(method.tensor, generator=generator))


def needed(method):
    return {
        "Constant": {"val": 0.5},
        "Sparse, by input": {"sparsity": 0.5},
        "Sparse, by unit": {"connections": 2},
    }.get(method.title, {})


def source(function, **options):
    """Keep the options that the function has: a constant needs no randomness."""
    return {k: v for k, v in options.items() if k in inspect.signature(function).parameters}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(40, 30), (8, 4, 3, 3), (3, 500)], ids=str)
@pytest.mark.parametrize(("name", "options"), TWINS, ids=str)
def test_values_are_torchs_bit_for_bit(name, options, shape, dtype):
    def draw(module):
        function = getattr(module, name)
        generator = torch.Generator().manual_seed(3)
        more = source(function, generator=generator)
        return function(torch.empty(shape, dtype=dtype), **options, **more)

    assert torch.equal(draw(init), draw(nn.init))


def test_signatures_are_torchs():
    for method in init.METHODS:
        twin = getattr(nn.init, method.names[0], None)
        if twin is None:
            assert method.names[0] not in TORCHS
            continue
        ours, theirs = (
            list(inspect.signature(f).parameters.values()) for f in (method.tensor, twin)
        )
        assert [p.name for p in ours] == [p.name for p in theirs]
        assert [p.default for p in ours] == [p.default for p in theirs]


# Worked by hand from the papers, at fan_in 4, fan_out 100: their mean is 52.
STD_BY_HAND = {
    "Xavier normal": math.sqrt(2 / 104),
    "Xavier uniform": math.sqrt(6 / 104) / math.sqrt(3),
    "LeCun normal": 1 / 2,
    "LeCun uniform": math.sqrt(3 / 4) / math.sqrt(3),
    "Kaiming normal": math.sqrt(2 / 4),
    "Kaiming uniform": math.sqrt(6 / 4) / math.sqrt(3),
    "Variance scaling": math.sqrt(1 / 4),
}


@pytest.mark.parametrize("method", SCALED, ids=lambda method: method.title)
@pytest.mark.parametrize("kernel", [(), (3, 3)], ids=["dense", "kernel"])
def test_std_by_hand(method, kernel):
    """A method without a number worked by hand fails here by name."""
    std = STD_BY_HAND[method.title] / math.sqrt(math.prod(kernel))
    count = 400 * math.prod(kernel)
    draws = 200
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    for values in (
        [method.tensor(torch.empty(100, 4, *kernel), generator=generator) for _ in range(draws)],
        [method.array((*kernel, 4, 100), rng=rng) for _ in range(draws)],
        [method.array((100, 4, *kernel), layout="out_in", rng=rng) for _ in range(draws)],
    ):
        measured = np.sqrt(np.mean([np.mean(np.asarray(v, float) ** 2) for v in values]))
        # The relative standard error of an rms is at most sqrt((kurtosis - 1) / 4 N), here 3.
        assert measured == pytest.approx(std, rel=5 * math.sqrt(2 / 4 / (count * draws)))


@pytest.mark.parametrize("method", init.METHODS, ids=lambda method: method.title)
class TestContract:
    def test_the_generator_decides_and_the_global_state_stays(self, method):
        before = torch.get_rng_state()
        draws = [call(method, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(draws[0], draws[1])
        random = "generator" in inspect.signature(method.tensor).parameters
        assert torch.equal(draws[0], draws[2]) != random

    def test_without_a_generator_the_global_one_is_used(self, method):
        torch.manual_seed(5)
        first = call(method)
        torch.manual_seed(5)
        assert torch.equal(first, call(method))

    def test_the_rng_decides_and_numpys_global_state_stays(self, method):
        np.random.seed(0)  # noqa: NPY002 - the legacy global state is what must not move
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        more = [source(method.array, rng=rng) for rng in (0, np.random.default_rng(0), 1)]
        # (*kernel, in, out) from (out, in, *kernel).
        shape = shape_for(method)[::-1]
        draws = [method.array(shape, **needed(method), **options) for options in more]
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
        np.testing.assert_array_equal(draws[0], draws[1])
        assert (draws[0] != draws[2]).any() == bool(more[0])

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
    def test_dtypes(self, method, dtype):
        tensor = call(method, torch.Generator().manual_seed(0), dtype=dtype)
        assert tensor.dtype == dtype
        assert tensor.isfinite().all()

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_array_dtypes(self, method, dtype):
        array = method.array(shape_for(method)[::-1], **needed(method), dtype=dtype)
        assert array.dtype == dtype
        assert np.isfinite(array).all()

    def test_a_parameter_stays_a_leaf_and_the_tensor_is_returned(self, method):
        parameter = nn.Parameter(torch.full(shape_for(method), torch.nan))
        assert method.tensor(parameter, **needed(method)) is parameter
        assert parameter.is_leaf
        assert parameter.requires_grad
        assert parameter.isfinite().all()

    def test_meta_and_empty_tensors_are_left_alone(self, method):
        before = torch.get_rng_state()
        assert call(method, device="meta").is_meta
        assert torch.equal(torch.get_rng_state(), before)
        empty = torch.empty(0, *shape_for(method)[1:])
        if method.title.startswith("Kaiming") or method.title == "ICNR":
            with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
                method.tensor(empty)
        else:
            assert method.tensor(empty, **needed(method)) is empty

    def test_views_fill_only_themselves(self, method):
        out, into, *kernel = shape_for(method)
        whole = torch.full((2 * out, 2 * into, *kernel), 7.0)
        method.tensor(whole[::2, ::2], **needed(method))
        assert (whole[1::2] == 7).all()
        assert (whole[:, 1::2] == 7).all()
        assert (whole[::2, ::2] != 7).all()

    def test_channels_last(self, method):
        if method.title in FLAT:
            with pytest.raises(ValueError, match="must have 2 dimensions; got shape"):
                method.tensor(torch.empty(8, 4, 3, 3), **needed(method))
            return
        weight = torch.empty(8, 4, 3, 3).to(memory_format=torch.channels_last)
        method.tensor(weight, **needed(method))
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert weight.isfinite().all()

    def test_record(self, method):
        assert method.names == (method.tensor.__name__, method.array.__name__)
        for name, function in zip(method.names, (method.tensor, method.array), strict=True):
            assert getattr(init, name) is function
        assert init.PAPERS[method.paper.key] is method.paper
        page = (ROOT / "docs" / method.page).read_text(encoding="utf-8")
        family = [other.title for other in init.METHODS if other.page == method.page]
        assert any(f"<!-- generated: facts {title} -->" in page for title in family)
        assert all(name in page for name in method.names)


def test_gain_takes_what_gain_takes():
    for gain in ("relu", nn.ReLU(), torch.relu, math.sqrt(2)):
        weight = init.lecun_normal((40, 30), gain, rng=0)
        np.testing.assert_allclose(weight, init.kaiming_normal((40, 30), rng=0), rtol=1e-7)
        q = init.orthogonal((4, 4), gain, rng=0)
        np.testing.assert_allclose(q.T @ q, 2 * np.eye(4), atol=1e-7)


def test_layout_decides_the_fans():
    tall = init.lecun_normal((900, 4), rng=0)
    np.testing.assert_allclose(init.lecun_normal((900, 4), layout="out_in", rng=0), 15 * tall)


def test_orthogonal_layouts_have_orthonormal_columns_into_the_output():
    w = init.orthogonal((3, 3, 2, 30), rng=0).reshape(18, 30)
    np.testing.assert_allclose(w @ w.T, np.eye(18), atol=1e-12)
    w = init.orthogonal((30, 2, 3, 3), layout="out_in", rng=0).reshape(30, 18)
    np.testing.assert_allclose(w.T @ w, np.eye(18), atol=1e-12)


def test_papers_are_named_once():
    assert len({paper.title for paper in init.PAPERS.values()}) == len(init.PAPERS)
    assert all(key == paper.key for key, paper in init.PAPERS.items())


@pytest.mark.parametrize("name", ["kaiming_normal_", "kaiming_uniform_"])
def test_the_warning_for_an_empty_tensor_points_to_the_caller(name):
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op") as caught:
        getattr(init, name)(torch.empty(0, 3))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("name", ["xavier_normal_", "lecun_uniform_", "variance_scaling_"])
def test_bad_arguments_are_errors_for_an_empty_tensor_too(name):
    with pytest.raises(ValueError, match=r"at least 2 dimensions to have fans; got shape \(0,\)"):
        getattr(init, name)(torch.empty(0))
    with pytest.raises(ValueError, match=r"must be (positive|at least 0); got -1"):
        getattr(init, name)(torch.empty(0, 3), -1.0)


def test_a_method_is_found_by_its_functions_and_by_their_names():
    for method in init.METHODS:
        for key in (*method.names, method.tensor, method.array):
            assert method_of(key) is method, key


@pytest.mark.parametrize("other", ["fans", "kaiming", "", nn.init.normal_, init.gain, print, 3])
def test_anything_else_is_no_method(other):
    assert method_of(other) is None


def test_a_plan_loads_only_the_methods_that_it_uses():
    code = (
        "import sys, initguide as init; from torch import nn; "
        "init.initialize_(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))); "
        "init.check_initializer(init.zeros_, like='zeros_'); "
        "print(*(name for name in sys.modules if name.startswith('initguide.methods.')))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    loaded = {name.rpartition(".")[2] for name in printed.stdout.split()}
    assert {"kaiming", "lecun", "constant"} <= loaded, printed.stderr
    assert not loaded & {"registry", "icnr", "sparse", "identity", "delta_orthogonal", "xavier"}
