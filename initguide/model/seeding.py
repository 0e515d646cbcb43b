"""Random streams by name and position: a value depends on nothing else.

Each block of a parameter's flattened full tensor is drawn from a stream of its own, seeded by
(seed, the parameter's name, the block's number). So values do not depend on the order in which
parameters are filled, on how many there are, or on which part of one a process holds.
"""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from initguide._sharding import is_sharded, rows_held, write_shards_

# Large enough that seeding costs nothing, small enough to draw what others own and drop it.
BLOCK = 2**16

Draw = Callable[[Tensor, torch.Generator], object]


def generator_for(seed: int, name: str, block: int, generator: torch.Generator) -> torch.Generator:
    """Seed `generator` for a block of a parameter, and return it."""
    digest = hashlib.blake2b(f"{seed}/{name}/{block}".encode(), digest_size=8).digest()
    return generator.manual_seed(int.from_bytes(digest, "little") >> 1)


def draw_by_blocks_(tensor: Tensor, draw_: Draw, seed: int, name: str) -> None:
    """Fill a tensor whose entries are independent and alike, block by block.

    Args:
        tensor: Any tensor that holds memory; of a DTensor, only the blocks held here are drawn.
        draw_: Fills a one-dimensional tensor from a generator.
        seed: The seed of the whole model.
        name: The parameter's name.
    """
    rows = rows_held(tensor) if is_sharded(tensor) else range(len(tensor) if tensor.ndim else 1)
    if rows is None:
        write_shards_(tensor, lambda full: draw_by_blocks_(full, draw_, seed, name))
        return
    values: Tensor = tensor.detach()
    total = values.numel()
    if is_sharded(tensor):
        values = values.to_local()  # pyright: ignore[reportAttributeAccessIssue]
    flat = values.view(-1) if values.is_contiguous() else torch.empty_like(values.flatten())
    generator = torch.Generator(flat.device)
    # Where this process's values begin in the whole, in entries.
    first = rows.start * (flat.numel() // max(len(rows), 1))
    for block in range(first // BLOCK, -(-(first + flat.numel()) // BLOCK)):
        start, stop = block * BLOCK, min((block + 1) * BLOCK, total)
        held = flat[max(start - first, 0) : stop - first]
        whole = held if len(held) == stop - start else flat.new_empty(stop - start)
        draw_(whole, generator_for(seed, name, block, generator))
        if whole is not held:
            skipped = max(first - start, 0)
            held.copy_(whole[skipped : skipped + len(held)])
    if not values.is_contiguous():
        values.copy_(flat.view(values.shape))


def draw_whole_(tensor: Tensor, draw_: Draw, seed: int, name: str, *, keep: bool = False) -> None:
    """Fill a tensor whose entries depend on each other, from one stream.

    Args:
        tensor: Any tensor that holds memory; a DTensor is drawn whole, and the rest dropped.
        draw_: Fills a tensor of this shape from a generator.
        seed: The seed of the whole model.
        name: The parameter's name.
        keep: Whether `draw_` may read what is there.
    """
    if is_sharded(tensor):
        write_shards_(tensor, lambda full: draw_whole_(full, draw_, seed, name), keep=keep)
        return
    draw_(tensor.detach(), generator_for(seed, name, 0, torch.Generator(tensor.device)))
