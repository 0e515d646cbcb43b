r"""He et al. (2015): a network of 30 ReLU layers learns from their variance, but not from Xavier's.

With Xavier's variance $1/n$ each ReLU layer halves the second moments of the signal and of the
gradient. After 30 layers both are smaller by $2^{-30}$. He's $2/n$ keeps both.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from torch import nn

from initguide.experiments.claims.claim import Check, Claim, at_best, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.models import INITIALIZATIONS, seeded_mlp
from initguide.experiments.rows import Rows
from initguide.experiments.tuning import tuned_on_digits

RATES: dict[str, tuple[float, ...]] = {
    "Xavier": (0.01, 0.03, 0.1, 0.3, 1.0),
    "He": (0.001, 0.003, 0.01, 0.03, 0.1),
}


@recorded
def run(
    seeds: Iterable[int],
    depths: Sequence[int] = (22, 30),
    width: int = 48,
    rates: Mapping[str, Sequence[float]] = RATES,
    steps: int = 200,
) -> Rows:
    """Train ReLU networks on the digits, from Xavier's and from He's variance, at several rates.

    Args:
        seeds: One network per seed, depth, initialization and rate.
        depths: The numbers of layers, including the output layer.
        width: The number of units of each hidden layer.
        rates: The learning rates of each initialization.
        steps: The number of updates, on batches of 16.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned] with `depth`. The loss is the mean
        of the last tenth of the steps.
    """
    return [
        {"depth": depth} | row
        for depth in depths
        for row in tuned_on_digits(partial(_network, depth, width), rates, seeds, steps=steps)
    ]


def _network(depth: int, width: int, name: str, seed: int) -> nn.Module:
    return seeded_mlp(INITIALIZATIONS[name], (64, *[width] * (depth - 1), 10), seed=seed)


CLAIM = Claim(
    paper="he2015",
    short="30 ReLU layers learn from He and not from Xavier.",
    headline="A network of 22 ReLU layers learns faster from He's variance than from Xavier's "
    "(here it does not learn from Xavier's). A network of 30 layers does "
    "not learn from Xavier's at all.",
    setup="Digits, ReLU layers of 48 units, 200 steps of gradient descent, each start at the best "
    "of five learning rates.",
    run=run,
    checks=(
        Check("Loss of 22 layers, He minus Xavier", lead("He", "Xavier", depth=22), "<", 0),
        Check("Loss of 30 layers, He minus Xavier", lead("He", "Xavier", depth=30), "<", 0),
        # A loss within 5 % of guessing counts as not having learned.
        Check(
            "Loss of 30 layers, Xavier, as a share of chance",
            per_seed(lambda loss: loss / math.log(10), at_best("Xavier", depth=30)),
            ">",
            0.95,
        ),
    ),
    page="examples/he-2015.py",
)
