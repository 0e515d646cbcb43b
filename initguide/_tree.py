"""Tensors in containers and objects, and tensors that hold no real numbers."""

from collections import deque
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

# Values that hold nothing.
_ATOMS = (int, float, str, bytes, complex, type, torch.dtype, torch.device)


def tensors(value: Any) -> list[Tensor]:
    """Return the tensors in containers and in the attributes of objects of any class, in order.

    Models return dataclasses, distributions and objects of other classes; some read such objects.
    A tensor that occurs twice is returned twice.
    """
    if isinstance(value, Tensor):
        return [value]
    found: list[Tensor] = []
    seen: set[int] = set()
    queue = [value]
    while queue:
        each = queue.pop()
        if isinstance(each, Tensor):
            found.append(each)
            continue
        if each is None or id(each) in seen or isinstance(each, _ATOMS):
            continue
        seen.add(id(each))
        if isinstance(each, PackedSequence):
            found.append(each.data)
        elif isinstance(each, (tuple, list, set, frozenset, deque)):
            queue += reversed(list(each))
        # Arguments by name are a dict. A look at an abstract class takes longer.
        elif isinstance(each, (dict, Mapping)):
            queue += reversed(list(each.values()))
        elif not isinstance(each, (ModuleType, FunctionType, nn.Module)):
            slots = [s for kind in type(each).__mro__ for s in vars(kind).get("__slots__", ())]
            values = [*getattr(each, "__dict__", {}).values()]
            queue += reversed(values + [getattr(each, s) for s in slots if hasattr(each, s)])
    return found


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
