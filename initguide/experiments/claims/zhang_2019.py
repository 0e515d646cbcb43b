r"""Zhang et al. (2019): Fixup trains residual networks without normalization at usual rates.

One step of rate $\eta$ moves a branch by $\eta$ times its gradient, and the network sums $L$
branches: to move by $\Theta(\eta)$ whatever the depth, each may contribute $\Theta(1/L)$. Fixup
zeroes the last layer of a branch and divides the first by $\sqrt L$, so that a step changes each
branch by its share.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.descent import curves, descend
from initguide.experiments.loop import batches_alike
from initguide.experiments.residual import residual

STARTS = ("He", "PyTorch default", "last / √(2L)", "last zero", "SkipInit", "Fixup")
SCALARS = {"SkipInit": ("scale",), "Fixup": ("scale", "biases")}
"""The scalars of a block that a start trains; the others keep theirs at one and zero."""


@recorded
def run(
    seeds: Iterable[int],
    rates: Sequence[float] = (0.01, 0.1),
    blocks: int = 50,
    width: int = 32,
    batch: int = 32,
    steps: int = 80,
) -> Rows:
    """Train residual networks without normalization on the digits.

    Args:
        seeds: One network for each seed, start and rate.
        rates: The learning rates.
        blocks: The number of residual blocks.
        width: The size of the residual stream.
        batch: The number of inputs in each step.
        steps: The number of updates.

    Returns:
        Rows every 10 steps: `initialization`, `lr`, `seed`, `step` and `loss`, the mean since the
        row before; nan once a run has diverged.
    """
    data, seeds = digits(), list(seeds)
    runs = [
        {"initialization": start, "lr": lr, "seed": seed}
        for start in STARTS
        for lr in rates
        for seed in seeds
    ]
    models = [
        residual(
            one["initialization"],
            blocks,
            width,
            generator=torch.Generator().manual_seed(one["seed"]),
        )
        for one in runs
    ]
    lr = {
        name: [one["lr"] if _trains(one["initialization"], name) else 0.0 for one in runs]
        for name, _ in models[0].named_parameters()
    }

    batches = batches_alike(data, batch, seeds, len(runs), steps)
    return curves(runs, descend(models, batches, F.cross_entropy, lr=lr))


def _trains(start: str, name: str) -> bool:
    scalar = name.rpartition(".")[2]
    return scalar not in ("scale", "biases") or scalar in SCALARS.get(start, ())


def _diverged(start: str, lr: float) -> Values:
    """Return a function that gives 1.0 for each seed whose run diverged, and 0.0 for others."""
    return per_seed(lambda loss: float(not math.isfinite(loss)), _loss(start, lr))


def _loss(start: str, lr: float) -> Values:
    return by_seed("loss", 20, initialization=start, lr=lr)


CLAIM = Claim(
    paper="zhang2019",
    headline="Without normalization a deep residual network trains from Fixup's start at a usual "
    "learning rate, where other starts diverge.",
    setup="Digits, 50 blocks of width 32 without normalization, 80 steps of gradient descent.",
    run=run,
    checks=(
        Check("Fixup, rate 0.1: loss", _loss("Fixup", 0.1), "<", 0.8),
        Check("He, rate 0.1: diverged", _diverged("He", 0.1), ">", 0.5),
        Check("He, rate 0.01: diverged", _diverged("He", 0.01), ">", 0.5),
        Check("last zero, rate 0.1: diverged", _diverged("last zero", 0.1), ">", 0.5),
        Check("last / √(2L), rate 0.1: diverged", _diverged("last / √(2L)", 0.1), ">", 0.5),
        Check("PyTorch default, rate 0.1: diverged", _diverged("PyTorch default", 0.1), ">", 0.5),
        Check(
            "PyTorch default, rate 0.01: loss",
            _loss("PyTorch default", 0.01),
            "<",
            0.8,
            for_it=False,
        ),
        Check("last zero, rate 0.01: loss", _loss("last zero", 0.01), "<", 0.8, for_it=False),
        Check("SkipInit, rate 0.01: loss", _loss("SkipInit", 0.01), "<", 1.5, for_it=False),
    ),
    page="examples/zhang-2019.py",
)
