r"""He et al. (2015): a network of 30 ReLU layers learns from their variance, but not from Xavier's.

With Xavier's variance $1/n$ each ReLU layer halves the second moments of the signal and of the
gradient. After 30 layers both are smaller by $2^{-30}$. He's $2/n$ keeps both.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import sub

from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, at_best, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.models import INITIALIZATIONS, seeded_mlp
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.tuning import tuned

RATES: dict[str, tuple[float, ...]] = {
    "Xavier": (0.01, 0.03, 0.1, 0.3, 1.0),
    "He": (0.001, 0.003, 0.01, 0.03, 0.1),
}


@recorded
def run(
    seeds: Iterable[int],
    depths: Sequence[int] = (22, 30),
    width: int = 64,
    rates: Mapping[str, Sequence[float]] = RATES,
    steps: int = 300,
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
        for row in tuned(lambda some, d=depth: _sweep(some, d, width, rates, steps), seeds)
    ]


def _sweep(
    seeds: list[int], depth: int, width: int, rates: Mapping[str, Sequence[float]], steps: int
) -> Rows:
    runs = [
        run for name in rates for run in grid(initialization=[name], lr=rates[name], seed=seeds)
    ]
    widths = (64, *[width] * (depth - 1), 10)
    models = [
        seeded_mlp(INITIALIZATIONS[run["initialization"]], widths, seed=run["seed"]) for run in runs
    ]
    batches = shared_batches(digits(), 16, seeds, len(runs), steps)
    losses = descend(models, batches, F.cross_entropy, lr=[run["lr"] for run in runs])
    return final_losses(runs, losses, max(steps // 10, 1))


def _loss(depth: int, name: str) -> Values:
    return at_best(depth=depth, initialization=name)


def _share(depth: int, name: str) -> Values:
    """Return a function that gives each seed's loss as a share of the loss of guessing."""
    return per_seed(lambda loss: loss / math.log(10), _loss(depth, name))


CLAIM = Claim(
    paper="he2015",
    headline="Of 22 ReLU layers He's start learns faster; of 30, Xavier's does not learn at all.",
    setup="Digits, ReLU layers of 64 units, 300 steps of gradient descent, each start at the best "
    "of five learning rates.",
    run=run,
    checks=(
        Check(
            "22 layers, He minus Xavier: loss",
            per_seed(sub, _loss(22, "He"), _loss(22, "Xavier")),
            "<",
            0,
        ),
        Check(
            "30 layers, He minus Xavier: loss",
            per_seed(sub, _loss(30, "He"), _loss(30, "Xavier")),
            "<",
            0,
        ),
        # A loss within 5 % of guessing counts as not having learned.
        Check("Xavier, 30 layers: share of chance", _share(30, "Xavier"), ">", 0.95),
    ),
    page="examples/he-2015.py",
)
