r"""Zagoruyko & Komodakis (2017): plain deep networks train if their kernels start as the identity.

A $3 \times 3$ kernel that is one at its centre, from channel $i$ to channel $i$, is the identity.
After the first ReLU the other ReLUs have no effect, because their inputs are not negative. So
twenty layers pass on the signal and the gradient unchanged. He's kernels keep the second moment,
but they make the outputs for all inputs more and more alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import sub

import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.convolutional import convolutions
from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.rows import Rows, grid, loss_curves
from initguide.methods.identity import dirac_
from initguide.methods.kaiming import kaiming_normal_

KERNELS = {"He": kaiming_normal_, "Dirac": lambda weight, generator: dirac_(weight)}
RATES: dict[str, tuple[float, ...]] = {"He": (0.01, 0.03, 0.1), "Dirac": (0.01, 0.03)}


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    depth: int = 20,
    channels: int = 8,
    batch: int = 20,
    steps: int = 100,
) -> Rows:
    """Train plain convolutional ReLU networks on the digits, without shortcuts and normalization.

    Args:
        seeds: One network per seed, initialization and rate.
        rates: The learning rates of each initialization.
        depth: The number of layers between the first layer, which has stride 2, and the head.
        channels: The number of channels of each layer.
        batch: The number of images in each step.
        steps: The number of updates.

    Returns:
        Rows every 10 steps: `initialization`, `lr`, `seed`, `step` and `loss`, the mean since the
        row before.
    """
    data, seeds = digits(), list(seeds)
    runs = [
        run for name in rates for run in grid(initialization=[name], lr=rates[name], seed=seeds)
    ]
    models = [_network(run["initialization"], depth, channels, run["seed"]) for run in runs]
    batches = shared_batches(data, batch, seeds, len(runs), steps)
    losses = descend(models, batches, F.cross_entropy, lr=[run["lr"] for run in runs])
    return loss_curves(runs, losses)


def _network(start: str, depth: int, channels: int, seed: int) -> nn.Module:
    return convolutions(
        depth,
        channels,
        nn.ReLU,
        KERNELS[start],
        first_=kaiming_normal_,
        generator=torch.Generator().manual_seed(seed),
    )


def _best(start: str) -> Values:
    """Return a function that gives each seed's last loss at the best rate for that seed."""
    return per_seed(min, *(_loss(start, lr) for lr in RATES[start]))


def _loss(start: str, lr: float) -> Values:
    return by_seed("loss", 20, initialization=start, lr=lr)


CLAIM = Claim(
    paper="zagoruyko2017",
    headline="Very deep networks without shortcuts train if their kernels start from the delta.",
    setup="Digits, 20 plain ReLU convolutions of 8 channels, 100 steps, a few rates each.",
    run=run,
    checks=(
        Check("Dirac, rate 0.01: loss", _loss("Dirac", 0.01), "<", 0.9),
        Check("He, the best rate for each seed: loss", _best("He"), ">", 1.2),
        Check(
            "He at the best rate minus Dirac at 0.01",
            per_seed(sub, _best("He"), _loss("Dirac", 0.01)),
            ">",
            0.6,
        ),
    ),
    page="examples/zagoruyko-2017.py",
)
