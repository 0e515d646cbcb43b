"""Which mistake explains a wrong std, a wrong gain or a wrong distribution?"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from initguide.diagnostics.mistakes import DISTRIBUTIONS, MISTAKES, NEAR, Case, Known, Mistake


class Explanation(NamedTuple):
    """One mistake, or two at once.

    Attributes:
        kinds: The kinds of finding.
        text: The mistakes, after the words "as if".
        of_fans: Whether wrong fans are among them.
    """

    kinds: tuple[str, ...]
    text: str
    of_fans: bool


def explain(
    cases: Sequence[Case],
    known: Known,
    *,
    near: float = NEAR,
    tie: float = NEAR / 4,
    pairs: bool = True,
) -> list[Explanation]:
    """Return the mistakes that give the stds of all cases, in the order of the table.

    Args:
        cases: The weights with wrong stds.
        known: The right initializer.
        near: By how much a logarithm of a std may differ from its prediction.
        tie: Explanations that fit worse than the best one by less than this are returned as well,
            because chance may have made the difference.
        pairs: Whether two mistakes at once are tried, if one alone is not enough.
    """
    possible = [
        each
        for each in MISTAKES
        if (known.std_of or not each.shape) and all(holds(known, cases) for holds in each.possible)
    ]
    by_fans = [each for each in possible if each.shape]
    by_number = [each for each in possible if not each.shape]
    groups: list[list[tuple[Mistake, ...]]] = [[(each,) for each in possible]]
    if pairs:
        groups.append([*itertools.product(by_fans, by_number)])
    for group in groups:
        errors = [_error(cases, known, mistakes, near) for mistakes in group]
        limit = min(near, min(errors, default=math.inf) + tie)
        fits = [each for each, error in zip(group, errors, strict=True) if error < limit]
        if fits:
            return [
                Explanation(
                    tuple(kind for mistake in mistakes for kind in mistake.kinds),
                    ", and ".join(each.text for each in mistakes).format(gain=known.gain_text),
                    any(each.shape for each in mistakes),
                )
                for mistakes in fits
            ]
    return []


def _error(
    cases: Sequence[Case], known: Known, mistakes: tuple[Mistake, ...], near: float
) -> float:
    """Return by how much mistakes miss the stds found at worst, in logarithms."""
    errors, changes = [], []
    for case in cases:
        std = case.right
        for mistake in mistakes:
            if mistake.shape and known.std_of:
                shape = mistake.shape(case)
                std = known.std_of(shape) if shape else None
            else:
                std = mistake.std(std, known.gain or 1.0)
            if not std:
                return math.inf
        errors.append(abs(math.log(case.std / std)))
        changes.append(abs(math.log(case.right / std)))
    # A mistake that changes nothing here explains nothing.
    return max(errors) if max(changes) > 2 * near else math.inf


def gain_mistake(found: float, right: float, tolerance: float) -> str:
    """Return the kind of mistake in a gain that is known exactly, as of an orthogonal matrix."""
    mistakes = {
        "gain missing": 1.0,
        "gain squared": right**2,
        "gain under the root": math.sqrt(right),
    }
    for kind, gain in mistakes.items():
        if abs(found / gain - 1) < tolerance < abs(right / gain - 1):
            return kind
    return "gain wrong"


def wrong_distribution(right: str, found: str) -> str:
    """Return the kind of finding where one distribution was drawn in place of another."""
    if (right, found) == ("truncated", "normal"):
        return "truncation absolute"
    if right == found or right not in DISTRIBUTIONS or found not in DISTRIBUTIONS:
        return "wrong distribution"
    return f"{found} for {right}"
