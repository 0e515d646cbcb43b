"""Compare draws with right ones: first their special structure, then the entries that remain."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor

from initguide.diagnostics.mistakes import Shape
from initguide.diagnostics.report import Finding
from initguide.testing import structure
from initguide.testing.draws import LIMIT, VALUES, Draws, Source
from initguide.testing.entries import compare_entries, distribution_of

# A float32 draw may be zero once in ten million times.
_ZEROS = 0.005


def compare(
    found: list[Draws], right: list[Draws], source: Source, *, random: bool
) -> tuple[list[Finding], list[str]]:
    """Return the findings of draws at several shapes, and the names of the tests.

    The right draws show the special properties of their method: whether they are random at all, and
    whether they have equal rows, zeros or equal singular values. All other values are compared as
    independent numbers.

    Args:
        found: The draws of the function that is checked.
        right: The draws of the right initializer, at the same shapes.
        source: Where more of the right draws come from.
        random: Whether they are random.
    """
    if not random:
        return structure.compare_fixed(found, right), ["every value"]
    special = []
    pairs = list(zip(found, right, strict=True))
    blocks = [structure.block_of(other) for other in right]
    if any(block > 1 for block in blocks):
        special.append("equal outputs in each block")
        for (one, _), block in zip(pairs, blocks, strict=True):
            if findings := structure.compare_blocks(one, block):
                return findings, special
        pairs = [
            (_each(one, lambda d, b=block: d[::b]), _each(other, lambda d, b=block: d[::b]))
            for (one, other), block in zip(pairs, blocks, strict=True)
        ]
    random_zeros = any(structure.share_of_zeros(other) > _ZEROS for other in right)
    if random_zeros:
        special.append("the places of zeros")
        fixed = all(_zeros_are_fixed(other) for other in right)
        compare_zeros = structure.compare_places if fixed else structure.compare_sparsity
        for one, other in pairs:
            if findings := compare_zeros(one, other):
                return findings, special
        pairs = [(_nonzero(one, fixed), _nonzero(other, fixed)) for one, other in pairs]
    mine, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    gains = [gain for each in theirs if (gain := structure.gain_of(each.draws[0]))]
    if len(gains) == len(theirs):
        values = " or ".join(dict.fromkeys(f"{gain:.4g}" for gain in gains))
        special.append(f"all singular values, which must be {values}, and the distribution of Q")
        return structure.compare_orthogonal(mine, gains), special
    near = LIMIT * math.sqrt(sum(1 / min(map(_count, side)) for side in (mine, theirs)) / 2)
    special.append(f"mean and std, the std within {near:.1%}")
    distribution = distribution_of(theirs)
    special.append(f"distribution{'' if distribution == 'other' else f': {distribution}'}")
    std_of = cache(partial(_std_of, source, random_zeros))
    return compare_entries(mine, theirs, std_of, distribution), special


def _std_of(source: Source, random_zeros: bool, shape: Shape) -> float | None:
    """Return the std of a large right sample at a shape; None if there is none."""
    try:
        flat = source.draw(tuple(map(round, shape)), 4 * VALUES, least=1).flat
    except Exception:
        # Some methods do not take every shape, and anybody may have written the function.
        return None
    return (flat[flat != 0] if random_zeros else flat).std().item()


def _count(draws: Draws) -> int:
    return len(draws.flat)


def _each(draws: Draws, change: Callable[[Tensor], Tensor]) -> Draws:
    return replace(draws, draws=[change(draw) for draw in draws.draws])


def _zeros_are_fixed(draws: Draws) -> bool:
    zero = torch.stack(draws.draws).eq(0)
    return bool((zero.any(0) == zero.all(0)).all())


def _nonzero(draws: Draws, fixed: bool) -> Draws:
    """Return the entries that are not zero: at fixed places of a kernel, or all in one line."""
    first = draws.draws[0]
    if fixed and first.ndim > 2:
        places = first.flatten(2).ne(0).any(0).any(0)
        if bool(first.flatten(2)[..., places].ne(0).all()):
            return _each(draws, lambda draw: draw.flatten(2)[..., places].squeeze(-1))
    return _each(draws, lambda draw: draw[draw != 0])
