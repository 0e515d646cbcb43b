"""Tensors of which each process holds a part: the values are those that one process would give."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import torch
from torch import Tensor, nn

P = ParamSpec("P")
_PLAIN = {Tensor, nn.Parameter}


def is_sharded(tensor: object) -> bool:
    """Return whether `tensor` is a DTensor."""
    # To import it takes longer than the rest of torch, and without it there are none.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def write_shards_(tensor: Any, fill_: Callable[[Tensor], object], *, keep: bool = False) -> None:
    """Fill a full tensor in every process alike, and keep the part that is held here.

    The full tensor exists for as long as this takes. Every process must draw the same, that is,
    start from the same generator. If `fill_` may read what is there (`keep`), it is gathered first.
    """
    local = tensor.detach().to_local()
    if keep:
        full = tensor.detach().full_tensor()
    else:
        full = torch.empty(tensor.shape, dtype=local.dtype, device=local.device)
    fill_(full)
    local.copy_(part(full, tensor))


def part(full: Tensor, like: Any) -> Tensor:
    """Return the part of a full tensor that this process holds, laid out `like` a DTensor."""
    from torch.distributed.tensor import distribute_tensor

    # Without a source each process cuts its own copy: nothing is sent.
    spread = distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)
    return spread.to_local()


def rows_held(tensor: Any) -> range | None:
    """Return which rows of a DTensor this process holds, if it holds whole rows in sequence."""
    from torch.distributed.tensor import Replicate, Shard

    if not all(isinstance(p, Replicate) or p == Shard(0) for p in tensor.placements):
        return None
    rows = part(torch.arange(len(tensor), device=tensor.device), tensor)
    if len(rows) == 0:
        return range(0)
    held = range(int(rows[0]), int(rows[-1]) + 1)
    return held if len(held) == len(rows) else None


def zero_row_(tensor: Any, row: int) -> None:
    """Set one row of a matrix to zero, whoever holds it."""
    if not is_sharded(tensor):
        tensor.detach()[row] = 0
        return
    local = tensor.detach().to_local()
    numbers = torch.arange(len(tensor), device=local.device).unsqueeze(1).expand(tensor.shape)
    local[part(numbers, tensor) == row] = 0


def shards_alike(
    function: Callable[Concatenate[Tensor, P], Tensor],
) -> Callable[Concatenate[Tensor, P], Tensor]:
    """Let a function that fills a tensor fill a DTensor as it would fill the whole."""

    @wraps(function)
    def fill_(tensor: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if type(tensor) in _PLAIN or not is_sharded(tensor):
            return function(tensor, *args, **kwargs)
        if tensor.is_meta:
            function(torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"), *args, **kwargs)
        else:
            write_shards_(tensor, lambda full: function(full, *args, **kwargs))
        return tensor

    return fill_
