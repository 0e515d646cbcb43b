"""The guide's real data: scikit-learn's bundled digits, standardized and split once and for all."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

TRAINING_IMAGES = 1400
SPLIT_SEED = 1234


class Data(NamedTuple):
    """Inputs and class labels, for training and held out.

    Attributes:
        x_train: Inputs to train on, shape `(images, features)`.
        y_train: Their classes, shape `(images,)`.
        x_test: Inputs held out, shape `(images, features)`.
        y_test: Their classes, shape `(images,)`.
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


def digits() -> Data:
    r"""Return 1797 handwritten digits of 8 by 8 pixels: 1400 to train on, 397 held out.

    All pixels are shifted and divided by one number each, so that the training images have zero
    mean and unit variance. The images come with scikit-learn, so nothing is downloaded, and the
    split is always the same.

    $$x = \frac{\text{pixel} - \mu_\text{train}}{\sigma_\text{train}}$$

    Returns:
        `x_train` of shape `(1400, 64)` in float32, `y_train` of shape `(1400,)` with classes 0 to
        9, and `x_test`, `y_test` likewise.

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
    # One mean and one std for all pixels: several pixels are zero in every image.
    standardized = (pixels - pixels[train].mean()) / pixels[train].std()
    x = torch.from_numpy(standardized.astype(np.float32))
    y = torch.from_numpy(labels.astype(np.int64))
    return Data(x[train], y[train], x[test], y[test])
