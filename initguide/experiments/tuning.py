"""The best learning rate of each start, chosen on other seeds than those that are reported."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from statistics import fmean

from torch import nn
from torch.nn import functional as F

from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.rows import Rows, final_losses, grid

CHOOSING = (1_000_001, 1_000_002)
"""The seeds on which the learning rates are chosen."""

STRIDE = 10_000_000
"""The distance between the seeds of two networks whose losses are averaged."""

EQUAL = 1.01
"""Losses up to this factor above the least loss count as equal to it."""


def tuned(run: Callable[[list[int]], Rows], seeds: Iterable[int]) -> Rows:
    r"""Run a sweep over learning rates, and mark the best rate of each initialization.

    $$\eta^* = \arg\min_\eta \frac1m \sum_{s=1}^m \ell_s(\eta)$$

    The mean is over the seeds in `CHOOSING`, and a run that diverged makes it infinite. If several
    rates are within 1 % of the least loss, the one nearest to the middle of the grid is taken. So
    an initialization that learns at no rate has no best at an edge by chance.

    Args:
        run: A function of seeds. It returns one row per initialization, rate and seed, with
            `initialization`, `lr`, `seed` and `loss`.
        seeds: The seeds to report.

    Returns:
        The rows of the seeds to report, each with `best`, whether its rate is the best of its
        initialization. The loss of a run that diverged is inf.

    Raises:
        ValueError: A seed to report is one of `CHOOSING`, or an initialization has fewer than five
            rates.
    """
    seeds = list(seeds)
    if shared := set(seeds) & set(CHOOSING):
        raise ValueError(f"seeds must not be those that choose the rates; got {min(shared)}")
    rows = [
        row | {"loss": row["loss"] if math.isfinite(row["loss"]) else math.inf}
        for row in run([*seeds, *CHOOSING])
    ]
    choosing = [row for row in rows if row["seed"] in CHOOSING]
    names = dict.fromkeys(row["initialization"] for row in rows)
    best = {
        name: _best([row for row in choosing if row["initialization"] == name]) for name in names
    }
    return [
        row | {"best": row["lr"] == best[row["initialization"]]}
        for row in rows
        if row["seed"] not in CHOOSING
    ]


def averaged(
    run: Callable[[list[int]], Rows], networks: int, columns: Sequence[str] = ("loss",)
) -> Callable[[list[int]], Rows]:
    """Return an experiment that trains several networks per seed and gives the means over them.

    One network can learn, or fail to learn, by chance. The mean over a few depends less on chance.

    Args:
        run: A function of seeds that returns rows. For each seed they have the same order.
        networks: The number of networks per seed; each has a seed of its own.
        columns: The keys of the quantities to average.

    Returns:
        A function of seeds that returns the same rows with the means.
    """

    def means(seeds: list[int]) -> Rows:
        # All networks are trained at once.
        every = run([seed + k * STRIDE for k in range(networks) for seed in seeds])
        copies = [[row for row in every if row["seed"] // STRIDE == k] for k in range(networks)]
        return [
            rows[0] | {column: fmean(row[column] for row in rows) for column in columns}
            for rows in zip(*copies, strict=True)
        ]

    return means


def tuned_on_digits(
    network: Callable[[str, int], nn.Module],
    rates: Mapping[str, Sequence[float]],
    seeds: Iterable[int],
    *,
    steps: int,
    batch: int = 16,
    betas: tuple[float, float] | None = None,
    last: float = 0.1,
) -> Rows:
    """Train networks on the digits, and mark each initialization's best rate.

    Args:
        network: A function of the initialization's name and a seed. It returns a network.
        rates: The learning rates of each initialization.
        seeds: The seeds to report.
        steps: The number of updates.
        batch: The number of images in each step.
        betas: The decay rates of Adam; None is plain gradient descent.
        last: The share of the steps, at the end, whose losses count.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]. The loss is the mean over the last
        share of the steps.
    """
    return tuned(partial(_train, network, rates, steps, batch, betas, last), seeds)


def _train(
    network: Callable[[str, int], nn.Module],
    rates: Mapping[str, Sequence[float]],
    steps: int,
    batch: int,
    betas: tuple[float, float] | None,
    last: float,
    seeds: list[int],
) -> Rows:
    runs = [
        run for name in rates for run in grid(initialization=[name], lr=rates[name], seed=seeds)
    ]
    # One network stands for all rates: training copies its parameters.
    start = cache(network)
    models = [start(run["initialization"], run["seed"]) for run in runs]
    batches = shared_batches(digits(), batch, seeds, len(runs), steps)
    losses = descend(models, batches, F.cross_entropy, lr=[run["lr"] for run in runs], betas=betas)
    return final_losses(runs, losses, max(int(steps * last), 1))


def _best(rows: Rows) -> float:
    """Return the best learning rate of one initialization."""
    rates = sorted({row["lr"] for row in rows})
    if len(rates) < 5:
        raise ValueError(
            f"an initialization must have at least five learning rates; got {len(rates)}"
        )
    means = {rate: fmean(row["loss"] for row in rows if row["lr"] == rate) for rate in rates}
    least = min(means.values())
    equal = [i for i, rate in enumerate(rates) if means[rate] <= least * EQUAL]
    return rates[min(equal, key=lambda i: abs(2 * i - len(rates) + 1))]
