r"""Dey et al. (2025): with branches divided by the depth, one learning rate fits every depth.

CompleteP computes $h + \frac1N f(h)$ in each of $N$ residual branches. A step of Adam changes every
branch by about its rate $\eta$, and these changes add up to $N\,\eta$. The factor $1/N$ makes this
sum independent of the depth. Without it the stream grows like $\sqrt N$, so the step changes it by
$\sqrt N\,\eta$ relative to its size, and the best rate falls like $1/\sqrt N$.
"""

import math
from collections.abc import Iterable, Sequence
from operator import sub

import torch
from torch.nn import functional as F

from initguide.experiments.claims.claim import (
    Check,
    Claim,
    per_seed,
    rate_change,
    transferred,
)
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.prenorm import prenorm
from initguide.experiments.rows import Rows, final_losses, grid

STANDARD, COMPLETE = "standard", "CompleteP"
DEPTHS = (2, 6, 18)
RATES = tuple(2.0**k for k in range(-10, -3))


@recorded
def run(
    seeds: Iterable[int],
    depths: Sequence[int] = DEPTHS,
    rates: Sequence[float] = RATES,
    width: int = 32,
    batch: int = 32,
    steps: int = 40,
) -> Rows:
    """Train residual networks of several depths on the digits, by Adam at several rates.

    Args:
        seeds: One network per seed, parametrization, depth and rate.
        depths: The numbers of blocks. At the first depth both parametrizations are equal.
        rates: Adam's learning rates.
        width: The size of the residual stream.
        batch: The number of images in each step.
        steps: The number of updates.

    Returns:
        One row per network: `initialization` (the parametrization), `depth`, `lr`, `seed` and
        `loss`, the mean over all steps.
    """
    data, seeds = digits(), list(seeds)
    rows: Rows = []
    for depth in depths:
        runs = grid(initialization=[STANDARD, COMPLETE], lr=rates, seed=seeds)
        # One network stands for all rates: training copies its parameters.
        starts = {
            (name, seed): prenorm(
                depth,
                width,
                multiplier=depths[0] / depth if name == COMPLETE else 1.0,
                generator=torch.Generator().manual_seed(seed),
            )
            for name in (STANDARD, COMPLETE)
            for seed in seeds
        }
        models = [starts[run["initialization"], run["seed"]] for run in runs]
        batches = shared_batches(data, batch, seeds, len(runs), steps)
        lr = [run["lr"] for run in runs]
        losses = descend(models, batches, F.cross_entropy, lr=lr, betas=(0.9, 0.999))
        rows += [{"depth": depth} | row for row in final_losses(runs, losses, steps)]
    return rows


SHALLOW, DEEP = ({"depth": DEPTHS[i]} for i in (0, -1))
# Half of the change that 1 / sqrt(N) predicts for the standard parametrization.
HALF = math.log2((DEPTHS[0] / DEPTHS[-1]) ** 0.5) / 2

CLAIM = Claim(
    paper="dey2025",
    short="In CompleteP one rate fits shallow and deep networks.",
    headline="If the branches of a residual network are divided by the depth, the learning rate "
    "that is best for a shallow network is best for a deep one.",
    setup="Digits, 2 to 18 branches of two Linear layers of 32 units with LayerNorm, Adam at seven "
    "rates from 2⁻¹⁰ to 2⁻⁴, mean loss of 40 steps.",
    run=run,
    checks=(
        Check(
            "Change of the best rate (log₂), standard",
            rate_change(STANDARD, SHALLOW, DEEP),
            "<",
            HALF,
        ),
        Check(
            "Change of the best rate (log₂), CompleteP",
            rate_change(COMPLETE, SHALLOW, DEEP),
            ">",
            HALF,
            reproduced=False,
        ),
        Check(
            "Change of the best rate (log₂), standard minus CompleteP",
            per_seed(
                sub, rate_change(STANDARD, SHALLOW, DEEP), rate_change(COMPLETE, SHALLOW, DEEP)
            ),
            "<",
            0,
        ),
        Check(
            "Loss of 18 branches at the best rate of 2, CompleteP minus standard",
            per_seed(
                sub, transferred(COMPLETE, SHALLOW, DEEP), transferred(STANDARD, SHALLOW, DEEP)
            ),
            "<",
            0,
        ),
    ),
    page="examples/dey-2025.py",
)
