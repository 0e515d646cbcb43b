r"""Xiong et al. (2020): a Transformer with LayerNorm behind each sum needs warm-up.

Behind the last LayerNorm of post-LN, the gradient of the last block's weights does not shrink with
the depth N; in pre-LN it goes with $1/\sqrt N$. So the first steps at full rate are too large for
the one, not for the other. Wang et al. (2022) keep post-LN and weigh the branch down,
$\operatorname{LN}(\alpha h + f(h))$ with $\alpha = (2N)^{1/4}$ and weights times $(8N)^{-1/4}$.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.descent import curves, descend
from initguide.experiments.transformer import STYLES, transformer

TOKENS = 16


@recorded
def run(
    seeds: Iterable[int],
    lr: float = 0.003,
    depth: int = 12,
    width: int = 16,
    half: int = 4,
    batch: int = 16,
    steps: int = 160,
) -> Rows:
    """Train Transformers to say a few random tokens backwards, by Adam without warm-up.

    Args:
        seeds: One network for each seed and style.
        lr: Adam's learning rate from the first step on; its betas are 0.9 and 0.98.
        depth: The number of blocks.
        width: The size of the residual stream.
        half: The number of tokens to reverse.
        batch: The number of sequences in each step; each is new.
        steps: The number of updates.

    Returns:
        Rows every 10 steps: `initialization` (the style), `seed`, `step` and `loss`, the mean since
        the row before.
    """
    seeds = list(seeds)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for _ in range(steps):
            # Token 0 stands between the sequence and its reverse.
            draws = [torch.randint(1, TOKENS, (batch, half), generator=g) for g in generators]
            some = torch.stack(draws)
            whole = torch.cat([some, torch.zeros_like(some[..., :1]), some.flip(-1)], -1)
            yield F.one_hot(whole[..., :-1], TOKENS).float(), some.flip(-1)

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(scores[:, half:].flatten(0, 1), y.flatten())

    rows: Rows = []
    for style in STYLES:
        models = [
            transformer(
                style,
                tokens=TOKENS,
                positions=2 * half,
                width=width,
                depth=depth,
                generator=torch.Generator().manual_seed(seed),
            )
            for seed in seeds
        ]
        losses = descend(models, batches(), loss, lr=[lr] * len(models), betas=(0.9, 0.98))
        rows += curves([{"initialization": style, "seed": seed} for seed in seeds], losses)
    return rows


def _loss(style: str) -> Values:
    return by_seed("loss", 20, initialization=style)


CLAIM = Claim(
    paper="xiong2020",
    headline="Without warm-up a deep Transformer trains with LayerNorm before each branch, not "
    "with LayerNorm behind each sum.",
    setup="Reverse 4 of 15 tokens; 12 blocks of width 16, Adam at 0.003 from the first step, "
    "160 steps.",
    run=run,
    checks=(
        Check("post-LN: loss", _loss("post-LN"), ">", 2.0),
        Check("pre-LN: loss", _loss("pre-LN"), "<", 1.5),
        Check("DeepNorm: loss", _loss("DeepNorm"), "<", 1.5),
    ),
    page="examples/xiong-2020.py",
)
