"""Draw each value of a parameter from the seed, the parameter's name and the position alone.

Each block of the flattened full tensor has its own random stream, seeded by (seed, the
parameter's name, the block's number). So values do not depend on the order in which parameters are
filled, on their number, or on the part of a tensor that a process holds.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from initguide._sharding import is_sharded, rows_held, write_shards_

# A larger block makes seeding cheap. A smaller one wastes less where a shard holds a part of it.
BLOCK = 2**16

Draw = Callable[[Tensor, torch.Generator], object]


def generator_for(seed: int, name: str, block: int, generator: torch.Generator) -> torch.Generator:
    """Seed `generator` for one block of a parameter, and return it."""
    digest = hashlib.blake2b(f"{seed}/{name}/{block}".encode(), digest_size=8).digest()
    return generator.manual_seed(int.from_bytes(digest, "little") >> 1)


def draw_by_blocks_(tensor: Tensor, draw_: Draw, seed: int, name: str) -> None:
    """Fill a tensor block by block, if its entries are independent and identically distributed.

    Args:
        tensor: Any tensor with memory. Of a DTensor, only the blocks in this process are drawn.
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
    # The position of this process's first value in the full tensor.
    first = rows.start * (flat.numel() // max(len(rows), 1))

    def draw_block(block: int) -> None:
        start, stop = block * BLOCK, min((block + 1) * BLOCK, total)
        local = flat[max(start - first, 0) : stop - first]
        whole = local if len(local) == stop - start else flat.new_empty(stop - start)
        draw_(whole, generator_for(seed, name, block, torch.Generator(flat.device)))
        if whole is not local:
            skipped = max(first - start, 0)
            local.copy_(whole[skipped : skipped + len(local)])

    blocks = range(first // BLOCK, -(-(first + flat.numel()) // BLOCK))
    threads = torch.get_num_threads() if flat.device.type == "cpu" else 1
    if threads > 1 and len(blocks) > 2 * threads and not flat.is_inference():
        with ThreadPoolExecutor(threads) as pool:
            # A list, because an error in a thread shows where its result is read.
            list(pool.map(draw_block, blocks))
    else:
        for block in blocks:
            draw_block(block)
    if not values.is_contiguous():
        values.copy_(flat.view(values.shape))


def draw_whole_(tensor: Tensor, draw_: Draw, seed: int, name: str, *, keep: bool = False) -> None:
    """Fill a tensor from one random stream, if its entries depend on each other.

    Args:
        tensor: Any tensor with memory. A DTensor is drawn in full, and the local part is kept.
        draw_: Fills a tensor of this shape from a generator.
        seed: The seed of the whole model.
        name: The parameter's name.
        keep: Whether `draw_` reads the present values.
    """
    if is_sharded(tensor):
        write_shards_(tensor, lambda full: draw_whole_(full, draw_, seed, name), keep=keep)
        return
    draw_(tensor.detach(), generator_for(seed, name, 0, torch.Generator(tensor.device)))
