"""Replacements for objects that have no ordinary copy: generators, files, large tensors.

A generator cannot be copied and must not be read, so an object that raises takes its place. A large
tensor is replaced by a tensor of the same shape that takes no memory.
"""

import copy
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

# The largest parameter, and the largest other tensor, that keep their values in a copy without
# values. An activation depends on its slopes, and a forward may branch on its buffers.
SMALL, LARGE = 2**10, 2**24


class NotCopiedError(TypeError):
    """A forward needs an object that cannot be copied."""


class Unreadable:
    """The replacement of a generator."""

    def __next__(self) -> Any:
        raise NotCopiedError("it reads a generator, which cannot be copied")

    def __iter__(self) -> Iterator[Any]:
        return self

    send = throw = close = __next__


def iterator_like(
    value: Any, of: Callable[[Any], Any], when_filled: Callable[[Any, Any], None]
) -> Any:
    """Return an iterator that goes on where another one is.

    Args:
        value: An iterator of a C type, or a generator.
        of: Returns the copy of an object.
        when_filled: Takes the new iterator and its position. It sets the position when the copied
            container has its content.
    """
    try:
        with warnings.catch_warnings():
            # The iterators of itertools cannot be copied from Python 3.14 on.
            warnings.simplefilter("ignore", DeprecationWarning)
            make, arguments, *state = value.__reduce__()
        new = make(*map(of, arguments))
        for each in state:
            when_filled(new, of(each))
    except TypeError:
        return Unreadable()
    return new


def tensor_like(value: Tensor, *, values: bool) -> Tensor:
    """Return a tensor with the same values, or one without memory for a large tensor.

    Args:
        value: Any tensor.
        values: Whether large tensors keep their values too.
    """
    if is_lazy(value):
        return value
    is_parameter = isinstance(value, nn.Parameter)
    try:
        if not values and value.numel() > (SMALL if is_parameter else LARGE):
            # All entries share one number.
            entry = torch.zeros((), dtype=value.dtype, device=value.device)
            new = entry.expand(value.shape)
        elif type(value) in (Tensor, nn.Parameter):
            new = value.detach().clone()
        else:
            return deep_copy(value)
    except (RuntimeError, NotImplementedError):
        # Some formats, such as quantized ones, have no such functions.
        return value
    if is_parameter:
        return nn.Parameter(new, requires_grad=value.requires_grad)
    return new.requires_grad_(value.requires_grad)


def deep_copy(value: Any) -> Any:
    """Return a copy by the object's own methods, or the object itself if it refuses."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def empty_file(value: io.IOBase) -> Any:
    """Return an empty file in memory for a file of text or of bytes."""
    return io.StringIO() if isinstance(value, io.TextIOBase) else io.BytesIO()


class _Bare:
    """The class of an object after its use."""


def without_finalizer(value: Any) -> None:
    """Take the finalizer from a copy without slots, because it would act on the original's data."""
    object.__setattr__(value, "__class__", nn.Module if isinstance(value, nn.Module) else _Bare)
