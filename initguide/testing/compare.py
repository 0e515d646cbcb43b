"""Compare draws with what is right, whatever is special about that, peeled off layer by layer."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from initguide.testing import structure
from initguide.testing.adapters import Shape
from initguide.testing.draws import LIMIT, VALUES, Draws, Source
from initguide.testing.entries import judge_entries, law_of
from initguide.testing.judgment import Fault

# A float32 draw may be zero once in ten million times.
_ZEROS = 0.005


def compare(
    found: list[Draws], right: list[Draws], source: Source, *, random: bool
) -> tuple[list[Fault], str]:
    """Return the faults of draws at several shapes, and what was compared.

    What is right is not looked up but looked at: whether it leaves anything to chance, has equal
    rows, zeros, equal singular values. What is left is compared as independent numbers.

    Args:
        found: The reader's draws.
        right: Those of what is right, at the same shapes.
        source: Where more of those come from.
        random: Whether chance has a say in them.
    """
    if not random:
        return structure.judge_fixed(found, right), "every value is right"
    special = []
    pairs = list(zip(found, right, strict=True))
    blocks = [structure.block_of(other) for other in right]
    if any(block > 1 for block in blocks):
        special.append("equal outputs in each block")
        for (one, _), block in zip(pairs, blocks, strict=True):
            if faults := structure.judge_blocks(one, block):
                return faults, ""
        pairs = [
            (_each(one, lambda d, b=block: d[::b]), _each(other, lambda d, b=block: d[::b]))
            for (one, other), block in zip(pairs, blocks, strict=True)
        ]
    random_zeros = any(structure.share_of_zeros(other) > _ZEROS for other in right)
    if random_zeros:
        special.append("zeros where they are to be")
        fixed = all(_zeros_are_fixed(other) for other in right)
        judge = structure.judge_places if fixed else structure.judge_sparsity
        for one, other in pairs:
            if faults := judge(one, other):
                return faults, ""
        pairs = [(_others(one, fixed), _others(other, fixed)) for one, other in pairs]
    mine, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    gains = [gain for each in theirs if (gain := structure.gain_of(each.draws[0]))]
    if len(gains) == len(theirs):
        values = " or ".join(dict.fromkeys(f"{gain:.4g}" for gain in gains))
        special.append(f"all singular values are {values}, and Q is uniformly distributed")
        return structure.judge_orthogonal(mine, gains), ", ".join(special)

    @cache
    def std_of(shape: Shape) -> float | None:
        try:
            flat = source.draw(shape, 4 * VALUES, least=1).flat
        except Exception:
            # Not each law has every shape, and it may be anybody's function.
            return None
        return (flat[flat != 0] if random_zeros else flat).std().item()

    near = LIMIT * math.sqrt(sum(1 / min(map(_count, side)) for side in (mine, theirs)) / 2)
    special.append(f"mean and std, this within {near:.1%}")
    law = law_of(theirs)
    special.append("law" if law == "other" else f"law, {law}")
    return judge_entries(mine, theirs, std_of, law), ", ".join(special)


def _count(draws: Draws) -> int:
    return len(draws.flat)


def _each(draws: Draws, change: Callable[[Tensor], Tensor]) -> Draws:
    return replace(draws, draws=[change(draw) for draw in draws.draws])


def _zeros_are_fixed(draws: Draws) -> bool:
    zero = torch.stack(draws.draws).eq(0)
    return bool((zero.any(0) == zero.all(0)).all())


def _others(draws: Draws, fixed: bool) -> Draws:
    """Return the entries that are not zero: at fixed places of a kernel, or all in one line."""
    first = draws.draws[0]
    if fixed and first.ndim > 2:
        places = first.flatten(2).ne(0).any(0).any(0)
        if bool(first.flatten(2)[..., places].ne(0).all()):
            return _each(draws, lambda draw: draw.flatten(2)[..., places].squeeze(-1))
    return _each(draws, lambda draw: draw[draw != 0])
