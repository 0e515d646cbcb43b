"""Write to the tensors of a parameter, and restore them all if anything fails.

A parametrized weight, as under weight normalization, is computed from other tensors. Writing to it
means to find values of those tensors from which the weight follows.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from initguide.model.params import Param


@contextmanager
def undone_on_error() -> Iterator[Callable[[Param], None]]:
    """Yield a function that saves a parameter; restore all saved ones if the block raises.

    Each copy is on the tensor's own device. A restore needs no further memory.
    """
    with ExitStack() as undo:

        def save(param: Param) -> None:
            for module, key, tensor in _written_tensors(param):
                undo.callback(_restore, module, key, tensor, tensor.detach().clone())

        yield save
        undo.pop_all()


def _written_tensors(param: Param) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Yield the owner, the name in it and the tensor for each tensor that a write may change."""
    _, module, key = param.holders[0]
    if not param.is_parametrized:
        norms = param.spectral_norms
        for norm in norms:
            yield from norm.tensors()
        if not norms:
            yield module, key, param.tensor
        return
    # The inverse of a parametrization may write to buffers: the orthogonal one moves its base.
    for step in _chain(param).modules():
        for name, tensor in (
            *step.named_parameters(recurse=False),
            *step.named_buffers(recurse=False),
        ):
            yield step, name, tensor


def _restore(module: nn.Module, key: str, tensor: Tensor, values: Tensor) -> None:
    tensor.detach().copy_(values)
    if getattr(module, key) is not tensor:
        setattr(module, key, tensor)


def set_values(param: Param, values: Tensor) -> None:
    """Give a parametrized weight these values.

    Raises:
        ValueError: The parametrization has no inverse, or does not take these values.
    """
    chain = _chain(param)
    originals: Any = values
    parts: tuple[Tensor, ...] = ()
    try:
        for step in reversed(chain):
            originals = step.right_inverse(originals)
        parts = originals if isinstance(originals, tuple) else (originals,)
        first, *others = chain
        value: Any = first(*parts)
        for step in others:
            value = step(value)
        is_settable = torch.allclose(value, values, rtol=1e-3, atol=1e-6)
    except (AttributeError, NotImplementedError, ValueError):
        # A step has no inverse, or refuses these values.
        is_settable = False
    if not is_settable:
        kinds = ", ".join(type(step).__name__.strip("_") for step in chain)
        raise ValueError(
            f"{param.name!r} must be a weight that can be set; it is computed by {kinds}: "
            "initialize the model before you add this"
        )
    names = [f"original{index if len(parts) > 1 else ''}" for index in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        getattr(chain, name).copy_(part)


def _chain(param: Param) -> Any:
    """Return the chain of parametrizations that computes a parameter."""
    _, module, key = param.holders[0]
    return module.parametrizations[key]  # pyright: ignore[reportArgumentType,reportIndexIssue]
