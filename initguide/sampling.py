r"""The samplers that are not one line: Haar orthogonal matrices and truncated normals.

Both are written once and serve NumPy and PyTorch: what differs is where the random numbers come
from, so that is an argument.
"""

import contextlib
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

Normal = Callable[[int, int], Tensor]

# Up to this size LAPACK's product of reflectors wins; beyond, matrix products do.
_SMALL = 384


def generator_from(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return a NumPy generator: `rng` itself, one seeded by it, or a fresh one for None.

    Args:
        rng: A `numpy.random.Generator`, a seed, or None.

    Returns:
        The generator.

    Raises:
        TypeError: `rng` is something else.
        ValueError: The seed is negative.
    """
    if isinstance(rng, bool) or not isinstance(
        rng, (np.random.Generator, int, np.integer, type(None))
    ):
        raise TypeError(f"rng must be a numpy.random.Generator, a seed or None; got {rng!r}")
    if isinstance(rng, (int, np.integer)) and rng < 0:
        raise ValueError(f"rng must be at least 0 as a seed; got {rng}")
    return np.random.default_rng(rng)


def drawn_in(dtype: np.dtype) -> type[np.float32] | type[np.float64]:
    """Return the dtype to draw in: NumPy's generators know no half precision."""
    return np.float64 if dtype == np.float64 else np.float32


def haar(rows: int, columns: int, normal: Normal) -> Tensor:
    r"""Return a matrix with orthonormal rows or columns, uniformly distributed (Haar).

    The QR decomposition of a Gaussian matrix is a product of Householder reflectors. After each,
    the rest of the matrix is again Gaussian and independent of it, so the reflectors can be drawn
    directly, from independent Gaussian vectors of falling length:

    $$Q = H_1 H_2 \cdots H_k \operatorname{diag}(-\operatorname{sign} x_{j1}), \qquad
    H_j = I - 2 \frac{v_j v_j^\top}{v_j^\top v_j}, \quad
    v_j = x_j + \operatorname{sign}(x_{j1}) \lVert x_j \rVert e_1$$

    No decomposition is needed, half the work is saved, and the signs make the law exactly Haar.

    Args:
        rows: The number of rows.
        columns: The number of columns.
        normal: A function of (rows, columns) that draws standard normals as a float32, float64 or
            complex tensor.

    Returns:
        A tensor of shape `(rows, columns)`.

    Source:
        G. W. Stewart (1980), *The Efficient Generation of Random Orthogonal Matrices with an
        Application to Condition Estimators*; F. Mezzadri (2007), *How to Generate Random Matrices
        from the Classical Compact Groups*.
    """
    if rows < columns:
        return haar(columns, rows, normal).mT
    if columns <= _SMALL:
        return _by_reflectors(normal(rows, columns))
    return _by_panels(rows, columns, normal)


def _reflectors(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors v_j, as columns of a lower trapezoid, and the signs of R's diagonal."""
    x = x.tril()
    size = x.norm(dim=0).clamp_min(torch.finfo(x.dtype).tiny)
    first = x.diagonal()
    # The phase of x_1: its sign, where the numbers are real.
    phase = torch.where(first == 0, torch.ones_like(first), first / first.abs())
    first += phase * size
    return x, -phase


def _by_reflectors(x: Tensor) -> Tensor:
    v, signs = _reflectors(x)
    first = v.diagonal().clone()
    # LAPACK wants v_1 = 1 and the factor 2 / |v|^2 that goes with it.
    tau = 2 * first.abs().square() / v.abs().square().sum(dim=0)
    return torch.linalg.householder_product(v / first, tau.to(v.dtype)) * signs


def _by_panels(rows: int, columns: int, normal: Normal) -> Tensor:
    r"""Accumulate panels of reflectors from the last to the first, each as I - V T V^H.

    T is known by its inverse, the upper triangle of V^H V with half the diagonal, so that all
    the work is matrix products; a panel is drawn, used and dropped.
    """
    width = 128 if columns < 2048 else 256
    q: Tensor | None = None
    with _full_precision():
        for start in reversed(range(0, columns, width)):
            count = min(width, columns - start)
            v, signs = _reflectors(normal(rows - start, count))
            if q is None:
                q = v.new_zeros(rows, columns)
            gram = v.mH @ v
            inverse = gram.triu(1) + torch.diag(gram.diagonal() / 2)
            head, tail = slice(start, start + count), slice(start + count, None)
            # Left of the panel's own columns nothing is there yet; in them stands the identity.
            right = torch.cat([v[:count].mH, v[count:].mH @ q[tail, tail]], dim=1)
            update = torch.linalg.solve_triangular(inverse, right, upper=True)
            q[start:, start:].addmm_(v, update, alpha=-1)
            q[head, head].diagonal().add_(1)
            q[start:, head] *= signs
    assert q is not None
    return q


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Keep autocast and TF32 out: they cost three digits of orthogonality."""
    before = torch.get_float32_matmul_precision()
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    with contextlib.ExitStack() as stack:
        for device in devices:
            stack.enter_context(torch.autocast(device, enabled=False))
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def truncated(
    shape: tuple[int, ...],
    low: float,
    high: float,
    normal: Callable[[tuple[int, ...]], Tensor],
    uniform: Callable[[tuple[int, ...]], Tensor],
) -> Tensor:
    r"""Draw from a standard normal between `low` and `high`.

    $$p(x) = \frac{\phi(x)}{\Phi(\text{high}) - \Phi(\text{low})}, \qquad
    \text{low} \le x \le \text{high}$$

    Bounds near the centre: the inverse of the distribution function. Wide bounds: plain normals,
    and only those outside are drawn again. A far tail: the inverse in float64, on the side where
    it has all its digits.

    Args:
        shape: The shape of what is drawn.
        low: The lower bound, in standard deviations.
        high: The upper bound.
        normal: A function of the shape that draws standard normals.
        uniform: A function of the shape that draws uniformly from [0, 1).

    Returns:
        A tensor of the dtype that `normal` or `uniform` returns, or of float64.

    Source:
        L. Devroye (1986), *Non-Uniform Random Variate Generation*, chapter 2.
    """
    root = math.sqrt(2)
    if max(abs(low), abs(high)) <= 3:
        bottom, top = math.erf(low / root), math.erf(high / root)
        return uniform(shape).mul_(top - bottom).add_(bottom).erfinv_().mul_(root)
    if math.erf(high / root) - math.erf(low / root) > 0.6:
        values = normal(shape)
        flat = values.view(-1)
        outside = ((flat < low) | (flat > high)).nonzero().squeeze(1)
        while len(outside):
            again = normal((len(outside),))
            flat[outside] = again
            outside = outside[(again < low) | (again > high)]
        return values
    # The lower tail is where the distribution function has all its digits.
    sign = 1 if low + high <= 0 else -1
    ends = torch.tensor(sorted((sign * low, sign * high)), dtype=torch.float64)
    bottom, top = torch.special.ndtr(ends).tolist()
    if top <= bottom:
        raise ValueError(
            "[a, b] must hold some of the distribution; "
            f"got {low:g} to {high:g} standard deviations from the mean"
        )
    values = torch.special.ndtri(uniform(shape).double().mul_(top - bottom).add_(bottom))
    return sign * values


def inside(value: Tensor, a: float, b: float) -> Tensor:
    """Clamp to the numbers of the tensor's dtype that lie in [a, b], the bounds themselves or in.

    Args:
        value: A tensor, changed in place.
        a: The lower bound.
        b: The upper bound.

    Returns:
        `value`.
    """
    bounds = torch.tensor([a, b], dtype=value.dtype)
    exact = torch.tensor([a, b], dtype=torch.float64)
    # Rounding to the dtype may carry a bound out of the interval: step back in.
    lower, upper = bounds.nextafter(bounds.flip(0)).where(
        torch.stack([bounds[0].double() < exact[0], bounds[1].double() > exact[1]]), bounds
    )
    return value.clamp_(lower.item(), upper.item())
