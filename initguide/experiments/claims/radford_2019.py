r"""Radford et al. (2019): divide the last layer of each of N branches by the square root of N.

Each of $N$ branches adds an independent vector to the residual stream, so the second moment of the
stream grows in proportion to $N$. If the last layer of each branch is divided by $\sqrt N$, all
branches together add as much as one branch. If it starts at zero, as in Goyal et al. (2017), they
add nothing, and the stream passes all blocks unchanged.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import sub

import torch
from torch import nn

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.prenorm import prenorm
from initguide.experiments.rows import Rows
from initguide.experiments.tuning import tuned_on_digits

PLAIN, DIVIDED, ZERO = "not divided", "divided by √N", "zero"
SLOW = 0.0003
RATES: dict[str, tuple[float, ...]] = dict.fromkeys(
    (PLAIN, DIVIDED, ZERO), (SLOW, 0.001, 0.003, 0.01, 0.03)
)


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    blocks: int = 24,
    width: int = 32,
    steps: int = 60,
) -> Rows:
    """Train residual networks with LayerNorm before each branch on the digits, by Adam.

    Args:
        seeds: One network per seed, start of the last layers and rate.
        rates: Adam's learning rates of each start.
        blocks: The number N of residual branches, each with two Linear layers.
        width: The size of the residual stream.
        steps: The number of updates, on batches of 16.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]. The loss is the mean of the last
        tenth of the steps.
    """
    network = partial(_network, blocks, width)
    return tuned_on_digits(network, rates, seeds, steps=steps, betas=(0.9, 0.999))


def _network(blocks: int, width: int, start: str, seed: int) -> nn.Module:
    factor = {PLAIN: 1.0, DIVIDED: blocks**-0.5, ZERO: 0.0}[start]
    return prenorm(blocks, width, last=factor, generator=torch.Generator().manual_seed(seed))


def _loss(start: str) -> Values:
    return by_seed("loss", initialization=start, lr=SLOW)


CLAIM = Claim(
    paper="radford2019",
    short="Smaller last layers of the branches speed up learning.",
    headline="A deep residual network learns faster if the last layers of its branches start "
    "divided by the square root of their number (the report gives the rule only), or at zero.",
    setup="Digits, 24 branches of two Linear layers of 32 units with LayerNorm, 60 steps of Adam, "
    "each start at five learning rates.",
    run=run,
    checks=(
        *(
            Check(
                f"Loss at rate {SLOW:g}, {start} minus not divided",
                per_seed(sub, _loss(start), _loss(PLAIN)),
                "<",
                0,
            )
            for start in (DIVIDED, ZERO)
        ),
        *(
            Check(
                f"Loss at the best rates, {start} minus not divided",
                lead(start, PLAIN),
                "<",
                0,
                reproduced=False,
            )
            for start in (DIVIDED, ZERO)
        ),
    ),
    page="examples/radford-2019.py",
)
