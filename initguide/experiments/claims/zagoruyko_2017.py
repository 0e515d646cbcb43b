r"""Zagoruyko & Komodakis (2017): plain deep networks train from the delta as from shortcuts.

A $3 \times 3$ kernel that is one at its centre, from channel $i$ to channel $i$, is the identity,
and behind a first ReLU the others change nothing: twenty layers hand on what the first one saw, and
each one's gradient reaches it whole. He's kernels keep the second moment, but turn all inputs into
the same few channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import sub

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.convolutional import convolutions
from initguide.experiments.data import digits
from initguide.experiments.descent import curves, descend
from initguide.experiments.loop import batches_alike
from initguide.methods.identity import dirac_
from initguide.methods.kaiming import kaiming_normal_


def _he(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    return kaiming_normal_(weight, nonlinearity="relu", generator=generator)


KERNELS = {"He": _he, "Dirac": lambda weight, generator: dirac_(weight)}
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
    """Train plain convolutional networks on the digits: ReLUs, no shortcut, no normalization.

    Args:
        seeds: One network for each seed, start and rate.
        rates: The learning rates of each start.
        depth: The number of layers between the first, of stride 2, and the head.
        channels: The channels of each layer.
        batch: The number of images in each step.
        steps: The number of updates.

    Returns:
        Rows every 10 steps: `initialization`, `lr`, `seed`, `step` and `loss`, the mean since the
        row before.
    """
    data, seeds = digits(), list(seeds)
    runs = [
        {"initialization": start, "lr": lr, "seed": seed}
        for start in rates
        for lr in rates[start]
        for seed in seeds
    ]
    models = [_network(one["initialization"], depth, channels, one["seed"]) for one in runs]
    batches = batches_alike(data, batch, seeds, len(runs), steps)
    losses = descend(models, batches, F.cross_entropy, lr=[one["lr"] for one in runs])
    return curves(runs, losses)


def _network(start: str, depth: int, channels: int, seed: int) -> nn.Module:
    return convolutions(
        depth,
        channels,
        nn.ReLU,
        KERNELS[start],
        first_=_he,
        generator=torch.Generator().manual_seed(seed),
    )


def _best(start: str) -> Values:
    """Return a function that gives each seed's last loss at the rate that suits that seed best."""
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
            "He at its best less Dirac at 0.01",
            per_seed(sub, _best("He"), _loss("Dirac", 0.01)),
            ">",
            0.6,
        ),
    ),
    page="examples/zagoruyko-2017.py",
)
