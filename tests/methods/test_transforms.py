"""Fake tensors, vmap, compiled and scripted functions, float8, and tensors that share entries."""

import warnings

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import initguide as init

# Sizes for each algorithm: small, tall, wide, and so large that panels are used.
RANDOM = [
    *((init.orthogonal_, {}, shape) for shape in [(20, 30), (90, 70), (9000, 30), (390, 410)]),
    (init.orthogonal_, {"gain": -0.5}, (64, 32, 3, 3)),
    (init.delta_orthogonal_, {}, (30, 20, 3)),
    (init.delta_orthogonal_, {}, (390, 400, 1, 3)),
    (init.sparse_, {"sparsity": 0.3}, (70, 80)),
    (init.sparse_, {"sparsity": 0.9}, (300, 10)),
    (init.sparse_incoming_, {"connections": 3}, (70, 80)),
    (init.icnr_, {}, (16, 8, 3, 3)),
    (init.normal_, {"std": 0.02}, (300, 256)),
    (init.xavier_uniform_, {}, (300, 256)),
    (init.truncated_normal_, {}, (64, 32)),
]
# If nothing can be drawn again, another algorithm draws from the same distribution.
CUT = [
    (init.trunc_normal_, {"std": 0.02}, (300, 256)),
    (init.trunc_normal_, {"a": 0.0, "b": 9.0}, (90, 70)),
    (init.truncated_normal_, {"cut": 4.0}, (300, 256)),
]


def named(cases):
    ids = [f"{fill_.__name__}{shape}{list(o.values())}" for fill_, o, shape in cases]
    return pytest.mark.parametrize(("fill_", "options", "shape"), cases, ids=ids)


@named([*RANDOM, *CUT, (init.eye_, {}, (9, 7)), (init.dirac_, {}, (8, 4, 3))])
def test_a_fake_tensor_is_filled_with_nothing(fill_, options, shape):
    with FakeTensorMode():
        tensor = torch.empty(shape)
        assert fill_(tensor, **options) is tensor


slow_fallback = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")


@slow_fallback
@named([*RANDOM, *CUT])
def test_vmap_draws_for_each_or_once_for_all(fill_, options, shape):
    def fill(tensor):
        return fill_(tensor.clone(), **options)

    different = torch.func.vmap(fill, randomness="different")(torch.zeros(2, *shape))
    assert not torch.equal(*different)
    same = torch.func.vmap(fill, randomness="same")(torch.zeros(2, *shape))
    assert torch.equal(*same)
    assert same.std().item() == pytest.approx(different.std().item(), rel=0.2)


@slow_fallback
def test_vmap_draws_orthogonal_matrices():
    fill = torch.func.vmap(lambda t: init.orthogonal_(t.clone()), randomness="different")
    for q in fill(torch.zeros(3, 500, 400)):
        assert torch.allclose(q.T @ q, torch.eye(400), atol=1e-5)


def test_eye_works_under_vmap():
    eyes = torch.func.vmap(lambda t: init.eye_(t.clone()))(torch.zeros(3, 5, 4))
    assert torch.equal(eyes, torch.eye(5, 4).expand(3, 5, 4))


def compiled(fill_, options, shape):
    torch.compiler.reset()
    torch.manual_seed(3)
    function = torch.compile(lambda t: fill_(t, **options), fullgraph=True, backend="eager")
    return function(torch.empty(shape))


@named(RANDOM)
def test_a_compiled_function_draws_the_same_values(fill_, options, shape):
    found = compiled(fill_, options, shape)
    torch.manual_seed(3)
    assert torch.equal(found, fill_(torch.empty(shape), **options))


@named(CUT)
def test_a_compiled_cut_has_the_same_moments(fill_, options, shape):
    found = compiled(fill_, options, shape)
    expected = fill_(torch.empty(1000, 1000), **options)
    error = expected.std().item() / found.numel() ** 0.5
    assert found.mean().item() == pytest.approx(expected.mean().item(), abs=5 * error)
    assert found.std().item() == pytest.approx(expected.std().item(), abs=5 * error)
    assert expected.min() - error * 500 < found.min() <= found.max() < expected.max() + error * 500


SCRIPTED = [
    (init.normal_, (0.5, 2.0)),
    (init.uniform_, (-1.0, 1.0)),
    (init.xavier_normal_, (2.0,)),
    (init.xavier_uniform_, (0.5,)),
    (init.constant_, (0.5,)),
    (init.zeros_, ()),
    (init.ones_, ()),
]


def in_a_script(tensor: torch.Tensor):
    return init.xavier_uniform_(init.normal_(tensor))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(("fill_", "arguments"), SCRIPTED)
def test_a_scripted_function_draws_the_same_values(fill_, arguments):
    scripted = torch.jit.script(fill_)
    for shape in [(5, 7), (300, 256)]:
        torch.manual_seed(3)
        found = scripted(torch.empty(shape), *arguments)
        torch.manual_seed(3)
        assert torch.equal(found, fill_(torch.empty(shape), *arguments))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_script_may_call_them():
    torch.manual_seed(3)
    found = torch.jit.script(in_a_script)(torch.empty(30, 40))
    torch.manual_seed(3)
    assert torch.equal(found, in_a_script(torch.empty(30, 40)))


