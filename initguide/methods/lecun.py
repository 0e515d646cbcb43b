r"""LeCun initialization: variance one over the fan-in, the oldest method with a scaled variance.

A unit that sums $n$ independent products of second moment $\sigma^2$ has the variance
$n \sigma^2$, which is 1 with $\sigma^2 = 1/n$. This is He's variance without the ReLU's factor 2,
and the forward half of Xavier's compromise. It suits linear layers and SELU (LeCun et al., 1998).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide.fans import Axes, Fans, Layout
from initguide.gains import Nonlinearity, as_gain
from initguide.methods._scaled import array, fill_, pair
from initguide.papers import PAPERS


def lecun_std(fans: Fans, gain: float | Nonlinearity = 1.0) -> float:
    """Return the std of a weight, gain / sqrt(fan_in)."""
    return as_gain(gain) / math.sqrt(fans.fan_in)


def lecun_normal_(
    tensor: Tensor, gain: float | Nonlinearity = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill a weight as [xavier_normal_][initguide.xavier_normal_] does, but with LeCun's std.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad
    \sigma = \frac{\text{gain}}{\sqrt{\text{fan}_{in}}}$$

    The normal is not cut; `lecun_normal` of Keras and JAX cuts it at two std.

    Source:
        Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998), *Efficient BackProp*, equation 16.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.lecun_normal_(torch.empty(300, 400))
        print(f"{weight.std().item():.3f}")  # 1 / sqrt(400) = 0.05
        #> 0.050
        ```
    """
    return fill_(tensor, "normal", generator, lecun_std, gain)


def lecun_uniform_(
    tensor: Tensor, gain: float | Nonlinearity = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill a weight as [lecun_normal_][initguide.lecun_normal_] does, but uniformly.

    $$w_i \sim \mathcal{U}(-a, a), \qquad
    a = \sqrt{3}\,\sigma = \text{gain} \sqrt{\frac{3}{\text{fan}_{in}}}$$

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.lecun_uniform_(torch.empty(300, 300))
        print(f"{weight.abs().max().item():.3f}")  # a = sqrt(3 / 300) = 0.1
        #> 0.100
        ```
    """
    return fill_(tensor, "uniform", generator, lecun_std, gain)


def lecun_normal(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [lecun_normal_][initguide.lecun_normal_].

    It is called like [xavier_normal][initguide.xavier_normal].

    Examples:
        ```python
        import initguide as init

        weight = init.lecun_normal((400, 300), rng=0)
        print(f"{weight.std():.3f}")  # 1 / sqrt(400) = 0.05
        #> 0.050
        ```
    """
    return array(shape, "normal", layout, dtype, rng, (in_axes, out_axes), lecun_std, gain)


def lecun_uniform(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [lecun_uniform_][initguide.lecun_uniform_].

    It is called like [xavier_normal][initguide.xavier_normal].

    Examples:
        ```python
        import initguide as init

        weight = init.lecun_uniform((300, 300), rng=0)
        print(f"{abs(weight).max():.3f}")  # a = sqrt(3 / 300) = 0.1
        #> 0.100
        ```
    """
    return array(shape, "uniform", layout, dtype, rng, (in_axes, out_axes), lecun_std, gain)


METHODS = pair(
    "LeCun",
    lecun_std,
    (lecun_uniform_, lecun_uniform),
    (lecun_normal_, lecun_normal),
    bound=r"a = g\sqrt{3 / \text{fan}_{in}}",
    std=r"\sigma = g / \sqrt{\text{fan}_{in}}",
    elsewhere="lecun",
    paper=PAPERS["lecun1998"],
    use_when="SELU, linear and output layers",
    avoid_when="deep ReLU networks: half the second moment is lost in each layer",
    page="guide/methods/xavier.md",
)
