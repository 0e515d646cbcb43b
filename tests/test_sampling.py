"""Laws: Haar moments, scipy's distributions, and what half precision must not spoil."""

import numpy as np
import pytest
import torch
from scipy import stats

import initguide as init
from initguide import sampling

SHAPES = [(5, 5), (400, 30), (30, 400), (500, 500), (900, 420), (390, 800)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13), (torch.bfloat16, 0.05)]
)
def test_orthogonal_is_orthonormal(shape, dtype, tolerance):
    weight = init.orthogonal_(torch.empty(shape, dtype=dtype)).double()
    gram = weight @ weight.T if shape[0] < shape[1] else weight.T @ weight
    assert (gram - torch.eye(len(gram))).abs().max() < tolerance


def haar_draws(draws, size, monkeypatch, small):
    """Draw many matrices, by reflectors or by panels, through the public function."""
    monkeypatch.setattr(sampling, "_SMALL", 384 if small else 0)
    rng = np.random.default_rng(0)
    return np.stack([init.orthogonal((size, size), rng=rng) for _ in range(draws)])


@pytest.mark.parametrize("small", [True, False], ids=["reflectors", "panels"])
def test_haar_moments(small, monkeypatch):
    """E tr Q = 0, E (tr Q)^2 = 1, E (tr Q)^4 = 3, E det = 0 (Diaconis, Shahshahani 1994).

    QR without the signs folded in has E tr Q = -1.3 and det Q = ±1 always the same.
    """
    draws, size = 4000, 4
    q = haar_draws(draws, size, monkeypatch, small)
    trace = np.trace(q, axis1=1, axis2=2)
    for values, expected in [
        (trace, 0),
        (trace**2, 1),
        (trace**4, 3),
        (np.linalg.det(q), 0),
        (q[:, 0, 0] ** 4, 3 / (size * (size + 2))),
        (q[:, 3, 3] ** 4, 3 / (size * (size + 2))),
        (q[:, 1, 2], 0),
    ]:
        error = values.std() / np.sqrt(draws)
        assert abs(values.mean() - expected) < 4 * error


def test_several_panels_are_haar_too(monkeypatch):
    """Each entry of Q is that of a unit vector: q^2 ~ Beta(1/2, (n - 1) / 2)."""
    monkeypatch.setattr(sampling, "_SMALL", 0)
    size = 300
    q = init.orthogonal((size, size), rng=1)
    for entries in (q[:, 0], q[:, 200], q[0], q[-1]):
        law = stats.beta(0.5, (size - 1) / 2)
        assert stats.kstest(entries**2, law.cdf).pvalue > 1e-4
        assert abs(np.sign(entries).sum()) < 4 * np.sqrt(size)


def test_both_algorithms_are_one_product(monkeypatch):
    """The same Gaussian vectors give the same matrix by LAPACK and by panels."""
    x = torch.randn(40, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    direct = sampling.haar(40, 40, lambda rows, columns: x.clone())
    monkeypatch.setattr(sampling, "_SMALL", 0)
    panels = sampling.haar(40, 40, lambda rows, columns: x.clone())
    torch.testing.assert_close(direct, panels)


def test_complex_orthogonal_is_unitary():
    weight = init.orthogonal_(torch.empty(6, 4, dtype=torch.complex128))
    torch.testing.assert_close(weight.mH @ weight, torch.eye(4, dtype=torch.complex128))


def test_orthogonal_keeps_precision_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weight = init.orthogonal_(torch.empty(400, 400))
    assert (weight.double().T @ weight.double() - torch.eye(400)).abs().max() < 1e-5


CUTS = [(0, 1, -2, 2), (0, 0.02, -2, 2), (0, 1, 3, 5), (0, 1, -1, 9), (2, 1, -9, 0.5), (0, 1, 6, 7)]


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_truncated_normal_law(cut):
    mean, std, a, b = cut
    law = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    generator = torch.Generator().manual_seed(0)
    for values in (
        init.trunc_normal_(torch.empty(50_000), *cut, generator=generator).double().numpy(),
        init.trunc_normal((50_000,), *cut, rng=0),
    ):
        assert values.min() >= a
        assert values.max() <= b
        assert stats.kstest(values, law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_inside_and_unbiased(dtype):
    count, bound = 400_000, 0.1
    generator = torch.Generator().manual_seed(0)
    values = init.uniform_(torch.empty(count, dtype=dtype), -bound, bound, generator).double()
    assert values.abs().max() <= bound
    assert abs(values.mean()) < 4 * bound / 3**0.5 / count**0.5
    cut = init.trunc_normal_(torch.empty(count, dtype=dtype), 0, 0.02, -0.04, 0.04, generator)
    assert cut.double().abs().max() <= 0.04


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
