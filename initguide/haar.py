r"""Haar orthogonal matrices: filled in place, by the fastest of three ways to one law.

The QR decomposition of a Gaussian matrix, its signs folded in, gives a uniformly distributed
orthogonal matrix. QR is a product of Householder reflectors, and after each of them the rest of
the matrix is again Gaussian and independent of it; so the reflectors can be drawn directly, from
independent Gaussian vectors $x_j$ of falling length:

$$Q = H_1 H_2 \cdots H_k \operatorname{diag}(-\operatorname{sign} x_{j1}), \qquad
H_j = I - 2 \frac{v_j v_j^\top}{v_j^\top v_j}, \quad
v_j = x_j + \operatorname{sign}(x_{j1}) \lVert x_j \rVert e_1$$

No decomposition is needed, half the work is saved, and the signs make the law exactly Haar.

G. W. Stewart (1980), *The Efficient Generation of Random Orthogonal Matrices with an Application to
Condition Estimators*; F. Mezzadri (2007), *How to Generate Random Matrices from the Classical
Compact Groups*.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from initguide.random import FillNormal

Way = Callable[[Tensor, FillNormal, float], None]

# Below every nonzero normal, yet its square is no underflow: a zero would have no sign.
_TINY = 1e-15
_ONE = torch.tensor(1.0)


def haar_(q: Tensor, normal_: FillNormal, gain: float = 1.0, way: Way | None = None) -> Tensor:
    """Fill a matrix with `gain` times a uniformly distributed orthogonal one.

    Args:
        q: A contiguous matrix, float32, float64 or complex. Its rows become orthonormal where there
            are fewer of them, its columns otherwise.
        normal_: A function that fills a contiguous tensor with standard normals.
        gain: The factor.
        way: [by_qr][initguide.haar.by_qr], [by_reflectors][initguide.haar.by_reflectors] or
            [by_panels][initguide.haar.by_panels]; the fastest for the shape where None.

    Returns:
        `q`, changed in place.
    """
    columns, rows = sorted(q.shape)
    if way is None:
        # Where the time is: in the number of calls, in LAPACK's reflectors, in matrix products.
        slender = rows >= 4 * columns and rows * columns**2 >= 2**22
        way = by_panels if columns > 384 or slender else by_reflectors
        way = by_qr if columns <= 56 and not (slender or q.is_complex()) else way
    way(q.mT if len(q) == columns else q, normal_, gain)
    return q


def by_qr(q: Tensor, normal_: FillNormal, gain: float) -> None:
    """Fill a tall real matrix by LAPACK's QR: the fewest calls."""
    by_rows = q.is_contiguous()
    normal_(q if by_rows else q.mT)
    x, tau = torch.geqrf(q)
    # Unlike sgn, this has a sign for zero.
    signs = torch.copysign(_ONE, x.diagonal())
    if gain != 1:
        signs *= gain
    torch.linalg.householder_product(x, tau, out=x)
    if by_rows:
        # Of more than a few rows, a copy that transposes is faster than a product that does.
        q.copy_(x.mul_(signs))
    else:
        torch.mul(x, signs, out=q)


def by_reflectors(q: Tensor, normal_: FillNormal, gain: float) -> None:
    """Fill a tall matrix by LAPACK's product of reflectors that are drawn, not computed."""
    x = _column_major(q)
    normal_(x.mT)
    first = x.diagonal().add_(_TINY)
    # The length, with the sign of x_1.
    length = first.sgn() * torch.linalg.vector_norm(x.tril(), dim=0)
    # LAPACK wants v_1 = 1, does not read it, and takes the factor 2 / |v|^2 that goes with it.
    pivot = first + length
    torch.linalg.householder_product(x.div_(pivot), pivot / length, out=x)
    x.mul_(length.sgn() * -gain)
    if x is not q:
        q.copy_(x)


def by_panels(q: Tensor, normal_: FillNormal, gain: float, width: int = 0) -> None:
    r"""Fill a tall matrix from the last panel of reflectors to the first, each as I - V T V^H.

    T is known by its inverse, the upper triangle of V^H V with half the diagonal, so that all
    the work is matrix products; a panel is drawn, used and dropped.
    """
    columns = q.shape[1]
    # Wider panels make better products, and waste more on their own triangle.
    width = width or (96 if q.numel() < 2**21 else 128 if q.numel() <= 2**23 else 192)
    eye = torch.eye(width, dtype=q.dtype, device=q.device)
    with _full_precision(q.device.type):
        for start in reversed(range(0, columns, width)):
            count = min(width, columns - start)
            # Above a panel's columns nothing is there before the earlier panels have been applied.
            q[:start, start : start + count] = 0
            _add_panel(q[start:, start:], normal_, gain, eye[:count, :count])


def _add_panel(q: Tensor, normal_: FillNormal, gain: float, eye: Tensor) -> None:
    """Draw the first panel of a matrix whose other columns, from their diagonal on, are done."""
    count = len(eye)
    v = q.new_empty(count, len(q)).mT
    normal_(v.mT)
    top = v[:count].tril_()
    first = top.diagonal().add_(_TINY)
    gram = _gram(v)
    length = first.sgn() * gram.diagonal().sqrt()
    # What the lengths, added to the diagonal of X, add to X^H X.
    inverse = gram.add_(top.mH * length).triu_()
    first.add_(length)
    t = torch.linalg.solve_triangular(inverse, eye, upper=True)
    # Before it, the panel's own columns are the identity's.
    signs = length.sgn() * gain
    torch.mm(v, t @ (top.mH * signs), out=q[:, :count])
    q.diagonal()[:count].sub_(signs)
    if count < q.shape[1]:
        q[:, count:].addmm_(v, t @ (v[count:].mH @ q[count:, count:]), alpha=-1)


def _column_major(q: Tensor) -> Tensor:
    """Return `q` itself, or memory of its shape, as LAPACK reads it."""
    return q if q.mT.is_contiguous() else q.new_empty(q.mT.shape).mT


def _gram(v: Tensor) -> Tensor:
    """Return V^H V, but of its lower triangle no more than what comes with two products."""
    half = v.shape[1] // 2
    gram = v.new_zeros(v.shape[1], v.shape[1])
    torch.mm(v[:, :half].mH, v, out=gram[:half])
    torch.mm(v[:, half:].mH, v[:, half:], out=gram[half:, half:])
    return gram


@contextlib.contextmanager
def _full_precision(device: str) -> Iterator[None]:
    """Keep autocast and TF32 out: they cost three digits of orthogonality."""
    before = torch.get_float32_matmul_precision()
    with torch.autocast(device, enabled=False):
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
