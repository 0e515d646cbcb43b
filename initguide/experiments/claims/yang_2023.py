r"""Yang et al. (2023): updates of the right spectral norm make one rate best at every width.

If a layer's weight has $n_\text{out}$ rows and $n_\text{in}$ columns, its update should have a
spectral norm in proportion to $\sqrt{n_\text{out} / n_\text{in}}$. Then its input of typical
entries of order 1 makes the output change by entries of order 1. Muon makes all singular values of
an update equal, so one factor gives it this norm. With another usual factor,
$0.2 \sqrt{\max(n_\text{out}, n_\text{in})}$, the entries of an update have the same size at every
width $n$, as in Adam. Then the norm of a hidden layer's update grows like $\sqrt n$, and the best
rate falls like $1/\sqrt n$.
"""

from collections.abc import Iterable, Sequence
from operator import sub

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, per_seed, rate_change
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.models import INITIALIZATIONS, seeded_mlp
from initguide.experiments.rows import Rows, final_losses, grid

EQUAL, SPECTRAL = "equal entries", "spectral"
WIDTHS = (64, 128, 192)
RATES = tuple(2.0**k for k in range(-6, 0))


@recorded
def run(
    seeds: Iterable[int],
    widths: Sequence[int] = WIDTHS,
    rates: Sequence[float] = RATES,
    batch: int = 128,
    steps: int = 20,
) -> Rows:
    """Train ReLU networks of several widths on the digits, by Muon at several rates.

    Args:
        seeds: One network per seed, scaling, width and rate.
        widths: The numbers of units of each of the two hidden layers.
        rates: The learning rates before the factor of each layer.
        batch: The number of images in each step.
        steps: The number of updates.

    Returns:
        One row per network: `initialization` (the scaling), `width`, `lr`, `seed` and `loss`, the
        mean over all steps.
    """
    data, seeds = digits(), list(seeds)
    runs = grid(lr=rates, seed=seeds)
    rows: Rows = []
    for scaling in (EQUAL, SPECTRAL):
        for width in widths:
            share = widths[0] / width if scaling == SPECTRAL else 1.0
            models = [_network(width, share, run["seed"]) for run in runs]
            lr = {
                name: [run["lr"] * _factor(scaling, p) for run in runs]
                for name, p in models[0].named_parameters()
            }
            batches = shared_batches(data, batch, seeds, len(runs), steps)
            losses = descend(models, batches, F.cross_entropy, lr=lr, muon=0.9)
            named = [{"initialization": scaling, "width": width} | run for run in runs]
            rows += final_losses(named, losses, steps)
    return rows


@torch.no_grad()
def _network(width: int, share: float, seed: int) -> nn.Module:
    model = seeded_mlp(INITIALIZATIONS["He"], (64, width, width, 10), seed=seed)
    head = model[-1]
    assert isinstance(head, nn.Linear)
    # From 1 / sqrt(n) to 1 / n, up to a constant, as the spectral condition asks.
    head.weight *= share**0.5
    return model


def _factor(scaling: str, parameter: Tensor) -> float:
    """Return the factor of the learning rate; a bias is a matrix of one column."""
    rows, columns = parameter.shape if parameter.dim() == 2 else (len(parameter), 1)
    return (rows / columns) ** 0.5 if scaling == SPECTRAL else 0.2 * max(rows, columns) ** 0.5


NARROW, WIDE = ({"width": WIDTHS[i]} for i in (0, -1))

CLAIM = Claim(
    paper="yang2023",
    short="With a spectral scale Muon's best rate fits wider networks.",
    headline="If Muon's updates have a spectral norm in proportion to √(fan_out / fan_in), the "
    "learning rate that is best for a narrow network is best for a wide one.",
    setup="Digits, two hidden ReLU layers of 64 to 192 units, Muon at six rates from 2⁻⁶ to 2⁻¹, "
    "mean loss of 20 steps.",
    run=run,
    checks=(
        Check(
            "Equal entries: change of log₂ of the best rate",
            rate_change(EQUAL, NARROW, WIDE),
            "<",
            0,
        ),
        Check(
            "Spectral: change of log₂ of the best rate",
            rate_change(SPECTRAL, NARROW, WIDE),
            ">",
            0,
            reproduced=False,
        ),
        Check(
            "Equal entries minus spectral: change",
            per_seed(sub, rate_change(EQUAL, NARROW, WIDE), rate_change(SPECTRAL, NARROW, WIDE)),
            "<",
            0,
        ),
    ),
    page="examples/yang-2023.py",
)
