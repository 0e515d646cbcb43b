r"""Truncated normal, cut in units of its own spread: the std is the one you ask for.

Cutting a normal at $\pm c$ standard deviations takes away its tails, and with them some of its
spread: what is left has the std

$$s(c) = \sqrt{1 - \frac{2 c\, \phi(c)}{2 \Phi(c) - 1}}, \qquad s(2) = 0.8796$$

times that of the whole. Keras and JAX divide by it in their scaled methods, but not in the plain
truncated normal; torch's `trunc_normal_` has bounds in absolute units. Here `std` is the weights'
own, after the cut.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_number, check_std
from initguide.methods.record import Method
from initguide.methods.truncated import trunc_normal, trunc_normal_
from initguide.papers import PAPERS


def truncated_moments(mean: float, std: float, a: float, b: float) -> tuple[float, float]:
    """Return the mean and std of a normal that is cut at `a` and `b`."""
    low, high = (a - mean) / std, (b - mean) / std
    # In the lower tail the distribution function has all its digits.
    sign = -1 if low + high > 0 else 1
    low, high = sorted((sign * low, sign * high))
    inside = (math.erfc(-high / math.sqrt(2)) - math.erfc(-low / math.sqrt(2))) / 2
    at_low, at_high = (math.exp(-z * z / 2) / math.sqrt(2 * math.pi) for z in (low, high))
    shift = (at_low - at_high) / inside
    ends = sum(z * density for z, density in ((low, at_low), (-high, at_high)) if density)
    return mean + sign * shift * std, std * math.sqrt(1 + ends / inside - shift**2)


def truncated_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    cut: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a tensor from a normal cut at a number of its standard deviations, of a given std.

    $$w_i \sim \mathcal{N}(\text{mean}, \sigma^2) \;\text{ given }\;
    |w_i - \text{mean}| \le c\,\sigma, \qquad \operatorname{Var} w_i = \text{std}^2$$

    Args:
        tensor: A floating-point tensor of any shape.
        mean: The mean.
        std: The weights' own standard deviation, after the cut.
        cut: Where the normal is cut, in units of its standard deviation before the cut, $c$.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: A number is not finite, `std` is not positive, or `cut` is not at least 0.01.

    Source:
        H. Touvron et al. (2021), *Training Data-Efficient Image Transformers & Distillation
        Through Attention*, who follow B. Hanin, D. Rolnick (2018), *How to Start Training*.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.truncated_normal_(torch.empty(300, 200), std=0.02)
        print(f"{weight.std().item():.3f} {weight.abs().max().item():.3f}")  # 0.04 / 0.8796
        #> 0.020 0.045
        ```
    """
    return trunc_normal_(tensor, *_bounds(mean, std, cut), generator)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    cut: float = 2.0,
    *,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw an array from a normal cut at a number of its standard deviations, of a given std.

    $$w_i \sim \mathcal{N}(\text{mean}, \sigma^2) \;\text{ given }\;
    |w_i - \text{mean}| \le c\,\sigma, \qquad \operatorname{Var} w_i = \text{std}^2$$

    Args:
        shape: The array's shape.
        mean: The mean.
        std: The weights' own standard deviation, after the cut.
        cut: Where the normal is cut, in units of its standard deviation before the cut, $c$.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: A size is below 1, a number is not finite, `std` is not positive, or `cut` is
            not at least 0.01.

    Source:
        H. Touvron et al. (2021), *Training Data-Efficient Image Transformers & Distillation
        Through Attention*, who follow B. Hanin, D. Rolnick (2018), *How to Start Training*.

    Examples:
        ```python
        import initguide as init

        weight = init.truncated_normal((300, 200), std=0.02, cut=3, rng=0)
        print(f"{weight.std():.3f}")
        #> 0.020
        ```
    """
    return trunc_normal(shape, *_bounds(mean, std, cut), dtype=dtype, rng=rng)


def _bounds(mean: float, std: float, cut: float) -> tuple[float, float, float, float]:
    """Return mean, std, a and b of the absolute form."""
    mean, std = check_number("mean", mean), check_std(std, zero=False)
    cut = check_number("cut", cut)
    # Closer in, the law is uniform to four digits, and its std would drown in rounding.
    if cut < 0.01:
        raise ValueError(f"cut must be at least 0.01 standard deviations; got {cut}")
    whole = std / truncated_moments(0, 1, -cut, cut)[1]
    return mean, whole, mean - cut * whole, mean + cut * whole


METHODS = (
    Method(
        title="Truncated normal, by std",
        names=("truncated_normal_", "truncated_normal"),
        array=truncated_normal,
        tensor=truncated_normal_,
        law=r"\mathcal{N}(\mu, \sigma^2) \text{ within } \mu \pm c\,\sigma",
        paper=PAPERS["touvron2021"],
        use_when="no outliers are wanted, and the std is to be what it says",
        avoid_when="torch's values or absolute bounds are wanted",
        elsewhere="Keras `TruncatedNormal`, JAX `truncated_normal` (both: std before the cut)",
        page="guide/methods/truncated-normal.md",
    ),
)
