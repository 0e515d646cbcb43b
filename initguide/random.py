"""Sources of random numbers, and the samplers that NumPy and PyTorch share.

A sampler is written once, as a function that fills a tensor in place. It takes its source of
randomness as an argument: torch's generator, or a NumPy generator (`normal_sampler` and
`uniform_sampler` below). NumPy arrays are filled through a tensor that shares their memory.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initguide._torch_internals import is_traced

FillNormal = Callable[[Tensor], object]
FillUniform = Callable[[Tensor, float, float], object]

# The samplers make several passes over the values. A chunk of this size stays in a core's cache.
CHUNK = 2**16


def generator_from(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return a NumPy generator: `rng` itself, one seeded by it, or a fresh one for None.

    Args:
        rng: A `numpy.random.Generator`, a seed, or None.

    Returns:
        The generator.

    Raises:
        TypeError: `rng` is something else.
        ValueError: The seed is negative.
    """
    if isinstance(rng, bool) or not isinstance(
        rng, (np.random.Generator, int, np.integer, type(None))
    ):
        raise TypeError(f"rng must be a numpy.random.Generator, a seed or None; got {rng!r}")
    if isinstance(rng, (int, np.integer)) and rng < 0:
        raise ValueError(f"rng must be at least 0 as a seed; got {rng}")
    return np.random.default_rng(rng)


def fast_generator(generator: torch.Generator | None) -> np.random.Generator:
    """Return NumPy's fastest generator, seeded by a torch generator, which is slower."""
    seed = torch.empty(2, dtype=torch.int64, device="cpu").random_(generator=generator)
    return np.random.Generator(np.random.SFC64(seed.tolist()))


def sampling_dtype(dtype: np.dtype) -> type[np.float32] | type[np.float64]:
    """Return the dtype to draw in, because NumPy's generators cannot draw in half precision."""
    return np.float64 if dtype == np.float64 else np.float32


def normal_sampler(rng: np.random.Generator) -> FillNormal:
    """Return a function that fills a contiguous tensor, float32 or float64, with standard normals.

    A large float32 tensor is filled by the transform of G. E. P. Box, M. E. Muller (1958), *A Note
    on the Generation of Random Normal Deviates*. It is twice as fast as NumPy's own method.
    """

    def fill_normal_(out: Tensor) -> None:
        array = out.numpy().reshape(-1)
        if array.dtype == np.float64 or len(array) < 2**13:
            rng.standard_normal(dtype=array.dtype, out=array)
            return
        for start in range(0, len(array), CHUNK):
            _box_muller(rng, array[start : start + CHUNK])

    return fill_normal_


def _box_muller(rng: np.random.Generator, out: NDArray[np.float32]) -> None:
    half = (len(out) + 1) // 2
    bits = rng.integers(2**64, size=half, dtype=np.uint64).view(np.uint32)
    # Uniform in (0, 1]. The smallest value is 2^-33, so that the largest normal is about 6.8.
    radius, angle = bits[:half].astype(np.float32), bits[half:].astype(np.float32)
    radius *= 2.0**-32
    radius += 2.0**-33
    np.sqrt(np.multiply(np.log(radius, out=radius), -2, out=radius), out=radius)
    angle *= math.tau * 2.0**-32
    np.multiply(radius, np.cos(angle), out=out[:half])
    np.multiply(radius, np.sin(angle, out=angle), out=angle)
    out[half:] = angle[: len(out) - half]


