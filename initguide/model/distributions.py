"""The distribution of one entry: its moments, and how likely a sample of it is."""

import functools
import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import torch
from torch import Tensor

from initguide.methods.record import Distribution
from initguide.methods.truncated_normal import truncated_moments

DistributionKind = Literal["constant", "normal", "uniform"]
# A normal has less than the rounding of a double beyond so many standard deviations.
_FAR = 12.0
# So many values tell a normal from a uniform distribution with a large margin.
SAMPLE = 10_000


@dataclass(frozen=True)
class EntryDistribution:
    """The distribution of one entry: constant, uniform, or normal between two bounds.

    The fields are those of `methods.record.Entry`, which a method's record gives.

    Attributes:
        kind: Which of the three it is.
        centre: The mean of a normal before it is cut; the middle of a uniform; the constant.
        scale: The std of a normal before it is cut; half the width of a uniform.
        low: The lower bound, counted in scales from the centre.
        high: The upper bound, counted in the same way.
    """

    kind: DistributionKind
    centre: float = 0.0
    scale: float = 1.0
    low: float = -math.inf
    high: float = math.inf

    def multiplied(self, factor: float) -> "EntryDistribution":
        """Return the distribution of the entry times a factor."""
        low, high = (self.low, self.high) if factor > 0 else (-self.high, -self.low)
        kind = self.kind if factor else "constant"
        return EntryDistribution(kind, self.centre * factor, self.scale * abs(factor), low, high)

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

    def cdf(self, values: Tensor) -> Tensor:
        """Return the probability of an entry below each value."""
        z = (values - self.centre) / self.scale
        if self.kind == "uniform":
            return ((z + 1) / 2).clamp(0, 1)
        bounds = torch.tensor([self.low, self.high], dtype=z.dtype, device=z.device)
        low, high = torch.special.ndtr(bounds)
        inside = torch.special.ndtr(z)
        return ((inside - low) / (high - low)).clamp(0, 1)

    def with_moments(self, mean: float, std: float) -> "EntryDistribution":
        """Return the distribution of the same shape with this mean and std."""
        unit = replace(self, centre=0.0, scale=1.0)
        scale = std / unit.std
        return replace(self, centre=mean - scale * unit.mean, scale=scale)


# The distribution of one entry before it is scaled, by the name that scaled methods give.
UNSCALED: dict[Distribution, EntryDistribution] = {
    "normal": EntryDistribution("normal"),
    "uniform": EntryDistribution("uniform", low=-1.0, high=1.0),
    "truncated_normal": EntryDistribution("normal", low=-2.0, high=2.0),
}


@functools.cache
def _kurtosis(kind: DistributionKind, low: float, high: float) -> float:
    if kind == "uniform":
        return 1.8
    start, stop = max(low, min(-_FAR, high - _FAR)), min(high, max(_FAR, low + _FAR))
    z = torch.linspace(start, stop, 4001, dtype=torch.float64, device="cpu")
    density = torch.exp(-(z**2) / 2)
    whole = torch.trapezoid(density, z)
    mean = torch.trapezoid(z * density, z) / whole
    second, fourth = (torch.trapezoid((z - mean) ** k * density, z) / whole for k in (2, 4))
    return (fourth / second**2).item()


def critical_value(p: float) -> float:
    """Return the number of standard errors that a normal value exceeds with probability p."""
    return NormalDist().inv_cdf(1 - p / 2)


def mean_error(distribution: EntryDistribution, values: Tensor) -> float:
    """Return how many standard errors the mean of a sample is off."""
    return (values.mean().item() - distribution.mean) * math.sqrt(values.numel()) / distribution.std


def std_error(distribution: EntryDistribution, values: Tensor) -> float:
    r"""Return how many standard errors the std of a sample of any size is off.

    The mean of $n$ squares has the relative variance $(\kappa - 1) / n$, with the kurtosis
    $\kappa$; that is the variance of a chi-square over its $\nu = 2 n / (\kappa - 1)$ degrees of
    freedom, whose cube root is nearly normal (Wilson and Hilferty, 1931).
    """
    ratio = ((values - distribution.mean) ** 2).mean().item() / distribution.std**2
    share = 2 / (9 * degrees_of_freedom(distribution, values.numel()))
    return (ratio ** (1 / 3) - (1 - share)) / math.sqrt(share)


def degrees_of_freedom(distribution: EntryDistribution, count: int) -> float:
    """Return how many normal values would estimate the std as well as this sample does."""
    return 2 * count / (distribution.kurtosis - 1)


def distance(distribution: EntryDistribution, values: Tensor) -> float:
    """Return Kolmogorov's distance between a sample and a distribution."""
    cdf = distribution.cdf(values.sort().values)
    steps = torch.arange(len(values) + 1, dtype=cdf.dtype, device=cdf.device) / len(values)
    return torch.maximum((steps[1:] - cdf).max(), (cdf - steps[:-1]).max()).item()


def distance_limit(count: int, p: float) -> float:
    """Return the distance that a sample exceeds with a probability of at most p."""
    # The inequality of Dvoretzky, Kiefer and Wolfowitz, which holds for any size (Massart, 1990).
    return math.sqrt(math.log(2 / p) / (2 * count))


def is_value(values: Tensor, target: float | Tensor) -> Tensor:
    """Return which values equal a target up to rounding."""
    eps = torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0
    return (values - target).abs() <= 4 * eps * torch.as_tensor(target, device=values.device).abs()


@dataclass(frozen=True)
class Limits:
    """How far a sample may be off by chance, with probability p in each test."""

    p: float

    @property
    def errors(self) -> float:
        """The limit in standard errors."""
        return critical_value(self.p)

    def fits(self, expected: EntryDistribution, flat: Tensor) -> bool:
        """Return whether a sample may come from a expected."""
        if expected.std == 0:
            return bool(is_value(flat, expected.mean).all())
        errors = max(abs(mean_error(expected, flat)), abs(std_error(expected, flat)))
        # With a long tail, the errors are normal only for large samples.
        heavy_tailed = expected.kurtosis > 3.001 and flat.numel() < 1000
        return (errors <= self.errors or heavy_tailed) and not self.misfit(expected, flat)

    def misfit(self, expected: EntryDistribution, flat: Tensor) -> str:
        """Return in words why a sample does not have the shape of a distribution, or nothing."""
        outside = (((flat - expected.centre) / expected.scale).abs() - expected.high) > 0.01
        if expected.high == -expected.low and outside.any():
            return f"{int(outside.sum())} values beyond ±{expected.high * expected.scale:.3g}"
        part = flat[:: max(1, flat.numel() // SAMPLE)]
        gap, limit = distance(expected, part), distance_limit(len(part), self.p)
        if gap > limit:
            return f"distance {gap:.2g}, where chance gives up to {limit:.2g}"
        # Up to 3000 values the distance misses a uniform distribution; the kurtosis needs 600.
        if expected.kind == "normal" and expected.high == -expected.low == math.inf:
            squares = (flat - flat.mean()).square()
            tails = squares.square().mean() / squares.mean() ** 2
            least = expected.kurtosis - self.errors * math.sqrt(24 / flat.numel())
            if tails < least:
                return f"kurtosis {tails:.2g}, where chance gives at least {least:.2g}"
        return ""
