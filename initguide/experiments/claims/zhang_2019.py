r"""Zhang et al. (2019): Fixup trains residual networks without normalization at usual rates.

A step of rate $\eta$ changes a branch by $\eta$ times its gradient, and the network sums $N$
branches. To change the output by $\Theta(\eta)$ at any depth, each branch may contribute
$\Theta(\eta/N)$. Fixup sets the last layer of each branch to zero and divides the first layer by
$\sqrt N$, so that a step changes each branch by this amount.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.residual import residual
from initguide.experiments.rows import Rows, grid, loss_curves

STARTS = ("He", "PyTorch default", "last / √(2N)", "last zero", "SkipInit", "Fixup")
SCALARS = {"SkipInit": ("scale",), "Fixup": ("scale", "biases")}
"""The extra parameters of a block that each method trains; the others stay at one and zero."""


@recorded
def run(
    seeds: Iterable[int],
    rates: Sequence[float] = (0.01, 0.1),
    blocks: int = 50,
    width: int = 32,
    batch: int = 16,
    steps: int = 80,
) -> Rows:
    """Train residual networks without normalization on the digits.

    Args:
        seeds: One network per seed, initialization and rate.
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
    runs = grid(initialization=STARTS, lr=rates, seed=seeds)
    models = [
        residual(
            run["initialization"],
            blocks,
            width,
            generator=torch.Generator().manual_seed(run["seed"]),
        )
        for run in runs
    ]
    lr = {
        name: [run["lr"] if _trains(run["initialization"], name) else 0.0 for run in runs]
        for name, _ in models[0].named_parameters()
    }
    batches = shared_batches(data, batch, seeds, len(runs), steps)
    return loss_curves(runs, descend(models, batches, F.cross_entropy, lr=lr))


def _trains(start: str, name: str) -> bool:
    scalar = name.rpartition(".")[2]
    return scalar not in ("scale", "biases") or scalar in SCALARS.get(start, ())


def _diverged(start: str, lr: float) -> Values:
    """Return a function that gives 1.0 for a seed whose run diverged, and otherwise 0.0."""
    return per_seed(lambda loss: float(not math.isfinite(loss)), _loss(start, lr))


def _loss(start: str, lr: float) -> Values:
    return by_seed("loss", 20, initialization=start, lr=lr)


CLAIM = Claim(
    paper="zhang2019",
    short="From Fixup a network trains without normalization.",
    headline="Without normalization a deep residual network trains from Fixup's start at a usual "
    "learning rate, where other starts diverge (at a tenth of this rate most of them train).",
    setup="Digits, 50 blocks of width 32 without normalization, 80 steps of gradient descent.",
    run=run,
    checks=(
        Check("Loss, Fixup, rate 0.1", _loss("Fixup", 0.1), "<", 0.8),
        Check("Diverged (1) or not (0), He, rate 0.1", _diverged("He", 0.1), ">", 0.5),
        Check("Diverged, He, rate 0.01", _diverged("He", 0.01), ">", 0.5),
        Check("Diverged, last zero, rate 0.1", _diverged("last zero", 0.1), ">", 0.5),
        Check("Diverged, last / √(2N), rate 0.1", _diverged("last / √(2N)", 0.1), ">", 0.5),
        Check("Diverged, PyTorch default, rate 0.1", _diverged("PyTorch default", 0.1), ">", 0.5),
        Check(
            "Loss, PyTorch default, rate 0.01",
            _loss("PyTorch default", 0.01),
            "<",
            0.8,
        ),
        Check("Loss, last zero, rate 0.01", _loss("last zero", 0.01), "<", 0.8),
        Check("Loss, SkipInit, rate 0.01", _loss("SkipInit", 0.01), "<", 1.5),
    ),
    page="examples/zhang-2019.py",
)
