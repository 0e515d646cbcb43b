r"""Variance scaling: the general formula, with Xavier, He and LeCun as special cases.

All of them set the variance to a number divided by a fan. They differ in three choices: the
number, the fan, and the shape of the distribution. Keras and JAX offer the three as arguments,
$\operatorname{Var} w = \text{scale} / \text{fan}$, and derive the named methods from it. Their
`scale` is the square of a gain: 2 for ReLU.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_number, check_real, one_of
from initguide.fans import Axes, Fans, Layout, Mode
from initguide.methods._scaled import DRAW, array, fill_
from initguide.methods.record import Distribution, Method
from initguide.papers import PAPERS


def scaled_std(fans: Fans, scale: float = 1.0, mode: Mode = "fan_in") -> float:
    """Return the std of a weight, sqrt(scale / fan)."""
    if check_number("scale", scale) <= 0:
        raise ValueError(f"scale must be positive; got {scale}")
    return math.sqrt(scale / fans.pick(mode))


def variance_scaling_(
    tensor: Tensor,
    scale: float = 1.0,
    mode: Mode = "fan_in",
    distribution: Distribution = "truncated_normal",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from a distribution whose variance is a number divided by a fan.

    $$\operatorname{Var} w_i = \frac{\text{scale}}{\text{fan}}$$

    All three distributions have this variance: a normal that is cut at two of its standard
    deviations is drawn wider by 1/0.8796 first, as in Keras and JAX.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        scale: The gain squared: 1 for linear units, 2 for ReLU.
        mode: `"fan_in"` keeps the signal, `"fan_out"` the gradient; `"fan_avg"` is their mean,
            `"fan_geo_avg"` their geometric mean.
        distribution: `"truncated_normal"`, `"normal"` or `"uniform"`.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: `tensor` has fewer than two dimensions.
        ValueError: `scale` is not positive and finite, or `mode` or `distribution` is unknown.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*; the form is that of Keras and JAX.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.variance_scaling_(torch.empty(300, 200), 2.0)
        print(f"{weight.std().item():.2f}")  # sqrt(2 / 200) = 0.1
        #> 0.10
        ```
    """
    check_real(tensor)
    return fill_(tensor, _checked(distribution), generator, scaled_std, scale, mode)


def variance_scaling(
    shape: Sequence[int],
    scale: float = 1.0,
    mode: Mode = "fan_in",
    distribution: Distribution = "truncated_normal",
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [variance_scaling_][initguide.variance_scaling_].

    `shape`, `layout`, `in_axes`, `out_axes`, `dtype` and `rng` are those of
    [xavier_normal][initguide.xavier_normal].

    Examples:
        ```python
        import initguide as init

        weight = init.variance_scaling((100, 300), 2.0, "fan_avg", "normal", rng=0)
        print(f"{weight.std():.2f}")  # sqrt(2 / 200) = 0.1
        #> 0.10
        ```
    """
    return array(
        shape,
        _checked(distribution),
        layout,
        dtype,
        rng,
        (in_axes, out_axes),
        scaled_std,
        scale,
        mode,
    )


def _checked(distribution: Distribution) -> Distribution:
    if distribution not in DRAW:
        raise ValueError(f"distribution must be {one_of(DRAW)}; got {distribution!r}")
    return distribution


def _spread(
    fans: Fans, distribution: Distribution = "truncated_normal", **options: Any
) -> tuple[Distribution, float]:
    return distribution, scaled_std(fans, **options)


METHODS = (
    Method(
        title="Variance scaling",
        tensor=variance_scaling_,
        array=variance_scaling,
        law=r"\operatorname{Var} w = \text{scale} / \text{fan}",
        paper=PAPERS["glorot2010"],
        use_when="code from Keras or JAX; a fan or a distribution that no named method has",
        avoid_when="the gain is given for the scale: that is its square",
        elsewhere="Keras `VarianceScaling`, JAX `variance_scaling`",
        page="advanced/variance-scaling.md",
        spread=_spread,
    ),
)
