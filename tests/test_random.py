"""Laws: Haar moments, scipy's distributions, and what half precision must not spoil."""

import functools
import math

import numpy as np
import pytest
import torch
from scipy import stats

import initguide as init
from initguide.haar import by_panels, by_qr, by_reflectors, haar_
from initguide.random import normal_sampler

SHAPES = [
    (5, 5),
    (400, 30),
    (30, 400),
    (500, 500),
    (900, 420),
    (390, 800),
    (60, 20, 3, 3),
    (9000, 30),
    (7, 1),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13), (torch.bfloat16, 0.05)]
)
def test_orthogonal_is_orthonormal(shape, dtype, tolerance):
    weight = init.orthogonal_(torch.empty(shape, dtype=dtype)).double()
    weight = weight.flatten(1)
    gram = weight @ weight.T if len(weight) < weight.shape[1] else weight.T @ weight
    assert (gram - torch.eye(len(gram))).abs().max() < tolerance


# Panels of one column, of some and a rest, and of more than there are.
ALGORITHMS = {
    "qr": by_qr,
    "reflectors": by_reflectors,
    **{f"panels of {n}": functools.partial(by_panels, width=n) for n in (1, 3, 9)},
}
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)


def haar_draws(draws, rows, columns, algorithm, dtype=torch.float64):
    """Draw many matrices by one algorithm."""
    generator = torch.Generator().manual_seed(0)
    q = torch.empty(draws, rows, columns, dtype=dtype)
    for one in q:
        haar_(one, lambda out: out.normal_(generator=generator), algorithm=algorithm)
    return q.numpy()


def assert_mean(values, expected):
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - expected) < 4 * error


@algorithms
@pytest.mark.parametrize("shape", [(4, 4), (6, 4), (4, 6)], ids=str)
def test_haar_moments(algorithm, shape):
    """E tr Q = 0, E (tr Q)^2 = 1, E (tr Q)^4 = 3, E det = 0 (Diaconis, Shahshahani 1994).

    QR without the signs folded in has E tr Q = -1.3 and det Q = ±1 always the same.
    """
    q = haar_draws(2000, *shape, algorithm)
    size = max(shape)
    for row, column in [(0, 0), (1, 2), (3, 3), (-1, 0), (0, -1)]:
        entry = q[:, row, column]
        assert_mean(entry, 0)
        assert_mean(entry**2, 1 / size)
        assert_mean(entry**4, 3 / (size * (size + 2)))
    assert_mean(q[:, 0, 0] * q[:, 3, 3], 0)
    assert_mean((q[:, 0, 0] * q[:, 3, 3]) ** 2, (size + 1) / (size * (size + 2) * (size - 1)))
    if shape == (4, 4):
        trace = np.trace(q, axis1=1, axis2=2)
        for values, expected in [(trace, 0), (trace**2, 1), (trace**4, 3), (np.linalg.det(q), 0)]:
            assert_mean(values, expected)


@algorithms
def test_eigenvalue_angles(algorithm):
    """For 2 x 2 with det 1, Q is a rotation by a uniform angle; the angle follows from q00, q10."""
    q = haar_draws(3000, 2, 2, algorithm)
    angles = np.arctan2(q[:, 1, 0], q[:, 0, 0])
    for sign in (-1, 1):
        chosen = angles[np.linalg.det(q) * sign > 0]
        assert abs(len(chosen) - 1500) < 4 * np.sqrt(3000) / 2
        assert stats.kstest(chosen, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-4


@pytest.mark.parametrize("algorithm", list(ALGORITHMS.values())[1:], ids=list(ALGORITHMS)[1:])
def test_unitary_moments(algorithm):
    """E tr U = 0, E |tr U|^2 = 1, E |tr U|^4 = 2; the phase of each entry is uniform."""
    q = haar_draws(1500, 4, 4, algorithm, torch.complex128)
    np.testing.assert_allclose(q[0].conj().T @ q[0], np.eye(4), atol=1e-12)
    trace = np.trace(q, axis1=1, axis2=2)
    for values, expected in [
        (trace.real, 0),
        (trace.imag, 0),
        (abs(trace) ** 2, 1),
        (abs(trace) ** 4, 2),
    ]:
        assert_mean(values, expected)
    for entry in (q[:, 0, 0], q[:, 3, 3], q[:, 0, 3], q[:, 3, 0]):
        law = stats.uniform(-math.pi, 2 * math.pi)
        assert stats.kstest(np.angle(entry), law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(300, 300), (130, 600)], ids=str)
