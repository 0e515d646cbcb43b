r"""He et al. (2015): a network of 30 ReLU layers learns from their variance, but not from Xavier's.

With Xavier's variance $1/n$ each ReLU layer halves the second moments of the signal and of the
gradient. After 30 layers both are smaller by $2^{-30}$. He's $2/n$ keeps both.
"""

from collections.abc import Iterable, Sequence

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.models import INITIALIZATIONS
from initguide.experiments.rows import Rows
from initguide.experiments.training import train


@recorded
def run(
    seeds: Iterable[int],
    depths: Sequence[int] = (22, 30),
    width: int = 128,
    lr: float = 0.01,
    steps: int = 400,
) -> Rows:
    """Train ReLU networks on the digits, from Xavier's and from He's variance.

    Args:
        seeds: One network per seed and initialization.
        depths: The numbers of layers, including the output layer.
        width: The number of units of each hidden layer.
        lr: The learning rate.
        steps: The number of updates.

    Returns:
        The rows of [train][initguide.experiments.train], with `depth`.
    """
    pair = {name: INITIALIZATIONS[name] for name in ("Xavier", "He")}
    seeds = list(seeds)
    return [
        {"depth": depth} | row
        for depth in depths
        for row in train(
            pair, widths=(64, *[width] * (depth - 1), 10), lr=lr, steps=steps, seeds=seeds
        )
    ]


def _loss(depth: int, name: str) -> Values:
    return by_seed("loss", 50, depth=depth, initialization=name)


CLAIM = Claim(
    paper="he2015",
    headline="Of 22 ReLU layers He's start learns faster; of 30, Xavier's does not learn at all.",
    setup="Digits, ReLU layers of 128 units, 400 steps of gradient descent, learning rate 0.01.",
    run=run,
    checks=(
        Check("He, 22 layers: loss", _loss(22, "He"), "<", 1.0),
        Check("He, 30 layers: loss", _loss(30, "He"), "<", 1.0),
        Check("Xavier, 22 layers: loss", _loss(22, "Xavier"), ">", 2.25),
        Check("Xavier, 30 layers: loss", _loss(30, "Xavier"), ">", 2.25),
    ),
    page="examples/he-2015.py",
)
