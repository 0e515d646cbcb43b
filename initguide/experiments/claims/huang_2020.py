r"""Huang et al. (2020): from T-Fixup's weights a Transformer needs no LayerNorm and no warm-up.

Without LayerNorm each of the $2L$ branches adds a part of its input to the stream, so the stream
and its gradient grow with the number $L$ of blocks. T-Fixup multiplies the embeddings and the
weights inside the branches by $0.67\, L^{-1/4}$, except those of queries and keys. A branch has two
such matrices in a row, so its change of the stream falls by $L^{-1/2}$, and the sum of all changes
in one step of the optimizer stays bounded.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from initguide.experiments.claims import xiong_2020
from initguide.experiments.claims.claim import Check, Claim, at_best, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.rows import Rows

PLAIN, WARMED, FIXUP = "no LN", f"no LN{xiong_2020.WARMED}", "T-Fixup"
RATES: dict[str, tuple[float, ...]] = dict.fromkeys((PLAIN, WARMED, FIXUP), xiong_2020.LOW)


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    warmup: int = 50,
    depth: int = 6,
    half: int = 2,
    steps: int = 150,
) -> Rows:
    """Train Transformers without LayerNorm by Adam to reverse a few random tokens.

    Args:
        seeds: One network per seed, start and rate.
        rates: The learning rates of each start.
        warmup: The number of steps in which the rate grows to its full value; this concerns the
            start with warm-up.
        depth: The number of blocks, of width 16.
        half: The number of tokens to reverse.
        steps: The number of updates, on batches of 8.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]. The loss is the mean of the last
        tenth of the steps.
    """
    return xiong_2020.run(seeds, rates, warmup, depth, half=half, steps=steps)


CLAIM = Claim(
    paper="huang2020",
    short="From T-Fixup a Transformer learns without LayerNorm.",
    headline="Without LayerNorm and without warm-up a Transformer learns from T-Fixup's smaller "
    "weights, and ends lower than from Xavier's.",
    setup="Reverse 2 of 15 tokens; 6 blocks of width 16 without LayerNorm, 150 steps of Adam, each "
    "start at the best of five learning rates.",
    run=run,
    checks=(
        # A loss within 5 % of guessing counts as not having learned.
        Check(
            "T-Fixup: share of chance",
            per_seed(lambda loss: loss / math.log(xiong_2020.TOKENS - 1), at_best(FIXUP)),
            "<",
            0.95,
        ),
        Check("T-Fixup minus Xavier: loss", lead(FIXUP, PLAIN), "<", 0),
        Check("T-Fixup minus Xavier with warm-up: loss", lead(FIXUP, WARMED), "<", 0),
    ),
    page="examples/huang-2020.py",
)