FLOAT8 = [
    *(torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
]
ROUNDED = [
    *((init.normal_, {}, shape) for shape in [(300, 256), (7,)]),
    (init.uniform_, {"a": -0.5, "b": 0.5}, (300, 256)),
    (init.xavier_normal_, {}, (64, 32, 3, 3)),
    (init.kaiming_normal_, {"nonlinearity": "gelu"}, (256, 300)),
    (init.orthogonal_, {}, (300, 256)),
    (init.delta_orthogonal_, {}, (30, 20, 3)),
    (init.sparse_, {"sparsity": 0.5, "std": 1.0}, (300, 256)),
    (init.identity_, {"gain": 0.5}, (30, 20, 3)),
    (init.eye_, {}, (30, 20)),
]


@pytest.mark.parametrize("dtype", FLOAT8, ids=str)
@named(ROUNDED)
def test_float8_holds_the_values_of_float32_rounded(dtype, fill_, options, shape):
    torch.manual_seed(5)
    found = fill_(torch.zeros(shape, dtype=dtype), **options)
    torch.manual_seed(5)
    assert torch.equal(found.float(), fill_(torch.zeros(shape), **options).to(dtype).float())


@pytest.mark.parametrize("dtype", FLOAT8, ids=str)
def test_float8_stays_within_the_bounds(dtype):
    for fill_ in (init.uniform_, init.trunc_normal_):
        found = fill_(torch.zeros(300, 256, dtype=dtype), a=-0.11, b=0.3).float()
        assert found.min() >= -0.11
        assert found.max() <= 0.3
    found = init.kaiming_uniform_(torch.zeros(300, 256, dtype=dtype)).float()
    assert found.abs().max() <= (6 / 256) ** 0.5


@pytest.mark.parametrize("dtype", FLOAT8, ids=str)
def test_float8_keeps_a_few_connections(dtype):
    found = init.sparse_incoming_(torch.zeros(300, 256, dtype=dtype), 15).float()
    assert ((found != 0).sum(1) >= 13).all()
    assert ((found != 0).sum(1) <= 15).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_default_dtype_has_no_say(dtype):
    draws = []
    for default in (torch.float32, torch.float64, torch.bfloat16):
        before = torch.get_default_dtype()
        torch.set_default_dtype(default)
        try:
            for fill_ in (init.sparse_incoming_, init.orthogonal_, init.trunc_normal_):
                torch.manual_seed(0)
                draws.append(fill_(torch.zeros(64, 48, dtype=dtype)))
        finally:
            torch.set_default_dtype(before)
    for other in (3, 6):
        assert all(torch.equal(a, b) for a, b in zip(draws, draws[other : other + 3], strict=False))


WRITERS = [
    *((fill_, {}) for fill_ in (init.normal_, init.uniform_, init.trunc_normal_)),
    *((fill_, {}) for fill_ in (init.kaiming_uniform_, init.xavier_normal_, init.orthogonal_)),
    *((fill_, {}) for fill_ in (init.sparse_incoming_, init.eye_, init.identity_)),
    (init.sparse_, {"sparsity": 0.5}),
    (init.variance_scaling_, {}),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e5m2], ids=str)
@pytest.mark.parametrize(("fill_", "options"), WRITERS, ids=lambda x: getattr(x, "__name__", ""))
def test_an_expanded_tensor_is_refused_before_anything_is_drawn(dtype, fill_, options):
    for base, shape in [((1, 40), (300, 40)), ((256, 1), (256, 300))]:
        tensor = torch.zeros(base, dtype=dtype).expand(shape)
        before = torch.get_rng_state()
        with pytest.raises(RuntimeError, match=r"memory for each entry; got an expanded"):
            fill_(tensor, **options)
        assert torch.equal(torch.get_rng_state(), before)
        assert not tensor.float().any()


@pytest.mark.parametrize("dtype", [torch.float8_e8m0fnu, torch.float4_e2m1fn_x2], ids=str)
def test_a_dtype_without_zero_or_sign_is_refused(dtype):
    tensor = torch.zeros(20, 20, dtype=torch.uint8).view(dtype)
    before = torch.get_rng_state()
    for fill_ in (init.normal_, init.kaiming_uniform_, init.orthogonal_, init.trunc_normal_):
        with pytest.raises(TypeError, match=r"holds 0 and numbers of either sign; got torch"):
            fill_(tensor)
    assert torch.equal(torch.get_rng_state(), before)
    assert not tensor.view(torch.uint8).any()


@pytest.mark.parametrize("shape", [(4, 4, 0), (300, 256, 3, 0), (0, 4, 3), (6, 0, 1)], ids=str)
def test_an_empty_kernel_is_left_alone(shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fill_ in (init.dirac_, init.identity_, init.delta_orthogonal_, init.orthogonal_):
            assert fill_(torch.empty(shape)).shape == shape
