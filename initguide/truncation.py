"""The normal distribution given that it is in an interval: exact for any interval, in chunks."""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from initguide.random import CHUNK, Fill, FillBetween, inner_bounds


def truncated_(
    out: Tensor,
    mean: float,
    std: float,
    a: float,
    b: float,
    normal_: Fill,
    uniform_: FillBetween,
) -> None:
    r"""Fill a tensor from the normal distribution given that it is in [a, b].

    $$p(x) \propto e^{-(x - \text{mean})^2 / 2\,\text{std}^2}, \qquad a \le x \le b$$

    The law is exact for any interval, however wide, narrow or far out. Near the mean: the inverse
    of the distribution function. Wide: normals, and those outside are drawn again. Beside the
    mean: exponential proposals, counted from the nearer bound so that no digit is lost to it.

    Args:
        out: A contiguous tensor of real numbers; what is shorter than float32 is drawn in that.
        mean: The mean before the cut.
        std: The standard deviation before the cut, positive.
        a: The lower bound, or -inf.
        b: The upper bound, at least `a`, or inf.
        normal_: A function that fills a contiguous tensor with standard normals.
        uniform_: A function of a contiguous tensor and two bounds that fills it uniformly.

    Source:
        C. P. Robert (1995), *Simulation of Truncated Normal Variables*, for the proposals.
    """
    if a == b:
        out.fill_(a)
        return
    low, high = (a - mean) / std, (b - mean) / std
    if low >= 0:
        draw = functools.partial(_beside_, low, (b - a) / std, uniform_)
        scale, shift = std, a
    elif high <= 0:
        draw = functools.partial(_beside_, -high, (b - a) / std, uniform_)
        scale, shift = -std, b
    elif max(-low, high) <= 3:
        bottom, top = math.erf(low / math.sqrt(2)), math.erf(high / math.sqrt(2))
        draw = functools.partial(_inverse_, bottom, top, uniform_)
        scale, shift = math.sqrt(2) * std, mean
    else:
        draw = functools.partial(_within_, low, high, normal_)
        scale, shift = std, mean
    least, greatest = inner_bounds(out.dtype, a, b)
    chunk = CHUNK if out.is_cpu else max(CHUNK, out.numel() // 32)
    for part in (out,) if out.numel() <= chunk else out.view(-1).split(chunk):
        drawn = part if part.dtype.itemsize >= 4 else torch.empty_like(part, dtype=torch.float32)
        draw(drawn)
        drawn.mul_(scale)
        if shift:
            drawn.add_(shift)
        drawn.clamp_(least, greatest)
        if drawn is not part:
            part.copy_(drawn)


def _inverse_(bottom: float, top: float, uniform_: FillBetween, out: Tensor) -> None:
    """Fill with standard normals over sqrt(2) that have erf between two values."""
    uniform_(out, bottom, top)
    out.erfinv_()


def _within_(low: float, high: float, normal_: Fill, out: Tensor) -> None:
    """Fill with standard normals in an interval that holds the most of them."""

    def propose(values: Tensor) -> Tensor:
        normal_(values)
        return _outside(values, low, high)

    _until_accepted_(out, propose)


def _beside_(low: float, width: float, uniform_: FillBetween, out: Tensor) -> None:
    """Fill with z >= 0 so that low + z is a standard normal in an interval from low >= 0.

    The proposals are exponential, of the rate that makes three in four acceptable at the worst.
    """
    excess = 2 / (math.hypot(low, 2) + low)
    rate = low + excess
    mass = math.expm1(-rate * width)
    best = (min(excess, width) - excess) ** 2

    def propose(values: Tensor) -> Tensor:
        uniform_(values, 0, 1)
        values.mul_(mass).log1p_().div_(-rate)
        chance = torch.empty_like(values)
        uniform_(chance, 0, 1)
        return _outside(chance.log_().sub_((best - (values - excess).square()) / 2), -math.inf, 0)

    _until_accepted_(out, propose)


def _until_accepted_(out: Tensor, propose: Callable[[Tensor], Tensor]) -> None:
    """Fill with proposals, and where they are rejected, propose again; `propose` says where."""
    flat = out.view(-1)
    rejected = propose(flat)
    while len(rejected):
        again = flat.new_empty(len(rejected))
        still = propose(again)
        flat[rejected] = again
        rejected = rejected[still]


def _outside(values: Tensor, low: float, high: float) -> Tensor:
    """Return the indices of the values outside an interval."""
    if values.is_cpu:
        # Six times faster than torch.
        array = values.numpy()
        return torch.from_numpy(np.flatnonzero((array < low) | (array > high)))
    return ((values < low) | (values > high)).nonzero().squeeze(1)
