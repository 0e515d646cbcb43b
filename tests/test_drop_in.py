"""Code written for `torch.nn.init` runs unchanged: the same names, values, warnings, layers."""

import inspect
import math
import types
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

import initguide as init

# The names that torch deprecates are our NumPy functions.
NAMES = [name for name in nn.init.__all__ if name.endswith("_") or name == "calculate_gain"]
OPTIONS = {
    "constant_": {"val": -2.5},
    "sparse_": {"sparsity": 0.3},
    "dirac_": {"groups": 2},
    "trunc_normal_": {"a": -1.0},
    "kaiming_normal_": {"mode": "fan_out", "nonlinearity": "tanh"},
}
# These have the same distribution by another algorithm.
OTHER_VALUES = {"orthogonal_", "trunc_normal_"}
FILLS = [name for name in NAMES if name not in (*OTHER_VALUES, "calculate_gain")]
DIMENSIONS = {"eye_": [2], "sparse_": [2], "dirac_": [3, 4, 5]}


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_torchs_signature(name):
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (init, nn.init))
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
    assert [p.kind for p in ours.values()] == [p.kind for p in theirs.values()]


def filled(module, name, tensor, seed=0):
    """Fill a tensor by the global generator, which is all that some of torch's functions use."""
    torch.manual_seed(seed)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return getattr(module, name)(tensor, **OPTIONS.get(name, {}))


@st.composite
def tensors(draw, name):
    """Tensors of any float dtype that keeps torch's values; some views, some Parameters."""
    dimensions = draw(st.sampled_from(DIMENSIONS.get(name, [2, 3, 4])))
    # Beyond 16 elements torch draws normals in blocks, another path.
    shape = draw(st.lists(st.integers(1, 9), min_size=dimensions, max_size=dimensions))
    shape[0] *= 2
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    kind = draw(st.sampled_from(["plain", "transposed", "strided", "parameter"]))

    def build():
        if kind == "transposed":
            return torch.full(shape[::-1], math.nan, dtype=dtype).permute(*range(dimensions)[::-1])
        if kind == "strided":
            return torch.full([2 * size for size in shape], math.nan, dtype=dtype)[
                tuple(slice(None, None, 2) for _ in shape)
            ]
        whole = torch.full(shape, math.nan, dtype=dtype)
        return nn.Parameter(whole) if kind == "parameter" else whole

    return build


