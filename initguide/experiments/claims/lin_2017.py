r"""Lin et al. (2017): where positives are rare, the output's bias starts at their log odds.

Let $\pi$ be the share of positives. With a bias of zero each example has the loss $\log 2$ at the
start, and nearly all of the gradient comes from the many negatives, whose scores must fall. With
$b = \log \frac{\pi}{1 - \pi}$ the network predicts from the start that positives are rare. Its loss
is then the entropy of the prior, and the gradient depends on the differences between the examples.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import sub

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import random_indices
from initguide.experiments.descent import descend
from initguide.experiments.models import INITIALIZATIONS, mlp
from initguide.experiments.rows import Rows, grid
from initguide.layers.bias import class_prior_bias_
from initguide.methods.normal import normal_

EXAMPLES, FEATURES, SHIFTED = 8000, 20, 5


@recorded
def run(
    seeds: Iterable[int],
    share: float = 0.01,
    width: int = 64,
    lr: float = 0.1,
    batch: int = 256,
    steps: int = 1000,
    every: int = 50,
) -> Rows:
    """Train classifiers on two normal clouds, a large one and a rare one.

    Each example has 20 standard normal features. One is added to five features of the positives.

    Args:
        seeds: One data set and two networks, each with two hidden layers, per seed.
        share: The share of positives.
        width: The number of units of each hidden layer.
        lr: The learning rate of plain gradient descent.
        batch: The number of examples in each step.
        steps: The number of updates.
        every: The number of steps from row to row.

    Returns:
        Rows at step 0 and every few steps: `initialization`, `seed`, `step`, and on held-out data
        `loss` and `auc`, the probability that a positive gets a higher score than a negative.
    """
    seeds = list(seeds)
    runs = grid(initialization=("zero bias", "log odds"), seed=seeds)
    models = [_model(run["initialization"], run["seed"], share, width) for run in runs]
    training = [_clouds(2 * seed, share) for seed in seeds]
    held_out = [_clouds(2 * seed + 1, share) for seed in seeds] * 2
    batches = _batches(training, seeds, batch)
    rows: Rows = []
    for step in range(0, steps + 1, every):
        if step:
            descend(models, islice(batches, every), _loss, lr=[lr] * len(models))
        for run, model, (x, y) in zip(runs, models, held_out, strict=True):
            with torch.no_grad():
                scores = model(x)
            measured = {"loss": _loss(scores, y).item(), "auc": _auc(scores[:, 0], y)}
            rows.append({**run, "step": step, **measured})
    return rows


@torch.no_grad()
def _model(bias: str, seed: int, share: float, width: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    model = mlp((FEATURES, width, width, 1), generator=generator)
    INITIALIZATIONS["He"](model, generator)
    head = model[-1]
    assert isinstance(head, nn.Linear)
    normal_(head.weight, std=0.01, generator=generator)
    if bias == "log odds":
        class_prior_bias_(head, [share])
    return model


def _clouds(seed: int, share: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(EXAMPLES, generator=generator) < share).float()
    x = torch.randn(EXAMPLES, FEATURES, generator=generator)
    x[:, :SHIFTED] += y[:, None]
    return x, y


def _batches(
    training: list[tuple[Tensor, Tensor]], seeds: list[int], batch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    x, y = (torch.stack(each) for each in zip(*training, strict=True))
    data_set = torch.arange(len(seeds))[:, None]
    for picked in random_indices(EXAMPLES, batch, seeds):
        yield x[data_set, picked].repeat(2, 1, 1), y[data_set, picked].repeat(2, 1)


def _loss(scores: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores[:, 0], y)


def _auc(scores: Tensor, y: Tensor) -> float:
    """Return the share of pairs in which the positive has a higher score than the negative."""
    ranks = scores.argsort().argsort().double() + 1
    positives = y.sum().item()
    above = ranks[y == 1].sum().item() - positives * (positives + 1) / 2
    return above / (positives * (len(y) - positives))


def _lead(step: int) -> Values:
    """Return a function that gives the AUC with the log odds minus the AUC with a zero bias."""
    zero, odds = (by_seed("auc", initialization=b, step=step) for b in ("zero bias", "log odds"))
    return per_seed(sub, odds, zero)


CLAIM = Claim(
    paper="lin2017",
    short="A bias of log odds keeps negatives from dominating.",
    headline="With rare positives, an output bias of their log odds keeps the many negatives from "
    "dominating the first steps. Without it, training is unstable (tested on a small classifier, "
    "not on a detector).",
    setup="Two normal clouds, 1 % positives, an MLP of two hidden layers, rate 0.1.",
    run=run,
    checks=(
        Check(
            "Loss at the start, zero bias",
            by_seed("loss", initialization="zero bias", step=0),
            ">",
            0.5,
        ),
        Check(
            "Loss at the start, log odds",
            by_seed("loss", initialization="log odds", step=0),
            "<",
            0.15,
        ),
        Check(
            "AUC after 50 steps, log odds",
            by_seed("auc", initialization="log odds", step=50),
            ">",
            0.7,
        ),
        Check("AUC after 50 steps, log odds minus zero bias", _lead(50), ">", 0),
        Check(
            "AUC after 1000 steps, log odds minus zero bias",
            _lead(1000),
            "<",
            0.1,
            supports=False,
        ),
        Check(
            "AUC after 1000 steps, zero bias",
            by_seed("auc", initialization="zero bias", step=1000),
            ">",
            0.75,
            supports=False,
        ),
    ),
    page="examples/lin-2017.py",
)
