"""The best learning rate of each start, chosen on other seeds than those that are reported."""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from initguide.experiments.rows import Rows

CHOOSING = (1_000_001, 1_000_002)
"""The seeds on which the learning rates are chosen."""

EQUAL = 1.01
"""Losses up to this factor above the least loss count as equal to it."""


def tuned(
    run: Callable[[list[int]], Rows], seeds: Iterable[int], by: Sequence[str] = ("initialization",)
) -> Rows:
    r"""Run a sweep over learning rates, and mark the best rate of each arm.

    $$\eta^* = \arg\min_\eta \frac1m \sum_{s=1}^m \ell_s(\eta)$$

    The mean is over the seeds in `CHOOSING`, and a run that diverged makes it infinite. If several
    rates are within 1 % of the least loss, the one nearest to the middle of the grid is taken. So
    an arm that learns at no rate has no best at an edge by chance.

    Args:
        run: A function of seeds. It returns one row per arm, rate and seed, with the columns in
            `by`, `lr`, `seed` and `loss`.
        seeds: The seeds to report.
        by: The columns that tell the arms apart.

    Returns:
        The rows of the seeds to report, each with `best`, whether its rate is the best of its arm,
        and `at_edge`, whether that best rate is the smallest or largest of the grid. The loss of a
        run that diverged is inf.

    Raises:
        ValueError: A seed to report is one of `CHOOSING`, or an arm has fewer than five rates.
    """
    seeds = list(seeds)
    if shared := set(seeds) & set(CHOOSING):
        raise ValueError(f"seeds must not be those that choose the rates; got {min(shared)}")
    rows = [
        row | {"loss": row["loss"] if math.isfinite(row["loss"]) else math.inf}
        for row in run([*seeds, *CHOOSING])
    ]
    arms: dict[tuple[object, ...], Rows] = {}
    for row in rows:
        arms.setdefault(tuple(row[key] for key in by), []).append(row)
    marked: Rows = []
    for arm in arms.values():
        rates, best = _best(arm)
        edge = best in (rates[0], rates[-1])
        marked += [
            row | {"best": row["lr"] == best, "at_edge": edge}
            for row in arm
            if row["seed"] not in CHOOSING
        ]
    return marked


def _best(arm: Rows) -> tuple[list[float], float]:
    """Return the rates of an arm in increasing order, and the best of them."""
    rates = sorted({row["lr"] for row in arm})
    if len(rates) < 5:
        raise ValueError(f"an arm must have at least five learning rates; got {len(rates)}")
    means = {
        rate: fmean(row["loss"] for row in arm if row["lr"] == rate and row["seed"] in CHOOSING)
        for rate in rates
    }
    least = min(means.values())
    equal = [i for i, rate in enumerate(rates) if means[rate] <= least * EQUAL]
    return rates, rates[min(equal, key=lambda i: abs(2 * i - len(rates) + 1))]
