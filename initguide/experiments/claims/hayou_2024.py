r"""Hayou et al. (2024): LoRA from a random A and a zero B takes larger learning rates.

LoRA adds $BA$ to a frozen weight. If one factor is zero, the network starts where it was. A step of
Adam changes each entry of $A$ and of $B$ by about the rate $\eta$. With a random $A$ of variance
$1/n$ and $B = 0$, the first step changes the output of the layer by $\Delta B\, A x$, and the
entries of $A x$ are of order 1. With $A = 0$ and a random $B$ the first step changes it by
$B\, \Delta A\, x$. There the $n$ changes of a row of $A$ add up, so the change grows like
$\eta\, n$, and wide layers need a smaller rate.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import sub

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, at_best, best_rate, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import Data, digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.models import INITIALIZATIONS, seeded_mlp
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.tuning import tuned
from initguide.methods.lecun import lecun_normal_
from initguide.methods.orthogonal import orthogonal_

RANDOM_A, RANDOM_B = "A random, B zero", "A zero, B random"
PISSA, TURNED = "PiSSA", "PiSSA, random directions"
RATES: dict[str, tuple[float, ...]] = {
    RANDOM_A: (0.001, 0.0018, 0.003, 0.0055, 0.01, 0.018, 0.03, 0.055, 0.1),
    RANDOM_B: (0.0003, 0.00055, 0.001, 0.0018, 0.003, 0.0055, 0.01, 0.018, 0.03),
}
ADAM = (0.9, 0.999)


class LowRank(nn.Module):
    """A frozen Linear layer plus the product of two trained matrices of low rank."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Linear, rank: int, start: str, g: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach())
        self.register_buffer("bias", layer.bias.detach())
        self.a = nn.Parameter(torch.zeros(rank, layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))
        if start in (PISSA, TURNED):
            self._move(rank, start, g)
        else:
            lecun_normal_(self.a if start == RANDOM_A else self.b, generator=g)

    @torch.no_grad()
    def _move(self, rank: int, start: str, g: torch.Generator) -> None:
        """Move the largest singular values, with their or other vectors, to the factors."""
        u, s, v = torch.linalg.svd(self.weight, full_matrices=False)
        if start == TURNED:
            u, v = (orthogonal_(torch.empty_like(one), generator=g) for one in (u, v))
        root = s[:rank].sqrt()
        self.b.copy_(u[:, :rank] * root)
        self.a.copy_(root[:, None] * v[:rank])
        self.weight = self.weight - self.b @ self.a

    def forward(self, x: Tensor) -> Tensor:
        """Add the low-rank product to the output of the frozen layer."""
        return F.linear(x, self.weight, self.bias) + F.linear(F.linear(x, self.a), self.b)


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    width: int = 256,
    rank: int = 4,
    batch: int = 16,
    steps: int = 80,
) -> Rows:
    """Train networks on the digits, and then LoRA on the digits rotated by 90 degrees.

    Args:
        seeds: One network per seed, and one LoRA per seed, start and rate.
        rates: Adam's learning rates of each start, a name in `RATES`, `PISSA` or `TURNED`.
        width: The number of units of each of the two hidden layers.
        rank: The rank of LoRA in each of the three layers.
        batch: The number of images in each step.
        steps: The number of updates, first of the network and then of LoRA.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned] with `end`, the mean loss of the
        last tenth of the steps. The loss is the mean of all steps.
    """
    return tuned(partial(_sweep, rates, width, rank, batch, steps), seeds)


def _sweep(
    rates: Mapping[str, Sequence[float]],
    width: int,
    rank: int,
    batch: int,
    steps: int,
    seeds: list[int],
) -> Rows:
    data = digits()
    bases = {
        seed: seeded_mlp(INITIALIZATIONS["He"], (64, width, width, 10), seed=seed) for seed in seeds
    }
    batches = shared_batches(data, batch, seeds, len(seeds), steps)
    lr = [0.003] * len(seeds)
    descend(list(bases.values()), batches, F.cross_entropy, lr=lr, betas=ADAM)
    turned = data.x_train.view(-1, 8, 8).rot90(1, (1, 2)).flatten(1)
    runs = [
        run for start in rates for run in grid(initialization=[start], lr=rates[start], seed=seeds)
    ]
    # One network stands for all rates: training copies its parameters.
    adapted = {
        (start, seed): _adapted(bases[seed], rank, start, seed) for start in rates for seed in seeds
    }
    models = [adapted[run["initialization"], run["seed"]] for run in runs]
    batches = shared_batches(Data(turned, *data[1:]), batch, seeds, len(runs), steps)
    lr = [run["lr"] for run in runs]
    losses = descend(models, batches, F.cross_entropy, lr=lr, betas=ADAM)
    ends = losses[-max(steps // 10, 1) :].mean(0).tolist()
    rows = final_losses(runs, losses, steps)
    return [row | {"end": end} for row, end in zip(rows, ends, strict=True)]


def _adapted(base: nn.Sequential, rank: int, start: str, seed: int) -> nn.Sequential:
    g = torch.Generator().manual_seed(seed)
    return nn.Sequential(
        *(
            LowRank(layer, rank, start, g) if isinstance(layer, nn.Linear) else nn.ReLU()
            for layer in base
        )
    )


CLAIM = Claim(
    paper="hayou2024",
    short="LoRA ends lower with a random A than with a random B.",
    headline="LoRA from a random A and a zero B allows larger learning rates, and ends lower, than "
    "from a zero A and a random B.",
    setup="Digits, then digits rotated by 90 degrees; ReLU layers of 256 units, LoRA of rank 4, 80 "
    "steps of Adam, each start at the best of nine learning rates by the mean loss of all steps.",
    run=run,
    checks=(
        Check(
            "Best rate (log₂), random A minus random B",
            per_seed(sub, best_rate(RANDOM_A), best_rate(RANDOM_B)),
            ">",
            0,
        ),
        Check(
            "Final loss, random A minus random B",
            per_seed(sub, at_best(RANDOM_A, "end"), at_best(RANDOM_B, "end")),
            "<",
            0,
            reproduced=False,
        ),
    ),
    page="examples/hayou-2024.py",
)
