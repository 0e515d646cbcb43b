r"""Solve for the scale $a$ at which $a y + b$, or the activation of it, has variance one."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from initguide.lsuv.distributed import Total

# Bounds for the logarithm of a variance, in single precision. Below the first it counts as zero.
# Above the second it cannot be a zero with rounding errors.
_CLOSE, _CLEAR = 1e-6, 2e-6
# The largest step of the search, in the logarithm of the scale.
_STEP = math.log(4)
# The variance of so many values is right to about one percent.
_SAMPLE = 2**15

TensorFunction = Callable[[Tensor], Tensor]


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return the tensor, in single precision if it has less."""
    return tensor if tensor.dtype.itemsize >= 4 else tensor.float()


def solve(
    name: str, y: Tensor, bias: Tensor | None, axis: int, total: Total
) -> tuple[float, float]:
    r"""Return the scale $a$ at which $a y + b$ has variance one, and the std of $y + b$.

    $$\operatorname{Var}(y)\, a^2 + 2 \operatorname{Cov}(y, b)\, a + \operatorname{Var}(b) = 1$$

    Args:
        name: The layer's name, for errors.
        y: The output without the bias.
        bias: The bias; None if there is none.
        axis: The axis of the units in the output.
        total: Sums numbers over the processes that hold a part of the batch.

    Raises:
        ValueError: The output is not finite or does not vary, or no scale reaches variance one.
    """
    mean, variance, centred = centred_moments(y, total)
    if not math.isfinite(variance):
        raise ValueError(f"layer {name!r} must have a finite output; got NaN or inf")
    # Rounding makes a constant output vary by so much of its mean.
    noise = max(torch.finfo(y.dtype).eps, 16 * torch.finfo(at_least_float32(y[:0]).dtype).eps)
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
            f"layer {name!r} must have a bias of variance below 1 to reach it; got {of_bias:.3g}: "
            "zero the bias, or freeze the layer to leave it as it is"
        )
    return scale, math.sqrt(variance + 2 * covariance + of_bias)


def solve_after_activation(
    name: str,
    y: Tensor,
    bias: Tensor | None,
    axis: int,
    function: TensorFunction,
    label: str,
    total: Total,
) -> tuple[float, float]:
    r"""Return the scale $a$ at which $f(a y + b)$ has variance one, and the std of $f(y + b)$.

    Args:
        name: The layer's name, for errors.
        y: The output without the bias.
        bias: The bias, in a shape that can be added to the output; None if there is none.
        axis: The axis of the units in the output.
        function: The activation $f$.
        label: Its name, for errors.
        total: Sums numbers over the processes that hold a part of the batch.

    Raises:
        ValueError: As in `solve`, or the activation's output is not finite, or no scale brings it
            to variance one.
    """
    start, _ = solve(name, y, None, 0, total)
    if bias is not None and not bias.any():
        bias = None

    def variance(values: Tensor, scratch: Tensor, scale: float) -> float:
        if bias is None:
            torch.mul(values, scale, out=scratch)
        else:
            torch.add(bias, values, alpha=scale, out=scratch)
        # The activation may work in place.
        result = centred_moments(function(scratch), total)[1]
        if not math.isfinite(result):
            raise ValueError(
                f"layer {name!r} must have a finite output after {label}; got {result}"
            )
        return result

    values = at_least_float32(y)
    on_all = partial(variance, values, torch.empty_like(values))
    before = on_all(1.0)
    if bias is None and before > 0 and _is_homogeneous(function, y):
        return 1 / math.sqrt(before), math.sqrt(before)
    # A search on a part of the batch is cheap and ends close to the solution.
    sample = values[:: 1 if axis == 0 else max(values.numel() // _SAMPLE, 1)]
    start = find_scale(partial(variance, sample, torch.empty_like(sample)), start)[0] or start
    scale, extreme = find_scale(on_all, start)
    if scale is None:
        most = "most" if extreme < 1 else "least"
        # Rounded towards zero, so that 0.9999999 is not printed as 1.
        digits = math.floor(1e4 * math.sqrt(extreme)) / 1e4
        raise ValueError(
            f"layer {name!r} must reach std 1 after {label} at a finite scale; got at {most} "
            f"{digits:g}"
        )
    return scale, math.sqrt(before)


def _is_homogeneous(function: TensorFunction, like: Tensor) -> bool:
    """Return whether f(c z) = c f(z) for positive c; then the variance grows with c squared."""
    z = torch.linspace(-3, 3, 31, device=like.device, dtype=at_least_float32(like[:0]).dtype)
    unit = function(z.clone())
    return all(
        torch.allclose(function(c * z), c * unit, rtol=1e-5, atol=1e-6 * c) for c in (1e-3, 1e3)
    )


def find_scale(variance: Callable[[float], float], start: float) -> tuple[float | None, float]:
    """Find the scale nearest to `start` at which the variance is one.

    The search uses the logarithms of scale and variance, because most activations give nearly
    straight lines there. The variance need not be monotone or unbounded.

    Args:
        variance: Returns the variance at a scale.
        start: A scale to begin at.

    Returns:
        The scale, or None if there is none; and the variance there, or the one nearest to one.
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
    # Half the height is the step for a variance that grows with the square of the scale.
    step = min(0.7 * abs(tried[0][1]), _STEP)
    for _ in range(20):
        t += way * step
        step = min(2 * step, _STEP)
        tried.append((t, height(t)))
        if way * tried[-1][1] > _CLEAR:
            return _between(height, *tried[-2:]), reached[-1]
    # A peak between two steps may reach one although neither step does.
    best = max(range(len(tried)), key=lambda i: way * tried[i][1])
    if best not in (0, len(tried) - 1):
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
    """Return the scale between two points of opposite heights, by the Illinois method."""
    for _ in range(40):
        t = (one[0] * other[1] - other[0] * one[1]) / (other[1] - one[1])
        new = t, height(t)
        if abs(new[1]) <= _CLOSE or abs(one[0] - other[0]) < 1e-9:
            return math.exp(t)
        one = other if new[1] * other[1] < 0 else (one[0], one[1] / 2)
        other = new
    return math.exp(other[0])


def centred_moments(y: Tensor, total: Total) -> tuple[float, float, Tensor]:
    """Return the mean, the variance and `y` roughly centred; much faster than torch.var_mean."""
    centred = at_least_float32(y)
    mean, variance = _sums(centred, total)
    # In single precision the squares of huge or tiny numbers overflow or vanish, and a large mean
    # cancels the variance.
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
