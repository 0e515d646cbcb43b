r"""Variance scaling: the one law that Xavier, He and LeCun are cases of.

All of them set the variance to a number over a fan, and differ in three choices: the number, the
fan, and the shape of the distribution. Keras and JAX offer the three as arguments,
$\operatorname{Var} w = \text{scale} / \text{fan}$, and derive the named methods from it. Their
`scale` is the square of a gain: 2 for ReLU.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_number, check_real, one_of
from initguide._sharding import shards_alike
from initguide.fans import Fans, Layout, Mode, fans, tensor_fans
from initguide.methods.normal import normal, normal_, uniform, uniform_
from initguide.methods.record import Distribution, Method
from initguide.methods.truncated_normal import truncated_normal, truncated_normal_
from initguide.papers import PAPERS


def scaled_std(fans: Fans, scale: float = 1.0, mode: Mode = "fan_in") -> float:
    """Return the weights' standard deviation, sqrt(scale / fan)."""
    if check_number("scale", scale) <= 0:
        raise ValueError(f"scale must be positive; got {scale}")
    return math.sqrt(scale / fans.pick(mode))


@shards_alike
def variance_scaling_(
    tensor: Tensor,
    scale: float = 1.0,
    mode: Mode = "fan_in",
    distribution: Distribution = "truncated_normal",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from a distribution whose variance is a number over a fan.

    $$\operatorname{Var} w_i = \frac{\text{scale}}{\text{fan}}$$

    whatever the distribution: a normal that is cut at two of its standard deviations is drawn wider
    by 1/0.8796 first, as in Keras and JAX.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        scale: The gain squared: 1 for linear units, 2 for ReLU.
        mode: `"fan_in"` keeps the signal, `"fan_out"` the gradient; `"fan_avg"` is their mean,
            `"fan_geo_avg"` their geometric mean.
        distribution: `"truncated_normal"`, `"normal"` or `"uniform"`.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: It has fewer than two dimensions, `scale` is not positive and finite, or
            `mode` or `distribution` is unknown.

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
    std = scaled_std(tensor_fans(tensor), scale, mode) if tensor.numel() else 1.0
    return _checked(DRAW, distribution)(tensor, std, generator)


def variance_scaling(
    shape: Sequence[int],
    scale: float = 1.0,
    mode: Mode = "fan_in",
    distribution: Distribution = "truncated_normal",
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a weight array from a distribution whose variance is a number over a fan.

    $$\operatorname{Var} w_i = \frac{\text{scale}}{\text{fan}}$$

    See [variance_scaling_][initguide.variance_scaling_].

    Args:
        shape: The weight's shape, at least two sizes.
        scale: The gain squared: 1 for linear units, 2 for ReLU.
        mode: `"fan_in"`, `"fan_out"`, `"fan_avg"` or `"fan_geo_avg"`.
        distribution: `"truncated_normal"`, `"normal"` or `"uniform"`.
        layout: `"in_out"` for `(*kernel, in, out)`, `"out_in"` for `(out, in, *kernel)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape has fewer than two dimensions or a size below 1, `scale` is not
            positive and finite, or `mode`, `distribution` or `layout` is unknown.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*; the form is that of Keras and JAX.

    Examples:
        ```python
        import initguide as init

        weight = init.variance_scaling((100, 300), 2.0, "fan_avg", "normal", rng=0)
        print(f"{weight.std():.2f}")  # sqrt(2 / 200) = 0.1
        #> 0.10
        ```
    """
    std = scaled_std(fans(shape, layout), scale, mode)
    return _checked(_ARRAY, distribution)(shape, std, {"dtype": dtype, "rng": rng})


_ROOT = math.sqrt(3.0)
DRAW: dict[str, Callable[..., Tensor]] = {
    "truncated_normal": lambda w, std, rng: truncated_normal_(w, 0.0, std, generator=rng),
    "normal": lambda w, std, rng: normal_(w, 0.0, std, rng),
    "uniform": lambda w, std, rng: uniform_(w, -_ROOT * std, _ROOT * std, rng),
}
_ARRAY: dict[str, Callable[..., NDArray[np.floating]]] = {
    "truncated_normal": lambda shape, std, options: truncated_normal(shape, 0.0, std, **options),
    "normal": lambda shape, std, options: normal(shape, 0.0, std, **options),
    "uniform": lambda shape, std, options: uniform(shape, -_ROOT * std, _ROOT * std, **options),
}


def _checked(table: Mapping[str, Any], distribution: str) -> Any:
    if distribution not in table:
        raise ValueError(f"distribution must be {one_of(table)}; got {distribution!r}")
    return table[distribution]


METHODS = (
    Method(
        title="Variance scaling",
        array=variance_scaling,
        tensor=variance_scaling_,
        law=r"\operatorname{Var} w = \text{scale} / \text{fan}",
        paper=PAPERS["glorot2010"],
        use_when="code from Keras or JAX; a fan or a distribution that no named method has",
        avoid_when="the gain is given for the scale: that is its square",
        elsewhere="Keras `VarianceScaling`, JAX `variance_scaling`",
        page="guide/methods/variance-scaling.md",
        spread=lambda fans, distribution="truncated_normal", **options: (
            distribution,
            scaled_std(fans, **options),
        ),
    ),
)
