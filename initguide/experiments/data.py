"""The guide's real data, scikit-learn's digits, and the order in which training sees it."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

TRAINING_IMAGES = 1400
SPLIT_SEED = 1234


class Data(NamedTuple):
    """Inputs and class labels, for training and held out.

    Attributes:
        x_train: Training inputs, shape `(images, features)`.
        y_train: Their classes, shape `(images,)`.
        x_test: Held-out inputs, shape `(images, features)`.
        y_test: Their classes, shape `(images,)`.
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


def digits() -> Data:
    r"""Return 1797 handwritten digits of 8 by 8 pixels: 1400 to train on, 397 held out.

    One mean is subtracted from all pixels, and all are divided by one standard deviation. So the
    training images together have mean zero and variance one. The images come with scikit-learn, so
    nothing is downloaded, and the split is always the same.

    $$x = \frac{\text{pixel} - \mu_\text{train}}{\sigma_\text{train}}$$

    Returns:
        `x_train` of shape `(1400, 64)` in float32, `y_train` of shape `(1400,)` with classes 0 to
        9, and `x_test` and `y_test` with the 397 other images.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.

    Source:
        E. Alpaydin, C. Kaynak (1998), *Optical Recognition of Handwritten Digits*, UCI Machine
        Learning Repository.

    Examples:
        ```python
        from initguide.experiments import digits

        data = digits()
        print(tuple(data.x_train.shape), tuple(data.x_test.shape))
        #> (1400, 64) (397, 64)
        print(f"{data.x_train.square().mean():.3f}")
        #> 1.000
        ```
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(pixels))
    train, test = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
    # All pixels share one mean and one std, because several pixels are zero in every image.
    standardized = (pixels - pixels[train].mean()) / pixels[train].std()
    x = torch.from_numpy(standardized.astype(np.float32))
    y = torch.from_numpy(labels.astype(np.int64))
    return Data(x[train], y[train], x[test], y[test])


def epoch_batches(size: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield indices without end, each input once per epoch; an incomplete last batch is dropped."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(size, generator=generator)[: size - size % batch].split(batch)


def epochs(data: Data, batch: int, seeds: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and classes for one network per seed, in the order of `epoch_batches`."""
    for each in zip(*(epoch_batches(len(data.x_train), batch, s) for s in seeds), strict=False):
        index = torch.stack(each)
        yield data.x_train[index], data.y_train[index]


def random_indices(count: int, batch: int, seeds: Sequence[int]) -> Iterator[Tensor]:
    """Yield indices below `count` without end, shape `(seeds, batch)`, drawn with replacement."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    while True:
        yield torch.stack([torch.randint(count, (batch,), generator=g) for g in generators])


def shared_batches(
    data: Data, batch: int, seeds: Sequence[int], runs: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and classes for `runs` networks; networks of one seed get the same batches.

    The seeds take turns: the first network has the first seed, the second network the second seed.
    """
    for picked in islice(random_indices(len(data.x_train), batch, seeds), steps):
        index = picked.repeat(runs // len(seeds), 1)
        yield data.x_train[index], data.y_train[index]
