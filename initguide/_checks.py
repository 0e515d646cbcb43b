"""Checks of arguments that many functions share. Each error says the rule, then the value."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor, nn


def check_model(model: nn.Module) -> None:
    """Raise TypeError if `model` is not a module, ValueError if a tensor in it has no shape."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module; got {type(model).__name__}")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            owner = model.get_submodule(name.rpartition(".")[0])
            raise ValueError(
                f"{name!r} must have a shape; got a lazy {type(owner).__name__}: run a batch "
                "through the model first"
            )


def check_memory(model: nn.Module) -> None:
    """Raise ValueError if a tensor of the model is on the meta device, which holds no values."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise ValueError(f"{name!r} must hold values; got a meta tensor")


def check_tensor(tensor: Tensor) -> None:
    """Raise an error unless `tensor` can be filled with real or complex numbers.

    A function calls this before it draws, so that an error leaves the generator as it was.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor must be a torch.Tensor; got {type(tensor).__name__}")
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        raise TypeError(f"tensor must have a floating-point dtype; got {tensor.dtype}")
    if tensor.dtype in _UNFIT:
        raise TypeError(
            f"tensor must have a dtype that holds 0 and numbers of either sign; got {tensor.dtype}"
        )
    check_entries(tensor)


# The first dtype holds positive powers of two, the second two numbers in each entry.
_UNFIT = (torch.float8_e8m0fnu, torch.float4_e2m1fn_x2)


def check_entries(tensor: Tensor) -> None:
    """Raise RuntimeError, as torch does, if two entries of `tensor` share memory."""
    if tensor.layout is not torch.strided or tensor.is_contiguous():
        return
    if any(size > 1 and not step for size, step in zip(tensor.shape, tensor.stride(), strict=True)):
        raise RuntimeError(
            "tensor must have memory for each entry; got an expanded tensor of shape "
            f"{tuple(tensor.shape)}: clone it first"
        )


def check_real(tensor: Tensor) -> None:
    """Raise an error unless `tensor` can be filled with real numbers."""
    check_tensor(tensor)
    if tensor.dtype.is_complex:
        raise TypeError(
            f"tensor must be real: this distribution has no complex form; got {tensor.dtype}"
        )


def check_dimensions(tensor: Tensor, *allowed: int) -> None:
    """Raise ValueError unless the number of dimensions of `tensor` is allowed."""
    if tensor.ndim not in allowed:
        rule = " or ".join(map(str, allowed))
        raise ValueError(f"tensor must have {rule} dimensions; got shape {tuple(tensor.shape)}")


def check_number(name: str, value: float) -> float:
    """Return `value`, a real number or a tensor or array that holds one, as a finite float."""
    if type(value) is not float:
        number: Any = value
        if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
            number = value.item()
        if isinstance(number, bool) or not isinstance(number, Real):
            raise TypeError(f"{name} must be a number; got {value!r}")
        value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite; got {value}")
    return value


def check_not_negative(name: str, value: float) -> float:
    """Return `value` as a finite number that is at least 0."""
    value = check_number(name, value)
    if value < 0:
        raise ValueError(f"{name} must be at least 0; got {value}")
    return value


def check_std(value: float, *, zero: bool = True) -> float:
    """Return a standard deviation: finite, at least 0, or positive if `zero` is False."""
    value = check_number("std", value)
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"std must be {'at least 0' if zero else 'positive'}; got {value}")
    return value


def check_bounds(a: float, b: float) -> tuple[float, float]:
    """Return `a` and `b`, finite and in order."""
    a, b = check_number("a", a), check_number("b", b)
    if a > b:
        raise ValueError(f"a must be at most b; got a={a} and b={b}")
    return a, b


def check_count(name: str, value: int) -> int:
    """Return a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer; got {value!r}")
    return int(value)


def one_of(names: Iterable[str]) -> str:
    """Return the names as an error lists them: 'a', 'b' or 'c'."""
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}"


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple of positive integers."""
    if isinstance(shape, Tensor):
        raise TypeError(
            "shape must be a sequence of integers; got a tensor, which the functions whose names "
            "end in an underscore fill"
        )
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