@pytest.mark.parametrize("name", FILLS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_values_are_torchs_for_any_tensor(name, data):
    build = data.draw(tensors(name))
    ours, theirs = filled(init, name, build()), filled(nn.init, name, build())
    assert torch.equal(ours, theirs)
    assert ours.requires_grad == theirs.requires_grad
    assert ours.is_leaf == theirs.is_leaf
    assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("name", NAMES[1:])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_dtype_keeps_dtype_and_is_finite(name, data):
    dtype = data.draw(st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
    dimensions = data.draw(st.sampled_from(DIMENSIONS.get(name, [2, 4])))
    shape = [2 * data.draw(st.integers(1, 6)) for _ in range(dimensions)]
    tensor = torch.full(shape, math.nan, dtype=dtype)
    assert filled(init, name, tensor) is tensor
    assert tensor.dtype == dtype
    assert tensor.isfinite().all()


COMPLEX = ["constant_", "ones_", "zeros_", "normal_", "xavier_normal_", "kaiming_normal_"]


@pytest.mark.parametrize("name", [*COMPLEX, "eye_", "sparse_"])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_values_are_torchs(name, dtype):
    ours, theirs = (filled(m, name, torch.empty(30, 20, dtype=dtype)) for m in (init, nn.init))
    assert torch.equal(ours, theirs)


def test_complex_orthogonal_is_unitary():
    weight = init.orthogonal_(torch.empty(7, 5, dtype=torch.complex128))
    torch.testing.assert_close(weight.mH @ weight, torch.eye(5, dtype=torch.complex128))


@pytest.mark.parametrize("name", ["uniform_", "xavier_uniform_", "kaiming_uniform_"])
def test_a_distribution_without_a_complex_form_is_an_error(name):
    tensor = torch.full((3, 3), 7, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"must be real: .* got torch\.complex64"):
        getattr(init, name)(tensor)
    assert (tensor == 7).all()


@pytest.mark.parametrize("name", ["zeros_", "ones_", "eye_", "constant_"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
def test_constants_fill_integers_and_booleans(name, dtype):
    options = {"val": True} if name == "constant_" else {}
    results = [getattr(m, name)(torch.empty(3, 4).to(dtype), **options) for m in (init, nn.init)]
    assert torch.equal(*results)


@pytest.mark.parametrize("val", [math.inf, -math.inf, math.nan, 3, np.float32(0.5), True])
def test_constants_may_be_what_torchs_may(val):
    ours, theirs = (m.constant_(torch.empty(3), val) for m in (init, nn.init))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    assert np.array_equal(init.constant((3,), val), ours.numpy(), equal_nan=True)


@pytest.mark.parametrize("number", [torch.tensor(0.25), np.float64(0.25), np.array(0.25)])
def test_numbers_may_come_from_a_computation(number):
    weight = init.normal_(torch.empty(5, 4), std=number, generator=torch.manual_seed(0))
    expected = init.normal_(torch.empty(5, 4), std=0.25, generator=torch.manual_seed(0))
    assert torch.equal(weight, expected)
    assert (init.normal((3,), std=number, rng=0) == init.normal((3,), std=0.25, rng=0)).all()


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_a_sparse_tensor_becomes_zero_as_in_torch(layout):
    ours, theirs = (torch.eye(4).to_sparse(layout=layout) for _ in range(2))
    assert init.zeros_(ours) is ours
    nn.init.zeros_(theirs)
    assert torch.equal(ours.to_dense(), theirs.to_dense())
    assert not ours.to_dense().any()


def test_sparse_uses_the_generator_that_torchs_ignores():
    def draw(module):
        generator = torch.Generator().manual_seed(0)
        return module.sparse_(torch.empty(50, 20), 0.5, generator=generator)

    torch.manual_seed(0)
    assert torch.equal(draw(init), draw(init))
    assert not torch.equal(draw(nn.init), draw(nn.init))


class Logged(torch.Tensor):
    """A subclass with its own `__torch_function__`, as sharded tensors have. It logs the calls."""

    calls: list = []  # noqa: RUF012 - the test reads one log for all instances

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


@pytest.mark.parametrize("name", ["uniform_", "normal_", "constant_", "kaiming_uniform_"])
def test_a_subclass_overrides_the_functions_that_it_overrides_in_torch(name):
    Logged.calls.clear()
    tensor = torch.full((4, 3), math.nan).as_subclass(Logged)
    getattr(init, name)(tensor, **OPTIONS.get(name, {}))
    assert Logged.calls[0] is getattr(nn.init, name)
    assert torch.Tensor(tensor).isfinite().all()


@pytest.mark.parametrize("name", [name for name in NAMES[1:] if name != "dirac_"])
def test_a_plain_subclass_is_filled(name):
    class Plain(torch.Tensor):
        pass

    tensor = torch.full((4, 3), math.nan).as_subclass(Plain)
    assert filled(init, name, tensor) is tensor
    assert tensor.isfinite().all()
    if name not in OTHER_VALUES:
        assert torch.equal(torch.Tensor(tensor), filled(nn.init, name, torch.empty(4, 3)))


LAYERS = {
    "linear": lambda: nn.Linear(5, 7),
    "bilinear": lambda: nn.Bilinear(3, 4, 5),
    "conv": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "transposed": lambda: nn.ConvTranspose1d(4, 6, 3, stride=2),
    "embedding": lambda: nn.Embedding(9, 4, padding_idx=2),
    "lstm": lambda: nn.LSTM(3, 4, num_layers=2, proj_size=2),
    "cell": lambda: nn.GRUCell(3, 4),
    "norm": lambda: nn.BatchNorm2d(3),
    "attention": lambda: nn.MultiheadAttention(8, 2, kdim=3),
    "transformer": lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_torchs_own_layers_can_be_built_with_it(layer, monkeypatch):
    torch.manual_seed(0)
    expected = LAYERS[layer]().state_dict()
    swapped = 0
    for module in vars(nn.modules).values():
        for key, value in list(vars(module).items() if inspect.ismodule(module) else ()):
            if value is nn.init:
                monkeypatch.setattr(module, key, init)
                swapped += 1
            elif isinstance(value, types.FunctionType) and value.__module__ == nn.init.__name__:
                monkeypatch.setattr(module, key, getattr(init, key))
                swapped += 1
    assert swapped > 8
    torch.manual_seed(0)
    built = LAYERS[layer]().state_dict()
    assert all(torch.equal(built[name], value) for name, value in expected.items())


@pytest.mark.parametrize("name", NAMES[1:])
def test_meta_tensors_and_the_random_state_stay(name):
    dimensions = DIMENSIONS.get(name, [2])[0]
    before = torch.get_rng_state()
    tensor = torch.empty(*(4,) * dimensions, device="meta")
    assert getattr(init, name)(tensor, **OPTIONS.get(name, {})) is tensor
    assert torch.equal(torch.get_rng_state(), before)


def test_half_precision_uniform_is_not_biased_as_torchs_is():
    def bias(module):
        generator = torch.Generator().manual_seed(0)
        tensor = torch.empty(2**22, dtype=torch.bfloat16)
        values = module.uniform_(tensor, -1, 1, generator=generator).double()
        return values.mean().item() / (values.std().item() / 2**11)

    assert abs(bias(init)) < 4
    assert bias(nn.init) < -4


def test_the_numpy_names_point_to_their_twins():
    with pytest.raises(TypeError, match="names end in an underscore"):
        init.normal(torch.empty(3))
