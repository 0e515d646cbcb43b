"""Expectations of an activation of normals: of one, and of two that are correlated."""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from initguide.gains import expectation

Function = Callable[[Tensor], Tensor]


def second_moment(f: Function, q: float) -> float:
    """Return E f(z)² for a normal of second moment `q`."""
    root = math.sqrt(q)
    return expectation(lambda z: f(root * z) ** 2)


def moment_slope(f: Function, q: float) -> float:
    """Return the derivative of E f(z)² with respect to the second moment `q` of z."""
    root = math.sqrt(q)
    # Stein's identity: the derivative with respect to q without the derivative of f.
    return ratio(expectation(lambda z: (z**2 - 1) * f(root * z) ** 2), 2 * q)


def product(f: Function, q: float, c: float, same: float) -> float:
    r"""Return E f(u) f(v) for normals of second moment `q` and correlation `c`.

    With $u = \sqrt{|c|}\, s + \sqrt{1-|c|}\, t$ and $v$ alike with its own $t'$ (and the sign of
    c), the expectation is that of a product of two means over t, given s. `same` is the exact
    value at c = 1, so that the grid's own error there is known.
    """
    if not (math.isfinite(q) and math.isfinite(c)):
        return math.nan
    # Different spacings, lest the kinks of f meet the two grids in step.
    (s, density_s), (t, density_t) = _grid(301), _grid(233)
    error = (density_s @ f(math.sqrt(q) * s) ** 2).item() - same
    u = math.sqrt(q * abs(c)) * s[:, None] + math.sqrt(q * (1 - abs(c))) * t
    first = f(u.flatten()).reshape(u.shape) @ density_t
    second = first if c >= 0 else f(-u.flatten()).reshape(u.shape) @ density_t
    return (density_s @ (first * second)).item() - error


@functools.cache
def _grid(size: int) -> tuple[Tensor, Tensor]:
    """Return equidistant nodes: as good as Gauss's for smooth functions, and kinks average out.

    The offset is a root of 1/12 - x(1 - x)/2: with it a kink at zero costs nothing.
    """
    middle = (size - 1) / 2 - (0.5 - 12**-0.5)
    nodes = (torch.arange(size, dtype=torch.float64) - middle) * (16 / size)
    density = torch.exp(-(nodes**2) / 2)
    return nodes, density / density.sum()


def ratio(numerator: float, denominator: float) -> float:
    """Return a quotient that is NaN where Python's would raise."""
    return numerator / denominator if denominator else math.nan
