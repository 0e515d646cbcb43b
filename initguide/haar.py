r"""Uniformly distributed (Haar) orthogonal matrices, by the fastest of three algorithms.

Take the QR decomposition of a Gaussian matrix and multiply the columns of Q by the signs of R's
diagonal. Then Q is uniformly distributed over the orthogonal matrices: this is the Haar
distribution. Householder's algorithm computes Q as a product of reflectors. After each reflector
the rest of the matrix is again Gaussian and independent of the reflector. So the reflectors can be
drawn directly, from independent Gaussian vectors $x_j$, each one entry shorter than the one before:

$$Q = H_1 H_2 \cdots H_k \operatorname{diag}(-\operatorname{sign} x_{j1}), \qquad
H_j = I - 2 \frac{v_j v_j^\top}{v_j^\top v_j}, \quad
v_j = x_j + \operatorname{sign}(x_{j1}) \lVert x_j \rVert e_1$$

This needs no decomposition and half the work. The diagonal matrix of signs makes the distribution
exactly Haar.

G. W. Stewart (1980), *The Efficient Generation of Random Orthogonal Matrices with an Application to
Condition Estimators*; F. Mezzadri (2007), *How to Generate Random Matrices from the Classical
Compact Groups*.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from initguide._torch_internals import is_traced
from initguide.random import FillNormal

Algorithm = Callable[[Tensor, FillNormal, float], None]

# Added to numbers whose sign is needed, because zero has none. It is smaller than every normal that
# is drawn, except zero, and its square does not underflow.
_TINY = 1e-15


def haar_(
    q: Tensor, fill_normal_: FillNormal, gain: float = 1.0, algorithm: Algorithm | None = None
) -> Tensor:
    """Fill a matrix with `gain` times a uniformly distributed orthogonal one.

    Args:
        q: A contiguous matrix, float32, float64 or complex. Its rows become orthonormal if there
            are fewer rows than columns, otherwise its columns.
        fill_normal_: A function that fills a contiguous tensor with standard normals.
        gain: The factor.
        algorithm: [by_qr][initguide.haar.by_qr], [by_reflectors][initguide.haar.by_reflectors] or
            [by_panels][initguide.haar.by_panels]. None chooses the fastest for the shape.

    Returns:
        `q`, changed in place.
    """
    columns, rows = sorted(q.shape)
    if algorithm is None:
        # Measured limits. A small matrix needs few calls (QR), a large one few passes (panels).
        narrow = rows >= 4 * columns and rows * columns**2 >= 2**22
        algorithm = by_panels if columns > 384 or narrow else by_reflectors
        algorithm = by_qr if columns <= 56 and not (narrow or q.is_complex()) else algorithm
    algorithm(q.mT if len(q) == columns else q, fill_normal_, gain)
    return q


def by_qr(q: Tensor, fill_normal_: FillNormal, gain: float) -> None:
    """Fill a tall real matrix by LAPACK's QR decomposition, which needs the fewest calls."""
    by_rows = q.is_contiguous()
    fill_normal_(q if by_rows else q.mT)
    x, tau = torch.geqrf(q)
    # Unlike sgn, copysign gives zero a sign.
    signs = torch.copysign(x.new_ones(()), x.diagonal())
    if gain != 1:
        signs *= gain
    x = _product(x, tau)
    if by_rows or is_traced(q):
        # Except for a few rows, a copy that transposes is faster than a product that transposes.
        q.copy_(x.mul_(signs))
    else:
        torch.mul(x, signs, out=q)


def by_reflectors(q: Tensor, fill_normal_: FillNormal, gain: float) -> None:
    """Fill a tall matrix by drawing the reflectors; LAPACK multiplies them."""
    x = _column_major(q)
    fill_normal_(x.mT)
    first = x.diagonal().add_(_TINY)
    # The length, with the sign of x_1.
    length = first.sgn() * torch.linalg.vector_norm(x.tril(), dim=0)
    # LAPACK scales v so that v_1 = 1, which it does not read, and takes the factor 2 / |v|^2.
    pivot = first + length
    x = _product(x.div_(pivot), pivot / length)
    x.mul_(length.sgn() * -gain)
    if x is not q:
        q.copy_(x)


def by_panels(q: Tensor, fill_normal_: FillNormal, gain: float, width: int = 0) -> None:
    r"""Fill a tall matrix by panels, which are blocks of reflectors, from the last to the first.

    The product of the reflectors of a panel is I - V T V^H. The inverse of T is the upper triangle
    of V^H V with half the diagonal. So all the work is in matrix products. The memory of a panel is
    freed when the panel has been applied.
    """
    columns = q.shape[1]
    # Wider panels make faster products, but waste more work on their own triangle.
    width = width or (96 if q.numel() < 2**21 else 128 if q.numel() <= 2**23 else 192)
    eye = torch.eye(width, dtype=q.dtype, device=q.device)
    with _full_precision(q.device.type):
        for start in reversed(range(0, columns, width)):
            count = min(width, columns - start)
            # These entries stay zero until the panels to the left are applied.
            q[:start, start : start + count] = 0
            _add_panel(q[start:, start:], fill_normal_, gain, eye[:count, :count])


def _add_panel(q: Tensor, fill_normal_: FillNormal, gain: float, eye: Tensor) -> None:
    """Draw the first panel of a matrix and apply it to the later columns, which are filled."""
    count = len(eye)
    v = q.new_empty(count, len(q)).mT
    fill_normal_(v.mT)
    top = v[:count].tril_()
    first = top.diagonal().add_(_TINY)
    gram = _gram(v)
    length = first.sgn() * gram.diagonal().sqrt()
    # V is X with the lengths added to its diagonal. This is the upper triangle of V^H V, its
    # diagonal halved.
    inverse = gram.add_(top.mH * length).triu_()
    first.add_(length)
    t = torch.linalg.solve_triangular(inverse, eye, upper=True)
    # Before the panel is applied, its own columns are those of the identity.
    signs = length.sgn() * gain
    q[:, :count].addmm_(v, t @ (top.mH * signs), beta=0)
    q.diagonal()[:count].sub_(signs)
    if count < q.shape[1]:
        q[:, count:].addmm_(v, t @ (v[count:].mH @ q[count:, count:]), alpha=-1)


def _product(x: Tensor, tau: Tensor) -> Tensor:
    """Return the product of reflectors, in the memory of `x` if torch can write there."""
    return torch.linalg.householder_product(x, tau, out=None if is_traced(x) else x)


def _column_major(q: Tensor) -> Tensor:
    """Return `q` itself if its memory is in LAPACK's column order, otherwise new memory."""
    return q if q.mT.is_contiguous() else q.new_empty(q.mT.shape).mT


def _gram(v: Tensor) -> Tensor:
    """Return V^H V by two products, without the lower left block, which is not needed."""
    half = v.shape[1] // 2
    gram = v.new_zeros(v.shape[1], v.shape[1])
    gram[:half] = v[:, :half].mH @ v
    gram[half:, half:] = v[:, half:].mH @ v[:, half:]
    return gram


@contextlib.contextmanager
def _full_precision(device: str) -> Iterator[None]:
    """Switch autocast and TF32 off, because they cost three digits of orthogonality."""
    with torch.autocast(device, enabled=False):
        if torch.compiler.is_compiling():
            # A compiled function can neither read nor change the precision of products.
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
