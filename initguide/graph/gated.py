"""Gated functions, such as GLU: one half of a signal times a function of the other half."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class UnitScale:
    """The linear function whose gain is the unit gain of a gated function."""

    gain: float

    @property
    def graph_key(self) -> str:
        """What it computes, for caches."""
        return f"linear of gain {self.gain!r}"

    def __call__(self, z: Any) -> Any:
        """Return z divided by the gain."""
        return z / self.gain


def gated_gain(function: Callable[[Tensor, Tensor], Tensor]) -> float | None:
    r"""Return the unit gain of a function of two halves, or None if it has none.

    It is the $s$ with $\mathbb{E}[h(s a, s b)^2] = 1$ for independent standard normal $a$ and $b$.

    Args:
        function: The function, entry by entry.
    """
    points = torch.linspace(-5.95, 5.95, 120, dtype=torch.float64, device="cpu")
    a, b = (each.flatten() for each in torch.meshgrid(points, points, indexing="ij"))
    density = torch.exp(-(a**2 + b**2) / 2)
    density /= density.sum()

    def moment(scale: float) -> float:
        return float((density * function(scale * a, scale * b) ** 2).sum())

    try:
        with torch.no_grad(), torch.device("cpu"):
            value = function(a, b)
            if not torch.allclose(value, function(a.flip(0), b.flip(0)).flip(0)):
                return None
            return _solved(moment)
    except Exception:
        # The operations of other people may raise anything on numbers.
        return None


def _solved(moment: Callable[[float], float]) -> float | None:
    """Return the scale at which a growing second moment is 1, or None if there is none."""
    low, high = 1 / 16, 16.0
    if not moment(low) < 1 < moment(high):
        return None
    while high / low > 1 + 1e-6:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if moment(middle) < 1 else (low, middle)
    return math.sqrt(low * high)


@functools.cache
def glu() -> UnitScale:
    """Return the linear function that has the unit gain of a gated linear unit."""
    gain = gated_gain(lambda a, b: a * torch.sigmoid(b))
    assert gain is not None
    return UnitScale(gain)
