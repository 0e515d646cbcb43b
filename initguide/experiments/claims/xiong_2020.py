r"""Xiong et al. (2020): a Transformer with LayerNorm after each sum needs warm-up.

In post-LN the gradient of the last block's weights does not shrink with the depth N. In pre-LN it
shrinks like $1/\sqrt N$. So the first steps at the full rate are too large for post-LN, but not for
pre-LN. Wang et al. (2022) keep post-LN and give the branch less weight: they compute
$\operatorname{LN}(\alpha h + f(h))$ with $\alpha = (2N)^{1/4}$, and multiply the weights of the
branch by $(8N)^{-1/4}$.
"""

from collections.abc import Iterable, Iterator
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.descent import descend
from initguide.experiments.rows import Rows, grid, loss_curves
from initguide.experiments.transformer import STYLES, transformer

TOKENS = 16
WARMED = "post-LN, warm-up"


@recorded
def run(
    seeds: Iterable[int],
    lr: float = 0.003,
    warmup: int = 120,
    depth: int = 12,
    width: int = 16,
    half: int = 3,
    batch: int = 16,
    steps: int = 160,
) -> Rows:
    """Train Transformers by Adam to reverse a few random tokens.

    Args:
        seeds: One network per seed and style, and one per seed of post-LN with warm-up.
        lr: Adam's learning rate; its betas are 0.9 and 0.98.
        warmup: The number of steps in which the rate grows to `lr` in the networks with warm-up.
        depth: The number of blocks.
        width: The size of the residual stream.
        half: The number of tokens to reverse.
        batch: The number of sequences in each step. No sequence is used again.
        steps: The number of updates.

    Returns:
        Rows every 10 steps: `initialization` (the style, or `WARMED`), `seed`, `step` and `loss`,
        the mean since the row before.
    """
    seeds = list(seeds)
    runs = grid(initialization=(*STYLES, WARMED), seed=seeds)
    models = [
        transformer(
            "post-LN" if run["initialization"] == WARMED else run["initialization"],
            tokens=TOKENS,
            positions=2 * half,
            width=width,
            depth=depth,
            generator=torch.Generator().manual_seed(run["seed"]),
        )
        for run in runs
    ]

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for _ in range(steps):
            # Token 0 separates the sequence from its reverse.
            draws = [torch.randint(1, TOKENS, (batch, half), generator=g) for g in generators]
            some = torch.stack(draws).repeat(len(STYLES) + 1, 1, 1)
            whole = torch.cat([some, torch.zeros_like(some[..., :1]), some.flip(-1)], -1)
            yield F.one_hot(whole[..., :-1], TOKENS).float(), some.flip(-1)

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(scores[:, half:].flatten(0, 1), y.flatten())

    losses = descend(
        models,
        batches(),
        loss,
        lr=[lr] * len(models),
        betas=(0.9, 0.98),
        warmup=[warmup if run["initialization"] == WARMED else 1 for run in runs],
    )
    return loss_curves(runs, losses)


def _loss(style: str) -> Values:
    return by_seed("loss", 20, initialization=style)


def _gained(rows: Rows) -> list[float]:
    """Return the mean loss without warm-up minus the loss of each network with warm-up."""
    without = fmean(_loss("post-LN")(rows))
    return [without - loss for loss in _loss(WARMED)(rows)]


CLAIM = Claim(
    paper="xiong2020",
    headline="Without warm-up a deep Transformer trains with LayerNorm before each branch, not "
    "with LayerNorm after each sum.",
    setup="Reverse 3 of 15 tokens; 12 blocks of width 16, 160 steps of Adam at one learning "
    "rate, 0.003, from the first step or after 120 steps of warm-up.",
    run=run,
    checks=(
        Check("post-LN: loss", _loss("post-LN"), ">", 2.0),
        Check("post-LN: mean loss without warm-up minus each loss with it", _gained, ">", 0),
        Check("pre-LN: loss", _loss("pre-LN"), "<", 1.5),
        Check("DeepNorm: loss", _loss("DeepNorm"), "<", 1.5),
    ),
    page="examples/xiong-2020.py",
)
