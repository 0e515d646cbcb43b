"""Tensors in nested containers, and tensors that hold no real numbers."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def tensors(value: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and dicts, in order."""
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for each in value for t in tensors(each)] if isinstance(value, (tuple, list)) else []


def argument_tensors(
    inputs: tuple[Any, ...], named: dict[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor in a call's arguments with the argument's number or name."""
    arguments = [*enumerate(inputs), *((repr(name), value) for name, value in named.items())]
    for name, value in arguments:
        for tensor in tensors(value):
            yield str(name), tensor


def is_quantized(tensor: Tensor) -> bool:
    """Return whether a tensor holds integers, or floats of one byte."""
    real = tensor.is_floating_point() and tensor.dtype.itemsize > 1
    return not (real or tensor.is_complex())


def dequantized(tensor: Tensor) -> Tensor:
    """Return a tensor of real numbers with the same values."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor.float() if is_quantized(tensor) else tensor
