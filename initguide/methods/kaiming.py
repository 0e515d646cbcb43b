r"""Kaiming (He) initialization: keep the signal's size through layers of ReLUs.

A ReLU zeroes half of a symmetric signal, so each layer halves the second moment:
$\mathbb{E}[x_{l+1}^2] = \tfrac12\, n\, \sigma^2\, \mathbb{E}[x_l^2]$.
Setting the factor to one gives $\sigma^2 = 2/n$, with $n$ the fan-in (He et al., 2015).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._torch_internals import is_overridden, overridden
from initguide.fans import Axes, Fans, Layout, Mode
from initguide.gains import Nonlinearity, calculate_gain
from initguide.methods._scaled import array, fill_, pair
from initguide.papers import PAPERS


def kaiming_std(
    fans: Fans, a: float = 0.0, mode: Mode = "fan_in", nonlinearity: Nonlinearity = "leaky_relu"
) -> float:
    """Return the std of a weight, gain / sqrt(fan); for a ReLU, sqrt(2 / fan_in)."""
    return calculate_gain(nonlinearity, a) / math.sqrt(fans.pick(mode))


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from the Kaiming (He) normal distribution.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad \sigma = \frac{\text{gain}}{\sqrt{\text{fan}}}
    \quad\Big(\text{ReLU: } \sqrt{\frac{2}{\text{fan}_{in}}}\Big)$$

    The normal is not cut, as in torch; `he_normal` of Keras and JAX cuts it at two std. The values
    are torch's own, bit for bit, in float32 and float64. An empty tensor gets torch's warning.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        a: The negative slope of a leaky ReLU (0 is a plain one); used for `"leaky_relu"` only.
        mode: `"fan_in"` keeps the signal, `"fan_out"` the gradient; `"fan_avg"` and
            `"fan_geo_avg"` are between.
        nonlinearity: The activation that follows; what
            [calculate_gain][initguide.calculate_gain] takes.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not of a floating-point dtype; a complex one needs a normal.
        ValueError: `tensor` has fewer than two dimensions.
        ValueError: `a` is not finite, or `mode` or `nonlinearity` is unknown.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun (2015), *Delving Deep into Rectifiers: Surpassing
        Human-Level Performance on ImageNet Classification*, equations 10 and 14.

    Examples:
        ```python
        import torch

        import initguide as init

        generator = torch.Generator().manual_seed(0)
        weight = init.kaiming_normal_(torch.empty(300, 200), generator=generator)
        print(f"{weight.std().item():.3f}")  # sqrt(2 / 200) = 0.1
        #> 0.100
        ```
    """
    return fill_(tensor, "normal", generator, kaiming_std, a, mode, nonlinearity, warn=True)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight as [kaiming_normal_][initguide.kaiming_normal_] does, but uniformly.

    $$w_i \sim \mathcal{U}(-b, b), \qquad b = \sqrt{3}\,\sigma = \text{gain}
    \sqrt{\frac{3}{\text{fan}}} \quad\Big(\text{ReLU: } \sqrt{\frac{6}{\text{fan}_{in}}}\Big)$$

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.kaiming_uniform_(torch.empty(300, 150))
        print(f"{weight.abs().max().item():.3f}")  # b = sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    if is_overridden(tensor):
        named = {"a": a, "mode": mode, "nonlinearity": nonlinearity, "generator": generator}
        return overridden("kaiming_uniform_", tensor, **named)
    return fill_(tensor, "uniform", generator, kaiming_std, a, mode, nonlinearity, warn=True)


def kaiming_normal(
    shape: Sequence[int],
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [kaiming_normal_][initguide.kaiming_normal_].

    `shape`, `layout`, `in_axes`, `out_axes`, `dtype` and `rng` are those of
    [xavier_normal][initguide.xavier_normal].

    Examples:
        ```python
        import initguide as init

        weight = init.kaiming_normal((200, 300), rng=0)
        print(f"{weight.std():.3f}")  # sqrt(2 / 200) = 0.1
        #> 0.100
        ```
    """
    return array(
        shape, "normal", layout, dtype, rng, (in_axes, out_axes), kaiming_std, a, mode, nonlinearity
    )


def kaiming_uniform(
    shape: Sequence[int],
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [kaiming_uniform_][initguide.kaiming_uniform_].

    `shape`, `layout`, `in_axes`, `out_axes`, `dtype` and `rng` are those of
    [xavier_normal][initguide.xavier_normal].

    Examples:
        ```python
        import initguide as init

        weight = init.kaiming_uniform((150, 300), rng=0)
        print(f"{abs(weight).max():.3f}")  # b = sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    return array(
        shape,
        "uniform",
        layout,
        dtype,
        rng,
        (in_axes, out_axes),
        kaiming_std,
        a,
        mode,
        nonlinearity,
    )


METHODS = pair(
    "Kaiming",
    kaiming_std,
    (kaiming_uniform_, kaiming_uniform),
    (kaiming_normal_, kaiming_normal),
    bound=r"b = g\sqrt{3 / \text{fan}_{in}}",
    std=r"\sigma = g / \sqrt{\text{fan}_{in}}",
    elsewhere="he",
    paper=PAPERS["he2015"],
    use_when="ReLU and its variants",
    avoid_when="linear or output layers: the second moment doubles where no ReLU follows",
    page="guide/methods/he.md",
)
