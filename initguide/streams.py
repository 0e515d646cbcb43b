"""Random streams by name and position: a value depends on nothing else.

Each block of a parameter's flattened full tensor is drawn from a stream of its own, seeded by
(seed, the parameter's name, the block's number). So values do not depend on the order in which
parameters are filled, on how many there are, or on which part of one a process holds.
"""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

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
        tensor: Any tensor that holds memory.
        draw_: Fills a one-dimensional tensor from a generator.
        seed: The seed of the whole model.
        name: The parameter's name.
    """
    generator = torch.Generator(tensor.device)
    values = tensor.detach()
    flat = values.view(-1) if values.is_contiguous() else torch.empty_like(values.flatten())
    for block, part in enumerate(flat.split(BLOCK)):
        draw_(part, generator_for(seed, name, block, generator))
    if not values.is_contiguous():
        values.copy_(flat.view(values.shape))


def draw_whole_(tensor: Tensor, draw_: Draw, seed: int, name: str) -> None:
    """Fill a tensor whose entries depend on each other, from one stream.

    Args:
        tensor: Any tensor that holds memory.
        draw_: Fills a tensor of this shape from a generator.
        seed: The seed of the whole model.
        name: The parameter's name.
    """
    draw_(tensor.detach(), generator_for(seed, name, 0, torch.Generator(tensor.device)))