def uniform_sampler(rng: np.random.Generator) -> FillUniform:
    """Return a function that fills a contiguous tensor uniformly between two bounds, both included.

    A float32 value is made from 32 random bits, which is faster than NumPy's own method.
    """

    def fill_uniform_(out: Tensor, low: float, high: float) -> None:
        if out.dtype == torch.float64:
            rng.random(out=out.numpy())
            out.mul_(high - low).add_(low)
            return
        for part in out.view(-1).split(CHUNK // 4):
            bits = rng.integers(2**64, size=(len(part) + 1) // 2, dtype=np.uint64)
            part.copy_(torch.from_numpy(bits.view(np.int32)[: len(part)]))
            part.mul_((high - low) * 2.0**-32).add_((low + high) / 2)

    return fill_uniform_


def clamp_to_bounds(values: Tensor, a: float, b: float) -> Tensor:
    """Clamp to the numbers of the tensor's dtype that are in [a, b].

    Rounding to a narrow dtype may move a value, or a bound itself, outside the interval.

    Args:
        values: A tensor, changed in place.
        a: The lower bound.
        b: The upper bound.

    Returns:
        `values`.
    """
    return values.clamp_(*representable_bounds(values.dtype, a, b))


def representable_bounds(dtype: torch.dtype, a: float, b: float) -> tuple[float, float]:
    """Return the smallest and the largest number of the dtype in [a, b]."""
    kind = torch.finfo(dtype)

    def rounded(value: float, whole: Callable[[float], int]) -> float:
        if math.isinf(value):
            return value
        exponent = max(math.frexp(value)[1], math.frexp(kind.smallest_normal)[1]) - 1
        # The distance between neighbouring numbers of the dtype at this value.
        step = math.ldexp(kind.eps, exponent)
        return whole(value / step) * step

    return max(rounded(a, math.ceil), kind.min), min(rounded(b, math.floor), kind.max)


def fill_truncated_normal_(
    out: Tensor,
    mean: float,
    std: float,
    a: float,
    b: float,
    fill_normal_: FillNormal,
    fill_uniform_: FillUniform,
) -> None:
    r"""Fill a tensor from the normal distribution, conditioned on the interval [a, b].

    $$p(x) \propto e^{-(x - \text{mean})^2 / 2\,\text{std}^2}, \qquad a \le x \le b$$

    The distribution is exact for any interval. There are three algorithms. If both bounds are
    within three standard deviations of the mean, on either side of it, uniform numbers go through
    the inverse of the distribution function. If the interval contains the mean and is wider,
    normals are drawn, and those outside are drawn again. If the interval is on one side of the
    mean, exponential proposals are accepted or rejected. They measure the distance from the bound
    that is nearer to the mean, so that no digits are lost far out in the tail.

    Args:
        out: A contiguous tensor of real numbers. Half precision is drawn in float32.
        mean: The mean before truncation.
        std: The standard deviation before truncation, positive.
        a: The lower bound, or -inf.
        b: The upper bound, at least `a`, or inf.
        fill_normal_: A function that fills a contiguous tensor with standard normals.
        fill_uniform_: A function of a contiguous tensor and two bounds that fills it uniformly.

    Source:
        C. P. Robert (1995), *Simulation of Truncated Normal Variables* (the proposals).
    """
    if a == b:
        out.fill_(a)
        return
    low, high = (a - mean) / std, (b - mean) / std
    # What is recorded cannot be rejected. A cut at five std removes less than one value in 10^6.
    recorded = is_traced(out) and low < 3 and high > -3
    if recorded:
        low, high = max(low, -5.0), min(high, 5.0)
    if low >= 0 and not recorded:
        draw = functools.partial(_fill_tail_, low, (b - a) / std, fill_uniform_)
        scale, shift = std, a
    elif high <= 0 and not recorded:
        draw = functools.partial(_fill_tail_, -high, (b - a) / std, fill_uniform_)
        scale, shift = -std, b
    elif max(-low, high) <= 3 or recorded:
        bottom, top = math.erf(low / math.sqrt(2)), math.erf(high / math.sqrt(2))
        draw = functools.partial(_fill_by_inverse_, bottom, top, fill_uniform_)
        scale, shift = math.sqrt(2) * std, mean
    else:
        draw = functools.partial(_fill_by_rejection_, low, high, fill_normal_)
        scale, shift = std, mean
    smallest, largest = representable_bounds(out.dtype, a, b)
    chunk = CHUNK if out.is_cpu else max(CHUNK, out.numel() // 32)
    for part in (out,) if out.numel() <= chunk else out.view(-1).split(chunk):
        drawn = part if part.dtype.itemsize >= 4 else torch.empty_like(part, dtype=torch.float32)
        draw(drawn)
        drawn.mul_(scale)
        if shift:
            drawn.add_(shift)
        drawn.clamp_(smallest, largest)
        if drawn is not part:
            part.copy_(drawn)


def _fill_by_inverse_(bottom: float, top: float, fill_uniform_: FillUniform, out: Tensor) -> None:
    """Fill with normals of variance 1/2, the inverse of erf for uniforms in [bottom, top]."""
    fill_uniform_(out, bottom, top)
    out.erfinv_()


def _fill_by_rejection_(low: float, high: float, fill_normal_: FillNormal, out: Tensor) -> None:
    """Fill with standard normals in [low, high]; most proposals must be in that interval."""

    def propose_(values: Tensor) -> Tensor:
        fill_normal_(values)
        return _indices_outside(values, low, high)

    _propose_until_accepted_(out, propose_)


def _fill_tail_(low: float, width: float, fill_uniform_: FillUniform, out: Tensor) -> None:
    """Fill with z >= 0 so that low + z is a standard normal in [low, low + width], low >= 0.

    The proposals are exponential. With this rate at least three in four are accepted.
    """
    excess = 2 / (math.hypot(low, 2) + low)
    rate = low + excess
    mass = math.expm1(-rate * width)
    best = (min(excess, width) - excess) ** 2

    def propose_(values: Tensor) -> Tensor:
        fill_uniform_(values, 0, 1)
        values.mul_(mass).log1p_().div_(-rate)
        chance = torch.empty_like(values)
        fill_uniform_(chance, 0, 1)
        log_ratio = (best - (values - excess).square()) / 2
        return _indices_outside(chance.log_().sub_(log_ratio), -math.inf, 0)

    _propose_until_accepted_(out, propose_)


def _propose_until_accepted_(out: Tensor, propose_: Callable[[Tensor], Tensor]) -> None:
    """Fill with proposals; `propose_` returns the indices to reject, which are drawn again."""
    flat = out.view(-1)
    rejected = propose_(flat)
    while len(rejected):
        again = flat.new_empty(len(rejected))
        still_rejected = propose_(again)
        flat[rejected] = again
        rejected = rejected[still_rejected]


def _indices_outside(values: Tensor, low: float, high: float) -> Tensor:
    """Return the indices of the values outside [low, high]."""
    if values.is_cpu:
        # NumPy is six times faster here than torch.
        array = values.numpy()
        return torch.from_numpy(np.flatnonzero((array < low) | (array > high)))
    return ((values < low) | (values > high)).nonzero().squeeze(1)
