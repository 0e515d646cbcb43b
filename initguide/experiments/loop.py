"""What training runs share: the order of the data, the accuracy, the checks."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from initguide._checks import check_number
from initguide.experiments.data import Data


def batches(size: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield indices without end, each input once an epoch; what does not fill a batch is left."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(size, generator=generator)[: size - size % batch].split(batch)


def picks(count: int, batch: int, seeds: Sequence[int]) -> Iterator[Tensor]:
    """Yield indices below `count` without end, shape `(seeds, batch)`: draws with replacement."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    while True:
        yield torch.stack([torch.randint(count, (batch,), generator=g) for g in generators])


def batches_alike(
    data: Data, batch: int, seeds: Sequence[int], runs: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and classes for `runs` networks, each a seed's, and alike for all of a seed.

    The seeds take turns: the first network is the first seed's, the second the second's.
    """
    for picked in islice(picks(len(data.x_train), batch, seeds), steps):
        index = picked.repeat(runs // len(seeds), 1)
        yield data.x_train[index], data.y_train[index]


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
