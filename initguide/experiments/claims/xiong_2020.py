r"""Xiong et al. (2020): a Transformer with LayerNorm after each sum needs warm-up.

In post-LN the gradient of the last block's weights does not shrink with the number $L$ of blocks.
In pre-LN it shrinks like $1/\sqrt L$. So the first steps at the full rate are too large for
post-LN, but not for pre-LN. Wang et al. (2022) keep post-LN and give the branch less weight: they
compute $\operatorname{LN}(\alpha h + f(h))$ with $\alpha = (2L)^{1/4}$, and multiply the weights of
the branch by $(8L)^{-1/4}$.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, at_best, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.descent import descend
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.transformer import Transformer, transformer
from initguide.experiments.tuning import tuned

TOKENS = 16
WARMED = ", warm-up"
LOW = (0.0003, 0.001, 0.003, 0.01, 0.03)
HIGH = (0.0015, 0.005, 0.015, 0.05, 0.15)
RATES: dict[str, tuple[float, ...]] = {
    "post-LN": LOW,
    "post-LN, warm-up": LOW,
    "pre-LN": HIGH,
    "DeepNorm": LOW,
}
"""Adam's learning rates of each style. Warm-up is tried where the paper says it is needed."""


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    warmup: int = 50,
    depth: int = 6,
    width: int = 16,
    half: int = 2,
    batch: int = 8,
    steps: int = 150,
) -> Rows:
    """Train Transformers by Adam to reverse a few random tokens.

    Args:
        seeds: One network per seed, style and rate.
        rates: The learning rates of each style. Adam's betas are 0.9 and 0.98.
        warmup: The number of steps in which the rate grows to its full value; this concerns the
            styles that end in `WARMED`.
        depth: The number of blocks.
        width: The size of the residual stream.
        half: The number of tokens to reverse.
        batch: The number of sequences in each step. No sequence is used again.
        steps: The number of updates.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]; `initialization` is the style. The
        loss is the mean of the last tenth of the steps.
    """
    return tuned(partial(_sweep, rates, warmup, depth, width, half, batch, steps), seeds)


def _sweep(rates: Mapping[str, Sequence[float]], *settings: Any) -> Rows:
    # Networks that differ in more than their numbers cannot be trained at once.
    alone = {style: some for style, some in rates.items() if style == "pre-LN"}
    together = {style: some for style, some in rates.items() if style not in alone}
    return [row for some in (together, alone) if some for row in _train(some, *settings)]


def _train(
    rates: Mapping[str, Sequence[float]],
    warmup: int,
    depth: int,
    width: int,
    half: int,
    batch: int,
    steps: int,
    seeds: list[int],
) -> Rows:
    runs = [
        run for style in rates for run in grid(initialization=[style], lr=rates[style], seed=seeds)
    ]

    # One network stands for all rates: training copies its parameters.
    @cache
    def start(style: str, seed: int) -> Transformer:
        generator = torch.Generator().manual_seed(seed)
        return transformer(
            style,
            tokens=TOKENS,
            positions=2 * half,
            width=width,
            depth=depth,
            generator=generator,
        )

    models = [start(run["initialization"].removesuffix(WARMED), run["seed"]) for run in runs]

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for _ in range(steps):
            # Token 0 separates the sequence from its reverse.
            draws = [torch.randint(1, TOKENS, (batch, half), generator=g) for g in generators]
            some = torch.stack(draws).repeat(len(runs) // len(seeds), 1, 1)
            whole = torch.cat([some, torch.zeros_like(some[..., :1]), some.flip(-1)], -1)
            yield F.one_hot(whole[..., :-1], TOKENS).float(), some.flip(-1)

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(scores[:, half:].flatten(0, 1), y.flatten())

    losses = descend(
        models,
        batches(),
        loss,
        lr=[run["lr"] for run in runs],
        betas=(0.9, 0.98),
        warmup=[warmup if run["initialization"].endswith(WARMED) else 1 for run in runs],
    )
    return final_losses(runs, losses, max(steps // 10, 1))


def _lower(quantity: str, name: str, other: str) -> Check:
    """Return the check that the loss of one network is lower, on a scale of factors."""
    ratio = per_seed(lambda a, b: math.log2(a / b), at_best(name), at_best(other))
    return Check(quantity, ratio, "<", 0)


CLAIM = Claim(
    paper="xiong2020",
    short="Pre-LN trains without warm-up, and post-LN needs it.",
    headline="A Transformer with LayerNorm before each branch trains without warm-up, but one with "
    "LayerNorm after each sum needs it.",
    setup="Reverse 2 of 15 tokens; 6 blocks of width 16, 150 steps of Adam, at full rate or, for "
    "post-LN, after 50 steps of warm-up too, each at the best of five learning rates.",
    run=run,
    checks=(
        _lower("Log₂ of the loss without warm-up, pre-LN minus post-LN", "pre-LN", "post-LN"),
        Check(
            "Loss of post-LN, with warm-up minus without",
            lead("post-LN, warm-up", "post-LN"),
            "<",
            0,
            reproduced=False,
        ),
        _lower(
            "Log₂ of the loss, pre-LN without warm-up minus post-LN with it",
            "pre-LN",
            "post-LN, warm-up",
        ),
        _lower("Log₂ of the loss without warm-up, DeepNorm minus post-LN", "DeepNorm", "post-LN"),
        # A loss within 5 % of guessing counts as not having learned.
        Check(
            "Loss of post-LN without warm-up, as a share of chance",
            per_seed(lambda loss: loss / math.log(TOKENS - 1), at_best("post-LN")),
            "<",
            0.95,
            supports=False,
        ),
    ),
    page="examples/xiong-2020.py",
)
