"""Expectations of an activation of one normal variable, or of two correlated ones."""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from initguide.gains import expectation

Function = Callable[[Tensor], Tensor]


def second_moment(f: Function, q: float) -> float:
    """Return E f(z)² for a normal variable z of second moment `q`."""
    root = math.sqrt(q)
    return expectation(lambda z: f(root * z) ** 2)


def relative_variance_of_square(f: Function, q: float, second: float) -> float:
    """Return the variance of f(z)² / `second`, with `second` = E f(z)² and E z² = `q`."""
    root = math.sqrt(q)
    # Divided before the square is taken, because fourth powers overflow early.
    return expectation(lambda z: (f(root * z) ** 2 / second) ** 2) - 1 if second else math.nan


def moment_slope(f: Function, q: float) -> float:
    """Return the derivative of E f(z)² with respect to the second moment `q` of z."""
    root = math.sqrt(q)
    # Stein's identity gives the derivative with respect to q without the derivative of f.
    return ratio(expectation(lambda z: (z**2 - 1) * f(root * z) ** 2), 2 * q)


def decorrelation(f: Function, q: float, d: float, same: float, slope: float) -> float:
    r"""Return E f(u)² − E f(u) f(v) for normals u, v of second moment `q` and correlation 1 − `d`.

    Let $c = 1 - d$ and $u = \sqrt{q} (\sqrt{|c|}\, s + \sqrt{1-|c|}\, t)$ with independent standard
    normals $s$ and $t$. The variable $v$ has the same $s$, its sign changed if c is negative, and
    an independent $t'$. For positive c the result is the variance of f(u) over t, averaged over s.
    So no difference of two nearly equal numbers is taken.

    Args:
        f: The activation.
        q: The second moment of u and of v.
        d: One minus their correlation, from 0 to 2.
        same: E f(u)².
        slope: E f'(u)².
    """
    if not (math.isfinite(q) and math.isfinite(d)):
        return math.nan
    if d < 1e-10:
        # The nodes of the grid over t would coincide. Between u and v, f is linear enough.
        return q * d * slope
    c = 1 - d
    # The two grids have different spacings, so that their errors at kinks of f do not add up.
    (s, density_s), (t, density_t) = _grid(301), _grid(233)
    u = math.sqrt(q * abs(c)) * s[:, None] + math.sqrt(q * (1 - abs(c))) * t
    values = f(u.flatten()).reshape(u.shape)
    means = values @ density_t
    if c >= 0:
        return (density_s @ ((values - means[:, None]) ** 2 @ density_t)).item()
    others = f(-u.flatten()).reshape(u.shape) @ density_t
    return same - (density_s @ (means * others)).item()


@functools.cache
def _grid(size: int) -> tuple[Tensor, Tensor]:
    """Return equidistant nodes and their weights, for integrals over the normal distribution.

    For smooth functions they are as exact as Gauss's nodes, and the errors at kinks average out.
    The offset is a root of 1/12 - x(1 - x)/2. With it a kink at zero causes no error of the leading
    order.
    """
    middle = (size - 1) / 2 - (0.5 - 12**-0.5)
    nodes = (torch.arange(size, dtype=torch.float64, device="cpu") - middle) * (16 / size)
    density = torch.exp(-(nodes**2) / 2)
    return nodes, density / density.sum()


def ratio(numerator: float, denominator: float) -> float:
    """Return a quotient, or NaN if the denominator is zero, where Python would raise."""
    return numerator / denominator if denominator else math.nan
