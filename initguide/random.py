"""Where random numbers come from, and the numbers of a dtype that they may become.

The samplers are written once and serve NumPy and PyTorch: what differs is the source of randomness,
so that is an argument, a function that fills a tensor.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Fill = Callable[[Tensor], object]
FillBetween = Callable[[Tensor, float, float], object]

# So many elements stay in a core's cache through the passes that a sampler makes over them.
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


def source_from(generator: torch.Generator | None) -> np.random.Generator:
    """Return NumPy's fastest generator, seeded by torch's, which takes longer for its bits."""
    seed = torch.empty(2, dtype=torch.int64).random_(generator=generator)
    return np.random.Generator(np.random.SFC64(seed.tolist()))


def drawn_in(dtype: np.dtype) -> type[np.float32] | type[np.float64]:
    """Return the dtype to draw in: NumPy's generators know no half precision."""
    return np.float64 if dtype == np.float64 else np.float32


def normal_from(source: np.random.Generator) -> Fill:
    """Return a function that fills a contiguous tensor, float32 or float64, with standard normals.

    Many in float32 come by the transform of G. E. P. Box, M. E. Muller (1958), *A Note on the
    Generation of Random Normal Deviates*, twice as fast as NumPy's own.
    """

    def normal_(out: Tensor) -> None:
        array = out.numpy().reshape(-1)
        if array.dtype == np.float64 or len(array) < 2**13:
            source.standard_normal(dtype=array.dtype, out=array)
            return
        for start in range(0, len(array), CHUNK):
            _box_muller(source, array[start : start + CHUNK])

    return normal_


def _box_muller(source: np.random.Generator, out: NDArray[np.float32]) -> None:
    half = (len(out) + 1) // 2
    bits = source.integers(2**64, size=half, dtype=np.uint64).view(np.uint32)
    # Uniform in (0, 1], the least number well below float32's spacing at 1, for the tail's sake.
    radius, angle = bits[:half].astype(np.float32), bits[half:].astype(np.float32)
    radius *= 2.0**-32
    radius += 2.0**-33
    np.sqrt(np.multiply(np.log(radius, out=radius), -2, out=radius), out=radius)
    angle *= math.tau * 2.0**-32
    np.multiply(radius, np.cos(angle), out=out[:half])
    np.multiply(radius, np.sin(angle, out=angle), out=angle)
    out[half:] = angle[: len(out) - half]


def uniform_from(source: np.random.Generator) -> FillBetween:
    """Return a function that fills a contiguous tensor uniformly between two bounds, both included.

    Float32 comes from 32 random bits each, which is faster than NumPy's own.
    """

    def uniform_(out: Tensor, low: float, high: float) -> None:
        if out.dtype == torch.float64:
            source.random(out=out.numpy())
            out.mul_(high - low).add_(low)
            return
        for part in out.view(-1).split(CHUNK // 4):
            bits = source.integers(2**64, size=(len(part) + 1) // 2, dtype=np.uint64)
            part.copy_(torch.from_numpy(bits.view(np.int32)[: len(part)]))
            part.mul_((high - low) * 2.0**-32).add_((low + high) / 2)

    return uniform_


def inside(value: Tensor, a: float, b: float) -> Tensor:
    """Clamp to the numbers of the tensor's dtype that lie in [a, b], the bounds themselves or in.

    Args:
        value: A tensor, changed in place.
        a: The lower bound.
        b: The upper bound.

    Returns:
        `value`.
    """
    return value.clamp_(*inner_bounds(value.dtype, a, b))


def inner_bounds(dtype: torch.dtype, a: float, b: float) -> tuple[float, float]:
    """Return the least and the greatest number of the dtype in [a, b]."""
    kind = torch.finfo(dtype)

    def rounded(value: float, whole: Callable[[float], int]) -> float:
        if math.isinf(value):
            return value
        exponent = max(math.frexp(value)[1], math.frexp(kind.smallest_normal)[1]) - 1
        # The spacing of the dtype's numbers there.
        step = math.ldexp(kind.eps, exponent)
        return whole(value / step) * step

    return max(rounded(a, math.ceil), kind.min), min(rounded(b, math.floor), kind.max)
