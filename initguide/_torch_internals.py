"""Tensors whose class answers torch's own initializers itself, as sharded ones do."""

from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = Tensor.__torch_function__.__func__  # pyright: ignore[reportFunctionMemberAccess]


def is_overridden(tensor: Any) -> bool:
    """Return whether the class of `tensor` has a `__torch_function__` of its own."""
    kind = type(tensor)
    if kind is Tensor or kind is nn.Parameter:
        return False
    # One that is switched off has no __func__, one that is inherited is the plain one.
    own = getattr(getattr(kind, "__torch_function__", None), "__func__", None)
    return own is not None and own is not _PLAIN


def overridden(name: str, tensor: Any, **options: Any) -> Any:
    """Call the function of that name in `torch.nn.init`, which such a class knows.

    Whoever wrote the class made it for torch's functions, so those it is told of, as
    `torch.nn.init` itself would.
    """
    function = getattr(nn.init, name)
    return torch.overrides.handle_torch_function(function, (tensor,), tensor=tensor, **options)