def test_several_panels_are_haar_too(shape):
    """Each entry of Q is that of a unit vector: q^2 ~ Beta(1/2, (n - 1) / 2)."""
    q = haar_draws(1, *shape, functools.partial(by_panels, width=64))[0]
    for entries in (q[0], q[-1], *([q[:, 0], q[:, 200]] if shape == (300, 300) else [])):
        law = stats.beta(0.5, (len(entries) - 1) / 2)
        assert stats.kstest(entries**2, law.cdf).pvalue > 1e-4
        assert abs(np.sign(entries).sum()) < 4 * np.sqrt(len(entries))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("shape", [(40, 40), (50, 40), (40, 50)], ids=str)
def test_the_same_vectors_give_the_same_matrix(shape, dtype):
    """LAPACK and panels multiply the reflectors that a loop over matrices multiplies."""
    rows, columns = max(shape), min(shape)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(columns, rows, dtype=dtype, generator=generator)

    def draw(algorithm):
        left = list(x)

        def normal_(out):
            """Fill the last columns not yet used: each from its diagonal on."""
            block = [left.pop() for _ in range(len(out))][::-1]
            out.copy_(torch.stack([column[-out.shape[1] :] for column in block]))

        return haar_(torch.empty(shape, dtype=dtype), normal_, -2.0, algorithm)

    # One reflector after the other, in matrices.
    q = torch.eye(rows, columns, dtype=dtype)
    for j in reversed(range(columns)):
        v = x[j].clone()
        v[:j] = 0
        length = v.norm() * v[j].sgn()
        v[j] += length
        q[:, j] *= 2 * length.sgn()
        q -= 2 * torch.outer(v, v.conj() @ q) / v.norm() ** 2
    for name, algorithm in ALGORITHMS.items():
        if name != "qr":
            torch.testing.assert_close(
                draw(algorithm), q if len(q) == shape[0] > shape[1] else q.mT
            )


@algorithms
def test_a_normal_of_exactly_zero_has_a_sign(algorithm):
    generator = torch.Generator().manual_seed(0)

    def normal_(out):
        out.normal_(generator=generator).diagonal().zero_()
        out[-1, -1] = 0

    q = haar_(torch.empty(5, 5), normal_, algorithm=algorithm)
    torch.testing.assert_close(q.T @ q, torch.eye(5))


@pytest.mark.parametrize("gain", [0.0, 1.5, -2.0])
@pytest.mark.parametrize("shape", [(5, 5), (80, 100), (2000, 100)], ids=str)
def test_gain_is_a_factor(gain, shape):
    one, other = (
        init.orthogonal_(torch.empty(shape), g, torch.Generator().manual_seed(0))
        for g in (1.0, gain)
    )
    torch.testing.assert_close(other, gain * one)


@pytest.mark.parametrize("shape", [(8, 6, 3, 3), (70, 9, 3, 3), (400, 50, 3, 3)], ids=str)
def test_orthogonal_in_any_memory(shape):
    """The values are those of a contiguous tensor; what lies between is left alone."""
    expected = init.orthogonal_(torch.empty(shape), generator=torch.Generator().manual_seed(0))
    memory = torch.full((*shape[:-1], 2 * shape[-1]), 7.0)
    for tensor in (
        torch.empty(shape).to(memory_format=torch.channels_last),
        torch.empty(shape[::-1]).permute(3, 2, 1, 0),
        memory[..., ::2],
    ):
        init.orthogonal_(tensor, generator=torch.Generator().manual_seed(0))
        assert torch.equal(tensor, expected)
    assert (memory[..., 1::2] == 7).all()


def test_complex_orthogonal_is_unitary():
    weight = init.orthogonal_(torch.empty(6, 4, dtype=torch.complex128))
    torch.testing.assert_close(weight.mH @ weight, torch.eye(4, dtype=torch.complex128))


