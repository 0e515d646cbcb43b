"""Fill sharded tensors (DTensor) with the values that one process would give the whole tensor."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import torch
from torch import Tensor, nn

P = ParamSpec("P")
_UNSHARDED = {Tensor, nn.Parameter}


def is_sharded(tensor: object) -> bool:
    """Return whether `tensor` is a DTensor."""
    # This import takes longer than the rest of torch. Before it, no tensor can be a DTensor.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def write_shards_(tensor: Any, fill_: Callable[[Tensor], object], *, keep: bool = False) -> None:
    """Fill the full tensor in every process, and copy the local part into the DTensor.

    The full tensor exists only during this call. Every process must draw the same values, so
    every process must start from the same generator.

    Args:
        tensor: A DTensor.
        fill_: Fills a tensor of the full shape in place.
        keep: Whether `fill_` reads the present values, which are then gathered first.
    """
    local = tensor.detach().to_local()
    if keep:
        full = tensor.detach().full_tensor()
    else:
        full = torch.empty(tensor.shape, dtype=local.dtype, device=local.device)
    fill_(full)
    local.copy_(local_part(full, tensor))


def local_part(full: Tensor, like: Any) -> Tensor:
    """Return the part of a full tensor that this process holds, laid out `like` a DTensor."""
    from torch.distributed.tensor import distribute_tensor

    # Without a source rank, each process cuts its own copy and nothing is sent.
    sharded = distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)
    return sharded.to_local()


def rows_held(tensor: Any) -> range | None:
    """Return the rows of a DTensor that this process holds, or None if they are no whole range."""
    from torch.distributed.tensor import Replicate, Shard

    if not all(isinstance(p, Replicate) or p == Shard(0) for p in tensor.placements):
        return None
    rows = local_part(torch.arange(len(tensor), device=tensor.device), tensor)
    if len(rows) == 0:
        return range(0)
    span = range(int(rows[0]), int(rows[-1]) + 1)
    return span if len(span) == len(rows) else None


def zero_row_(tensor: Any, row: int) -> None:
    """Set one row of a matrix to zero, in whichever process holds it."""
    if not is_sharded(tensor):
        tensor.detach()[row] = 0
        return
    local = tensor.detach().to_local()
    numbers = torch.arange(len(tensor), device=local.device).unsqueeze(1).expand(tensor.shape)
    local[local_part(numbers, tensor) == row] = 0


def shards_alike(
    function: Callable[Concatenate[Tensor, P], Tensor],
) -> Callable[Concatenate[Tensor, P], Tensor]:
    """Make a function that fills a tensor fill a DTensor with the values of the whole tensor."""

    @wraps(function)
    def fill_(tensor: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if type(tensor) in _UNSHARDED or not is_sharded(tensor):
            return function(tensor, *args, **kwargs)
        if tensor.is_meta:
            function(torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"), *args, **kwargs)
        else:
            write_shards_(tensor, lambda full: function(full, *args, **kwargs))
        return tensor

    return fill_
