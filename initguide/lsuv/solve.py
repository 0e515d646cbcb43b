r"""The scale $a$ at which the output of a layer, $a y + b$, or what follows it has variance one."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from initguide.lsuv.distributed import Total

# Of the logarithm of a variance: what single precision can tell from zero, and what it cannot
# have made by rounding.
_CLOSE, _CLEAR = 1e-6, 2e-6
_STEP = math.log(4)
# Values that tell a variance to a percent or so.
_FEW = 2**15

Function = Callable[[Tensor], Tensor]


def wide(tensor: Tensor) -> Tensor:
    """Return the tensor in single precision at least."""
    return tensor if tensor.dtype.itemsize >= 4 else tensor.float()


def solve(
    name: str, y: Tensor, bias: Tensor | None, axis: int, total: Total
) -> tuple[float, float]:
    r"""Return the scale $a$, and the std before it, of $y + b$: $A a^2 + 2 B a + C = 1$."""
    mean, variance, centred = moments(y, total)
    if not math.isfinite(variance):
        raise ValueError(f"layer {name!r} must have a finite output; got NaN or inf")
    # A constant's mean is rounded, and so are its values.
    noise = max(torch.finfo(y.dtype).eps, 16 * torch.finfo(wide(y[:0]).dtype).eps)
    if variance <= (noise * mean) ** 2:
        raise ValueError(f"layer {name!r} must vary over the batch; got variance {variance:.3g}")
    if bias is None:
        return 1 / math.sqrt(variance), math.sqrt(variance)
    b = bias.double()
    b -= b.sum().item() / b.numel()
    others = [i for i in range(y.ndim) if i != axis]
    by_unit = (centred.sum(others) if others else centred).double()
    products, count = total(torch.dot(by_unit, b).item(), y.numel())
    covariance = products / count
    of_bias = torch.dot(b, b).item() / b.numel()
    square = covariance**2 + variance * (1 - of_bias)
    root = math.sqrt(square) if square >= 0 else math.nan
    scale = (root - covariance) / variance
    if not scale > 0:
        raise ValueError(
            f"layer {name!r} must have a bias of variance below 1 to reach it; got {of_bias:.3g}"
        )
    return scale, math.sqrt(variance + 2 * covariance + of_bias)


def solve_behind(
    name: str,
    y: Tensor,
    bias: Tensor | None,
    axis: int,
    function: Function,
    label: str,
    total: Total,
) -> tuple[float, float]:
    """Return the scale and the std before it, both of an activation of `y` and a bias.

    The bias is shaped to be added. The errors are those of `solve`, and one more: that no scale
    brings what the activation gives to unit variance.
    """
    start, _ = solve(name, y, None, 0, total)
    if bias is not None and not bias.any():
        bias = None

    def variance(values: Tensor, scratch: Tensor, scale: float) -> float:
        if bias is None:
            torch.mul(values, scale, out=scratch)
        else:
            torch.add(bias, values, alpha=scale, out=scratch)
        # It may work in place.
        found = moments(function(scratch), total)[1]
        if not math.isfinite(found):
            raise ValueError(
                f"layer {name!r} must have a finite output behind {label}; got {found}"
            )
        return found

    values = wide(y)
    on_all = partial(variance, values, torch.empty_like(values))
    before = on_all(1.0)
    if bias is None and before > 0 and _is_homogeneous(function, y):
        return 1 / math.sqrt(before), math.sqrt(before)
    # On a part of the batch the search is cheap, and it ends close by.
    few = values[:: 1 if axis == 0 else max(values.numel() // _FEW, 1)]
    start = crossing(partial(variance, few, torch.empty_like(few)), start)[0] or start
    scale, extreme = crossing(on_all, start)
    if scale is None:
        most = "most" if extreme < 1 else "least"
        # Rounded towards zero: 0.9999999 is not 1.
        digits = math.floor(1e4 * math.sqrt(extreme)) / 1e4
        raise ValueError(
            f"layer {name!r} must reach std 1 behind {label} at a finite scale; got at {most} "
            f"{digits:g}"
        )
    return scale, math.sqrt(before)


def _is_homogeneous(function: Function, like: Tensor) -> bool:
    """Return whether f(c z) is c f(z) for every positive c, so that variances go with c squared."""
    z = torch.linspace(-3, 3, 31, device=like.device, dtype=wide(like[:0]).dtype)
    unit = function(z.clone())
    return all(
        torch.allclose(function(c * z), c * unit, rtol=1e-5, atol=1e-6 * c) for c in (1e-3, 1e3)
    )


def crossing(variance: Callable[[float], float], start: float) -> tuple[float | None, float]:
    """Find the scale nearest to `start` at which the variance is one.

    Both are taken in logarithms: there most activations are nearly straight. The function need
    be neither monotone nor unbounded.

    Args:
        variance: The variance at a scale.
        start: A scale to begin at.

    Returns:
        The scale, or None where there is none; the variance there, or the nearest to one.
    """
    reached: list[float] = []

    def height(t: float) -> float:
        reached.append(variance(math.exp(t)))
        return min(max(math.log(max(reached[-1], 1e-300)), -10.0), 10.0)

    t = math.log(start)
    tried = [(t, height(t))]
    if abs(tried[0][1]) <= _CLOSE:
        return start, reached[0]
    way = 1 if tried[0][1] < 0 else -1
    # A variance that goes with the square of the scale would need half the height.
    step = min(0.7 * abs(tried[0][1]), _STEP)
    for _ in range(20):
        t += way * step
        step = min(2 * step, _STEP)
        tried.append((t, height(t)))
        if way * tried[-1][1] > _CLEAR:
            return _between(height, *tried[-2:]), reached[-1]
    # A hump between two steps may cross where neither does.
    best = max(range(len(tried)), key=lambda i: way * tried[i][1])
    if 0 < best < len(tried) - 1:
        (low, _), (high, _) = tried[best - 1], tried[best + 1]
        for _ in range(24):
            left, right = low + 0.382 * (high - low), low + 0.618 * (high - low)
            pair = (left, height(left)), (right, height(right))
            for point in pair:
                if way * point[1] > _CLEAR:
                    return _between(height, tried[best - 1], point), reached[-1]
            rises = way * pair[1][1] > way * pair[0][1]
            low, high = (left, high) if rises else (low, right)
    return None, max(reached) if way > 0 else min(reached)


def _between(
    height: Callable[[float], float], one: tuple[float, float], other: tuple[float, float]
) -> float:
    """Return the scale between two of opposite heights, by the Illinois rule."""
    for _ in range(40):
        t = (one[0] * other[1] - other[0] * one[1]) / (other[1] - one[1])
        new = t, height(t)
        if abs(new[1]) <= _CLOSE or abs(one[0] - other[0]) < 1e-9:
            return math.exp(t)
        one = other if new[1] * other[1] < 0 else (one[0], one[1] / 2)
        other = new
    return math.exp(other[0])


def moments(y: Tensor, total: Total) -> tuple[float, float, Tensor]:
    """Return the mean, the variance and `y` about centred; much faster than torch.var_mean."""
    centred = wide(y)
    mean, variance = _sums(centred, total)
    # Squares of huge and of tiny numbers leave single precision, and those of a mean cancel.
    if not (1e-30 < variance < 1e30 and mean**2 < 10 * variance):
        sums, count = total(y.double().sum().item(), y.numel())
        mean = sums / count
        centred = y.double() - mean
        variance = _sums(centred, total)[1]
    return mean, max(variance, 0.0), centred


def _sums(y: Tensor, total: Total) -> tuple[float, float]:
    flat = y.reshape(-1)
    sums, squares, count = total(flat.sum().item(), torch.dot(flat, flat).item(), y.numel())
    mean = sums / count
    return mean, squares / count - mean**2
