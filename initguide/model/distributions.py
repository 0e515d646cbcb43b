"""The laws of entries that are independent and alike: moments, and how likely a sample is."""

import functools
import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import torch
from torch import Tensor

from initguide.methods.truncated_normal import truncated_moments

Kind = Literal["constant", "normal", "uniform"]
# Beyond, a normal has less than the rounding of a double.
_FAR = 12.0
# Enough to tell a normal from a uniform law many times over.
SAMPLE = 10_000


@dataclass(frozen=True)
class Spread:
    """A law of one number: constant, uniform, or normal between two bounds.

    Attributes:
        kind: Which of them.
        centre: Of a normal its mean, before it is cut; of a uniform law or a constant the middle.
        scale: Of a normal its std, before it is cut; of a uniform law half its width.
        low: The lower bound, counted in scales from the centre.
        high: The upper bound.
    """

    kind: Kind
    centre: float = 0.0
    scale: float = 1.0
    low: float = -math.inf
    high: float = math.inf

    def times(self, factor: float) -> "Spread":
        """Return the law of the number times a factor."""
        low, high = (self.low, self.high) if factor > 0 else (-self.high, -self.low)
        kind = self.kind if factor else "constant"
        return Spread(kind, self.centre * factor, self.scale * abs(factor), low, high)

    @property
    def mean(self) -> float:
        """The mean."""
        return self._moments[0]

    @property
    def std(self) -> float:
        """The standard deviation."""
        return self._moments[1]

    @property
    def _moments(self) -> tuple[float, float]:
        if self.kind == "constant" or self.scale == 0:
            return self.centre, 0.0
        if self.kind == "uniform":
            return self.centre, self.scale / math.sqrt(3)
        mean, std = truncated_moments(0.0, 1.0, self.low, self.high)
        return self.centre + self.scale * mean, self.scale * std

    @property
    def kurtosis(self) -> float:
        """The fourth central moment over the squared variance: 3 for a normal, 1.8 for uniform."""
        return _kurtosis(self.kind, self.low, self.high)

    def below(self, values: Tensor) -> Tensor:
        """Return the probability of a number below each value."""
        z = (values - self.centre) / self.scale
        if self.kind == "uniform":
            return ((z + 1) / 2).clamp(0, 1)
        bounds = torch.tensor([self.low, self.high], dtype=z.dtype, device=z.device)
        low, high = torch.special.ndtr(bounds)
        inside = torch.special.ndtr(z)
        return ((inside - low) / (high - low)).clamp(0, 1)

    def like(self, mean: float, std: float) -> "Spread":
        """Return the same shape of law with another mean and std."""
        own = replace(self, centre=0.0, scale=1.0)
        scale = std / own.std
        return replace(self, centre=mean - scale * own.mean, scale=scale)


@functools.cache
def _kurtosis(kind: Kind, low: float, high: float) -> float:
    if kind == "uniform":
        return 1.8
    start, stop = max(low, min(-_FAR, high - _FAR)), min(high, max(_FAR, low + _FAR))
    z = torch.linspace(start, stop, 4001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2)
    whole = torch.trapezoid(density, z)
    mean = torch.trapezoid(z * density, z) / whole
    second, fourth = (torch.trapezoid((z - mean) ** k * density, z) / whole for k in (2, 4))
    return (fourth / second**2).item()


def critical(p: float) -> float:
    """Return how many standard errors a normal number passes with probability p."""
    return NormalDist().inv_cdf(1 - p / 2)


def mean_error(spread: Spread, values: Tensor) -> float:
    """Return how many standard errors the mean of a sample is off."""
    return (values.mean().item() - spread.mean) * math.sqrt(values.numel()) / spread.std


def std_error(spread: Spread, values: Tensor) -> float:
    r"""Return how many standard errors the std of a sample is off, whatever its size.

    The mean of $n$ squares has the relative variance $(\kappa - 1) / n$, with the kurtosis
    $\kappa$; that is the variance of a chi-square over its $\nu = 2 n / (\kappa - 1)$ degrees of
    freedom, whose cube root is nearly normal (Wilson and Hilferty, 1931).
    """
    ratio = ((values - spread.mean) ** 2).mean().item() / spread.std**2
    share = 2 / (9 * freedom(spread, values.numel()))
    return (ratio ** (1 / 3) - (1 - share)) / math.sqrt(share)


def freedom(spread: Spread, count: int) -> float:
    """Return how many normal numbers tell as much of their std as a sample does of its own."""
    return 2 * count / max(spread.kurtosis - 1, 1e-3)


def distance(spread: Spread, values: Tensor) -> float:
    """Return Kolmogorov's distance between a sample and a law."""
    below = spread.below(values.sort().values)
    steps = torch.arange(len(values) + 1, dtype=below.dtype, device=below.device) / len(values)
    return torch.maximum((steps[1:] - below).max(), (below - steps[:-1]).max()).item()


def distance_limit(count: int, p: float) -> float:
    """Return the distance that a sample of a continuous law passes with probability p at most."""
    # The inequality of Dvoretzky, Kiefer and Wolfowitz, which holds for any size (Massart, 1990).
    return math.sqrt(math.log(2 / p) / (2 * count))


def is_value(values: Tensor, target: float | Tensor) -> Tensor:
    """Return which values are a number, or numbers, up to rounding."""
    eps = torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0
    return (values - target).abs() <= 4 * eps * torch.as_tensor(target).abs()


@dataclass(frozen=True)
class Limits:
    """How far chance alone may take a sample, with probability p in each test."""

    p: float

    @property
    def errors(self) -> float:
        """In standard errors."""
        return critical(self.p)

    def fits(self, spread: Spread, flat: Tensor) -> bool:
        """Return whether a sample may be of a law."""
        if spread.std == 0:
            return bool(is_value(flat, spread.mean).all())
        errors = max(abs(mean_error(spread, flat)), abs(std_error(spread, flat)))
        # The errors of a law with a long tail are not normal before there are many.
        long = spread.kurtosis > 3.001 and flat.numel() < 1000
        return (errors <= self.errors or long) and not self.misfit(spread, flat)

    def misfit(self, spread: Spread, flat: Tensor) -> str:
        """Return what in a sample speaks against the shape of a law, in words, or nothing."""
        outside = (((flat - spread.centre) / spread.scale).abs() - spread.high) > 0.01
        if spread.high == -spread.low and outside.any():
            return f"{int(outside.sum())} values beyond ±{spread.high * spread.scale:.3g}"
        part = flat[:: max(1, flat.numel() // SAMPLE)]
        far, limit = distance(spread, part), distance_limit(len(part), self.p)
        if far > limit:
            return f"distance {far:.2g}, where chance gives up to {limit:.2g}"
        # A uniform law hides from the distance in up to 3000 values; its short tails show in 600.
        tails = (flat - flat.mean()).pow(4).mean() / flat.var(correction=0) ** 2
        least = spread.kurtosis - self.errors * math.sqrt(24 / flat.numel())
        if spread.kind == "normal" and spread.high == -spread.low == math.inf and tails < least:
            return f"kurtosis {tails:.2g}, where chance gives at least {least:.2g}"
        return ""
