r"""Zhu et al. (2025): a tanh with a learned factor can take the place of LayerNorm.

Dynamic tanh computes $\gamma \tanh(\alpha x) + \beta$ for each entry. Near zero it multiplies by
$\alpha$, and it cuts large entries off, as LayerNorm does with outliers. The paper starts $\alpha$
at 0.5. A smaller $\alpha$ makes the branches of a residual network smaller at the start. A larger
one saturates the tanh, so that less gradient passes through it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from initguide.experiments.claims.claim import Check, Claim, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.prenorm import DyT, prenorm
from initguide.experiments.rows import Rows
from initguide.experiments.tuning import tuned_on_digits

NORMS = {
    "LayerNorm": nn.LayerNorm,
    "α = 0.1": partial(DyT, alpha=0.1),
    "α = 0.5": partial(DyT, alpha=0.5),
    "α = 4": partial(DyT, alpha=4.0),
}
RATES: dict[str, tuple[float, ...]] = dict.fromkeys(NORMS, (0.0003, 0.001, 0.003, 0.01, 0.03)) | {
    "α = 0.1": (0.001, 0.003, 0.01, 0.03, 0.1)
}


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    blocks: int = 8,
    width: int = 32,
    steps: int = 80,
) -> Rows:
    """Train residual networks on the digits by Adam, with LayerNorm or with dynamic tanh.

    Args:
        seeds: One network per seed, norm and rate.
        rates: Adam's learning rates of each norm, by its name in `NORMS`.
        blocks: The number of residual blocks, each with two Linear layers.
        width: The size of the residual stream.
        steps: The number of updates, on batches of 16.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]; `initialization` is the norm. The
        loss is the mean of all steps.
    """
    seeds = list(seeds)
    # LayerNorm and dynamic tanh have other parameters, so they cannot be trained at once.
    alone = {name: some for name, some in rates.items() if name == "LayerNorm"}
    return [
        row
        for some in (alone, {name: rates[name] for name in rates if name not in alone})
        for row in tuned_on_digits(
            partial(_network, blocks, width), some, seeds, steps=steps, betas=(0.9, 0.999), last=1
        )
    ]


def _network(blocks: int, width: int, norm: str, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return prenorm(blocks, width, norm=NORMS[norm], generator=generator)


CLAIM = Claim(
    paper="zhu2025",
    short="tanh(αx) can replace LayerNorm if α starts at 0.5.",
    headline="With tanh(αx) in the place of LayerNorm a residual network trains as well if α "
    "starts at 0.5, and worse if α starts too large.",
    setup="Digits, 8 branches of two Linear layers of 32 units, 80 steps of Adam, each network at "
    "the best of five learning rates by the mean loss of all steps.",
    run=run,
    checks=(
        # A difference of 5 % of the loss of guessing counts as a difference.
        Check(
            "Loss as a share of chance, α = 0.5 minus LayerNorm",
            per_seed(lambda loss: loss / math.log(10), lead("α = 0.5", "LayerNorm")),
            "<",
            0.05,
        ),
        Check("Loss, α = 4 minus α = 0.5", lead("α = 4", "α = 0.5"), ">", 0),
    ),
    page="examples/zhu-2025.py",
)
