"""The checks that many functions share: each error says the rule, then the value."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor


def check_tensor(tensor: Tensor) -> None:
    """Raise TypeError unless `tensor` is a tensor of real or complex floating-point numbers."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor must be a torch.Tensor; got {type(tensor).__name__}")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise TypeError(f"tensor must have a floating-point dtype; got {tensor.dtype}")


def check_number(name: str, value: float) -> None:
    """Raise unless `value` is a finite real number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite; got {value}")


def check_std(value: float, *, zero: bool = True) -> None:
    """Raise unless `value` is a standard deviation: finite, and not negative (or positive)."""
    check_number("std", value)
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"std must be {'at least 0' if zero else 'positive'}; got {value}")


def check_bounds(a: float, b: float, *, equal: bool = True) -> None:
    """Raise unless `a` and `b` are finite and in order."""
    check_number("a", a)
    check_number("b", b)
    if a > b or (a == b and not equal):
        rule = "at most" if equal else "less than"
        raise ValueError(f"a must be {rule} b; got a={a} and b={b}")


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple of positive integers."""
    if isinstance(shape, str) or not isinstance(shape, (Sequence, torch.Size)):
        raise TypeError(f"shape must be a sequence of integers; got {shape!r}")
    sizes = tuple(shape)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
            raise TypeError(f"shape must hold integers; got {size!r} in {sizes}")
        if size < 1:
            raise ValueError(f"shape must hold positive sizes; got {size} in {sizes}")
    return tuple(int(size) for size in sizes)


def check_dtype(dtype: DTypeLike) -> np.dtype:
    """Return a NumPy dtype that the samplers can fill."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(
            f"dtype must be numpy's float16, float32 or float64; got {dtype!r}"
        ) from error
    if found not in (np.float16, np.float32, np.float64):
        raise TypeError(f"dtype must be numpy's float16, float32 or float64; got {found}")
    return found
