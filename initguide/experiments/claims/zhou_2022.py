r"""Zhou et al. (2022): from small weights, the units of a layer gather on a few directions.

The $\gamma$ rule draws all weights with the std $n^{-\gamma}$, where $n$ is the width. If $\gamma$
is large, the output is near zero and tanh is near the identity. Then the gradient of each unit has
almost the same direction, up to a sign. While the weights grow from a small start, this direction
dominates, so the units become parallel. With $\gamma = \tfrac12$ the first weights are large
compared to their changes, and the units keep their random directions.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat
from operator import sub

import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, at_best, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.descent import descend
from initguide.experiments.models import each_linear, mlp
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.tuning import averaged, tuned
from initguide.methods.normal import normal_

GAMMAS = {"γ = 0.5": 0.5, "γ = 1": 1.0, "γ = 1.5": 1.5}
INPUTS = 5
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


@recorded
def run(
    seeds: Iterable[int],
    rates: Sequence[float] = RATES,
    width: int = 100,
    points: int = 40,
    steps: int = 300,
    networks: int = 3,
) -> Rows:
    r"""Train tanh networks with one hidden layer to fit sines, from weights of three sizes.

    Args:
        seeds: One result per seed, $\gamma$ and rate.
        rates: The learning rates of Adam.
        width: The number of hidden units.
        points: The number of points, uniform in a cube of 5 dimensions.
        steps: The number of updates, each on all points.
        networks: The number of networks per seed, each with points of its own. The results are
            averaged.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned] with `alignment`, the mean absolute
        cosine between the input weights of two hidden units. The loss is the mean of all steps.
    """
    sweep = partial(_sweep, rates, width, points, steps)
    return tuned(averaged(sweep, networks, ("loss", "alignment")), seeds)


def _sweep(rates: Sequence[float], width: int, points: int, steps: int, seeds: list[int]) -> Rows:
    runs = grid(initialization=GAMMAS, lr=rates, seed=seeds)
    models = [_network(GAMMAS[run["initialization"]], width, run["seed"]) for run in runs]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    x = torch.stack([torch.rand(points, INPUTS, generator=g).mul(8).sub(4) for g in generators])
    x = x.repeat(len(runs) // len(seeds), 1, 1)
    y = (x + 1).sin().mean(-1, keepdim=True)
    lr = [run["lr"] for run in runs]
    losses = descend(models, repeat((x, y), steps), F.mse_loss, lr=lr, betas=(0.9, 0.999))
    rows = final_losses(runs, losses, steps)
    return [row | {"alignment": alignment(model)} for row, model in zip(rows, models, strict=True)]


def _network(gamma: float, width: int, seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    model = mlp((INPUTS, width, 1), nn.Tanh, generator=generator)
    each_linear(partial(normal_, std=width**-gamma))(model, generator)
    return model


@torch.no_grad()
def alignment(model: nn.Sequential) -> float:
    """Return the mean absolute cosine between the input weights of two hidden units."""
    first = model[0]
    assert isinstance(first, nn.Linear)
    directions = F.normalize(first.weight)
    units = len(directions)
    cosines = (directions @ directions.T).abs()
    return ((cosines.sum() - units) / (units * (units - 1))).item()


def _change(name: str) -> Values:
    return per_seed(sub, at_best(name, "alignment"), at_best("γ = 0.5", "alignment"))


CLAIM = Claim(
    paper="zhou2022",
    short="From small weights hidden units become more parallel.",
    headline="If the weights start small, the input weights of the hidden units become parallel "
    "(tested: more nearly parallel than from large weights).",
    setup="40 points of a mean of sines in 5 dimensions, 100 tanh units, weights of std 100⁻ᵞ, 300 "
    "steps of Adam, each γ at the best of six learning rates; mean |cosine| of two units, mean of "
    "3 networks per seed.",
    run=run,
    checks=(
        Check("Mean |cosine|, γ = 1 minus γ = 0.5", _change("γ = 1"), ">", 0),
        Check("Mean |cosine|, γ = 1.5 minus γ = 0.5", _change("γ = 1.5"), ">", 0),
    ),
    page="examples/zhou-2022.py",
)
