r"""Meng et al. (2024): LoRA from the largest singular values of the weight learns faster.

LoRA adds $BA$ to a frozen weight $W$ and starts from $B = 0$. PiSSA starts from the part of
$W = U S V^\top$ with the $r$ largest singular values: $B = U_r S_r^{1/2}$ and
$A = S_r^{1/2} V_r^\top$. It freezes the rest, $W - BA$, so the network starts where it was. Two
things differ from LoRA: both factors have gradients in the first step, and their directions are
those of the weight. A third start with random directions, but the same singular values, tells the
two apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import sub

from initguide.experiments.claims import hayou_2024
from initguide.experiments.claims.claim import Check, Claim, by_seed, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.rows import Rows

LORA, PISSA, TURNED = hayou_2024.RANDOM_A, hayou_2024.PISSA, hayou_2024.TURNED
SLOW = 0.003
RATES: dict[str, tuple[float, ...]] = dict.fromkeys(
    (LORA, PISSA, TURNED), (0.001, 0.0018, SLOW, 0.0055, 0.01, 0.018, 0.03)
)


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    width: int = 256,
    rank: int = 4,
    batch: int = 16,
    steps: int = 80,
) -> Rows:
    """Train networks on the digits, and then LoRA and PiSSA on the digits rotated by 90 degrees.

    Args:
        seeds: One network per seed, and one adapted network per seed, start and rate.
        rates: Adam's learning rates of each start.
        width: The number of units of each of the two hidden layers.
        rank: The rank of the factors in each of the three layers.
        batch: The number of images in each step.
        steps: The number of updates, first of the network and then of the factors.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]. The loss is the mean of all steps.
    """
    return hayou_2024.run(seeds, rates, width, rank, batch, steps)


CLAIM = Claim(
    paper="meng2024",
    short="LoRA learns faster from the largest singular values.",
    headline="LoRA learns faster if its factors start from the largest singular values of the "
    "weight and their vectors, because these matter most.",
    setup="Digits, then digits rotated by 90 degrees; ReLU layers of 256 units, factors of rank 4, "
    "mean loss of 80 steps of Adam, each start at the best of seven learning rates.",
    run=run,
    checks=(
        Check("Best rates, PiSSA minus LoRA: loss", lead(PISSA, LORA), "<", 0),
        Check(
            f"Rate {SLOW:g}, random directions minus LoRA: loss",
            per_seed(
                sub, *(by_seed("loss", initialization=name, lr=SLOW) for name in (TURNED, LORA))
            ),
            "<",
            0,
            supports=False,
        ),
    ),
    page="examples/meng-2024.py",
)
