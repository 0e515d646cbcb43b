"""Orthogonal matrices: orthonormal, with the moments of the Haar distribution, in any memory."""

import functools
import math

import numpy as np
import pytest
import torch
from scipy import stats

import initguide as init
from initguide.haar import by_panels, by_qr, by_reflectors, haar_

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
    # The last panel has one column.
    (385, 385),
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


@pytest.mark.parametrize("gain", [1.0, -0.5])
@pytest.mark.parametrize("rows", [11, 40])
def test_every_number_of_columns_fits_every_panel(rows, gain):
    for columns in range(1, 12):
        for width in range(1, columns + 3):
            q = torch.full((rows, columns), math.nan, dtype=torch.float64)
            haar_(q, torch.Tensor.normal_, gain, functools.partial(by_panels, width=width))
            right = gain**2 * torch.eye(columns, dtype=torch.float64)
            assert (q.T @ q - right).abs().max() < 1e-12, (columns, width)


# Panels of one column, of a few columns and a narrower rest, and wider than the matrix.
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

    QR without the signs has E tr Q = -1.3, and det Q = 1 always or -1 always.
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
        phase = stats.uniform(-math.pi, 2 * math.pi)
        assert stats.kstest(np.angle(entry), phase.cdf).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(300, 300), (130, 600)], ids=str)
def test_several_panels_are_haar_too(shape):
    """Each entry of Q is that of a unit vector: q^2 ~ Beta(1/2, (n - 1) / 2)."""
    q = haar_draws(1, *shape, functools.partial(by_panels, width=64))[0]
    for entries in (q[0], q[-1], *([q[:, 0], q[:, 200]] if shape == (300, 300) else [])):
        expected = stats.beta(0.5, (len(entries) - 1) / 2)
        assert stats.kstest(entries**2, expected.cdf).pvalue > 1e-4
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
    """The values are those of a contiguous tensor, and other memory is left alone."""
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
