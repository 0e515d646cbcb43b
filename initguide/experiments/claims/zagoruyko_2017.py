r"""Zagoruyko & Komodakis (2017): plain deep networks train if their kernels start as the identity.

A $3 \times 3$ kernel that is one at its centre, from channel $i$ to channel $i$, is the identity.
After the first ReLU the other ReLUs have no effect, because their inputs are not negative. So
twenty layers pass on the signal and the gradient unchanged. He's kernels keep the second moment,
but they make the outputs for all inputs more and more alike.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from initguide.experiments.claims.claim import Check, Claim, at_best, lead
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.convolutional import convolutions
from initguide.experiments.rows import Rows
from initguide.experiments.tuning import tuned_on_digits
from initguide.methods.identity import dirac_
from initguide.methods.kaiming import kaiming_normal_

KERNELS = {"He": kaiming_normal_, "Dirac": lambda weight, generator: dirac_(weight)}
RATES: dict[str, tuple[float, ...]] = {
    "He": (0.003, 0.01, 0.03, 0.1, 0.3),
    "Dirac": (0.001, 0.003, 0.01, 0.03, 0.1),
}


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    depth: int = 20,
    channels: int = 8,
    batch: int = 16,
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
        The rows of [tuned][initguide.experiments.tuning.tuned]. The loss is the mean of the last
        tenth of the steps.
    """
    network = partial(_network, depth, channels)
    return tuned_on_digits(network, rates, seeds, steps=steps, batch=batch)


def _network(depth: int, channels: int, start: str, seed: int) -> nn.Module:
    return convolutions(
        depth,
        channels,
        nn.ReLU,
        KERNELS[start],
        first_=kaiming_normal_,
        generator=torch.Generator().manual_seed(seed),
    )


CLAIM = Claim(
    paper="zagoruyko2017",
    short="Plain deep networks train if kernels contain the delta.",
    headline="Deep networks without shortcuts train if their kernels contain the delta (tested: 20 "
    "layers, with the delta only at the start).",
    setup="Digits, 20 plain ReLU convolutions of 8 channels, 100 steps, each start at the best of "
    "five learning rates.",
    run=run,
    checks=(
        # Half of the loss of guessing.
        Check("Loss, delta", at_best("Dirac"), "<", math.log(10) / 2),
        Check("Loss, delta minus He", lead("Dirac", "He"), "<", 0),
    ),
    page="examples/zagoruyko-2017.py",
)
