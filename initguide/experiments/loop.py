"""What every training run shares: the order of the data, the accuracy, the points of the curve."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from initguide.checks import check_number
from initguide.experiments.data import Data


def curve(
    update: Callable[[], Tensor], accuracy: Callable[[], Tensor], steps: int, every: int
) -> list[tuple[int, Tensor, Tensor]]:
    """Return step, mean loss since the point before, and accuracy: at 0, `every`, … and the end."""
    at_start = accuracy()
    points: list[tuple[int, Tensor, Tensor]] = []
    losses: list[Tensor] = []
    for step in range(1, steps + 1):
        losses.append(update())
        if step == 1:
            points.append((0, losses[0], at_start))
        if step % every == 0 or step == steps:
            points.append((step, torch.stack(losses).mean(0), accuracy()))
            losses = []
    return points


def batches(size: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield indices without end, each input once an epoch; what does not fill a batch is left."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(size, generator=generator)[: size - size % batch].split(batch)


def accuracy(scores: Tensor, y: Tensor) -> Tensor:
    """Return the share of scores, shape `(..., inputs, classes)`, whose largest is the class."""
    right = (scores.argmax(-1) == y).double().mean(-1)
    # The largest of scores that are not numbers is no prediction.
    return right.masked_fill(scores.isnan().any(-1).any(-1), math.nan)


def check_training(lr: float, steps: int, batch: int, every: int, data: Data) -> None:
    """Raise a ValueError unless all settings are positive and a batch fits the data."""
    check_number("lr", lr)
    if lr <= 0:
        raise ValueError(f"lr must be positive; got {lr}")
    if min(steps, batch, every) < 1:
        raise ValueError(
            f"steps, batch and every must be positive; got {steps}, {batch} and {every}"
        )
    if batch > len(data.x_train):
        raise ValueError(f"batch must be at most the {len(data.x_train)} inputs; got {batch}")