@pytest.mark.parametrize("size", [20, 100, 400])
def test_orthogonal_keeps_precision_under_autocast(size):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weight = init.orthogonal_(torch.empty(size, size))
    assert (weight.double().T @ weight.double() - torch.eye(size)).abs().max() < 1e-5


INF = math.inf
# mean, std, a, b: usual, wide, beside the mean, narrow, in a tail, far out, open.
CUTS = [
    (0, 0.02, -0.04, 0.04),
    (0, 0.02, -2, 2),
    (0, 1, -3, 3),
    (0, 1, -1, 9),
    (2, 1, -9, 0.5),
    (0, 1, 0, 2),
    (0, 1, 2, 3),
    (0, 1, 2.9, 3),
    (0, 1, -0.001, 0.002),
    (3, 2, -3.5, -3.4),
    (0, 1, 6, 7),
    (-5, 1, 0, INF),
    (0, 0.1, -INF, -0.5),
    (0, 1, -INF, 1),
    (0, 1, 0, INF),
    (1, 2, -INF, INF),
    (0, 1, 40, 41),
    (0, 1, -INF, -60),
]


def law_of(mean, std, a, b):
    return stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_truncated_normal_law(cut):
    _, _, a, b = cut
    law = law_of(*cut)
    generator = torch.Generator().manual_seed(0)
    for values in (
        init.trunc_normal_(torch.empty(1_000_000), *cut, generator=generator).double().numpy(),
        init.trunc_normal((100_000,), *cut, rng=0),
        init.trunc_normal((100_000,), *cut, dtype=np.float32, rng=0).astype(float),
    ):
        assert values.min() >= a
        assert values.max() <= b
        # Nothing is heaped up at a bound.
        assert ((values == a) | (values == b)).mean() < 1e-3
        assert stats.kstest(values, law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("cut", CUTS[:3], ids=str)
def test_truncated_normal_has_its_ends(cut):
    """The last thousandth at each end, where float32 is coarsest, is as full as it should be."""
    law, count = law_of(*cut), 1_000_000
    values = init.trunc_normal_(
        torch.empty(count), *cut, generator=torch.Generator().manual_seed(1)
    ).numpy()
    for share in ((values < law.ppf(1e-3)).mean(), (values > law.isf(1e-3)).mean()):
        assert abs(share - 1e-3) < 4 * math.sqrt(1e-3 / count)


@pytest.mark.parametrize(
    ("cut", "count", "above"),
    [((0, 1, -6, 6), 1_000_000, 3.5), ((-2.9, 1, 0, 0.1), 2000, 0)],
    ids=str,
)
def test_truncated_normal_keeps_its_digits(cut, count, above):
    """The inverse of the distribution function has few values left out there: they would repeat."""
    values = init.trunc_normal_(
        torch.empty(count), *cut, generator=torch.Generator().manual_seed(0)
    )
    chosen = values[values > above]
    assert len(chosen) > 200
    assert len(chosen.unique()) >= len(chosen) - 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cut", [(0, 1, -2, 2), (0, 1, -4, 4), (0, 1, 1, INF)], ids=str)
def test_chunks_are_independent(cut, dtype):
    """More elements than are drawn at once: all are filled, and none is drawn twice."""
    values = init.trunc_normal_(
        torch.full((300, 701), math.nan, dtype=dtype),
        *cut,
        generator=torch.Generator().manual_seed(0),
    ).flatten()
    assert values.isfinite().all()
    chunks = values[: 3 * 2**16].double().view(3, -1)
    assert (chunks.corrcoef() - torch.eye(3)).abs().max() < 5 / 2**8


def test_truncated_normal_in_any_memory():
    memory = torch.full((40, 60), 7.0)
    expected = init.trunc_normal_(torch.empty(40, 30), generator=torch.Generator().manual_seed(0))
    tensor = memory[:, ::2]
    init.trunc_normal_(tensor, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tensor, expected)
    assert (memory[:, 1::2] == 7).all()


def test_truncated_normal_of_one_value_and_of_none():
    assert (init.trunc_normal_(torch.empty(5), a=0.25, b=0.25) == 0.25).all()
    assert (init.trunc_normal((5,), a=0.25, b=0.25) == 0.25).all()
    for options, message in [
        ({"a": 1.0, "b": 0.0}, "a must be at most b; got a=1.0 and b=0.0"),
        ({"a": math.nan}, "a must be finite; got nan"),
        ({"b": math.nan}, "b must be finite; got nan"),
        ({"a": INF, "b": INF}, "a must be finite; got inf"),
        ({"b": -INF}, "b must be finite; got -inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            init.trunc_normal_(torch.empty(5), **options)
        with pytest.raises(ValueError, match=message):
            init.trunc_normal((5,), **options)
    with pytest.raises(TypeError, match=r"tensor must be real.*; got torch\.complex64"):
        init.trunc_normal_(torch.empty(5, dtype=torch.complex64))


@pytest.mark.parametrize("count", [1, 2**13 - 1, 2**13 + 1, 2**16 + 1, 1_000_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_normals_of_numpy(count, dtype):
    values = torch.full((count,), math.nan, dtype=dtype)
    normal_sampler(np.random.default_rng(0))(values)
    array = values.double().numpy()
    assert stats.kstest(array, stats.norm.cdf).pvalue > 1e-4
    if count == 1_000_000:
        for power, moment, spread in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)]:
            assert abs((array**power).mean() - moment) < 4 * math.sqrt(spread / count)
        # The two normals of a pair, which stand half a chunk apart, know nothing of each other.
        pairs = array[: 15 * 2**16].reshape(15, 2, -1)
        first, second = pairs[:, 0].ravel(), pairs[:, 1].ravel()
        for one, other in [(first, second), (first**2, second**2), (abs(first), second)]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(len(first))
        assert 4.4 < abs(array).max() < 6.5


def test_normals_of_numpy_reach_far_into_the_tail():
    class Zeros(np.random.Generator):
        def integers(self, *args, size, dtype):
            return np.zeros(size, dtype)

    values = torch.empty(2**14)
    normal_sampler(Zeros(np.random.PCG64()))(values)
    assert values.max() == pytest.approx(math.sqrt(2 * 33 * math.log(2)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_inside_and_unbiased(dtype):
    count, bound = 400_000, 0.1
    generator = torch.Generator().manual_seed(0)
    values = init.uniform_(torch.empty(count, dtype=dtype), -bound, bound, generator).double()
    assert values.abs().max() <= bound
    assert abs(values.mean()) < 4 * bound / 3**0.5 / count**0.5
    cut = init.trunc_normal_(torch.empty(count, dtype=dtype), 0, 0.02, -0.04, 0.04, generator)
    assert cut.double().abs().max() <= 0.04
    # Rounded to the dtype the bound would be outside: the last number inside is reached instead.
    below = torch.tensor(0.04, dtype=torch.float64).to(dtype)
    below = below if below.double() <= 0.04 else below.nextafter(torch.zeros_like(below))
    assert cut.max() == below
    assert abs(cut.double().std() / 0.02 / 0.879626 - 1) < 4 / count**0.5


def test_scaled_methods_have_the_right_std():
    """At a shape where fan_in, fan_out and their mean differ by far."""
    fan_in, fan_out = 400, 25
    expected = {
        "xavier": (2 / 425) ** 0.5,
        "lecun": (1 / 400) ** 0.5,
        "kaiming": (2 / 400) ** 0.5,
    }
    for family, std in expected.items():
        for law, spread in (("normal", stats.norm(0, std)), ("uniform", None)):
            if spread is None:
                bound = 3**0.5 * std
                spread = stats.uniform(-bound, 2 * bound)
            weight = getattr(init, f"{family}_{law}")((fan_in, fan_out), rng=0)
            assert stats.kstest(weight.ravel(), spread.cdf).pvalue > 1e-4
            tensor = torch.empty(fan_out, fan_in, dtype=torch.float64)
            generator = torch.Generator().manual_seed(0)
            getattr(init, f"{family}_{law}_")(tensor, generator=generator)
            assert stats.kstest(tensor.numpy().ravel(), spread.cdf).pvalue > 1e-4
