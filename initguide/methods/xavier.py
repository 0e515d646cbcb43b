r"""Xavier (Glorot) initialization: a compromise between signal and gradient, for linear units.

With $f(z) \approx z$ around zero, a layer multiplies the signal's variance by
$\text{fan}_{in}\, \sigma^2$ and the gradient's by $\text{fan}_{out}\, \sigma^2$. Both factors
can be 1 only if the fans are equal. The mean of the two conditions gives
$\sigma^2 = 2 / (\text{fan}_{in} + \text{fan}_{out})$ (Glorot and Bengio, 2010).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._torch_internals import scripted_as_torch
from initguide.fans import Axes, Fans, Layout
from initguide.gains import Nonlinearity, as_gain
from initguide.methods._scaled import array, fill_, pair
from initguide.papers import PAPERS


def xavier_std(fans: Fans, gain: float | Nonlinearity = 1.0) -> float:
    """Return the std of a weight, gain · sqrt(2 / (fan_in + fan_out))."""
    return as_gain(gain) * math.sqrt(2.0 / float(fans.fan_in + fans.fan_out))


@scripted_as_torch
def xavier_normal_(
    tensor: Tensor, gain: float | Nonlinearity = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill a weight from the Xavier normal distribution.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad
    \sigma = \text{gain} \sqrt{\frac{2}{\text{fan}_{in} + \text{fan}_{out}}}$$

    The normal is not cut, as in torch; `glorot_normal` of Keras and JAX cuts it at two std. The
    values are torch's own, bit for bit, in float32 and float64.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        gain: A number, or an activation that [gain][initguide.gain] takes.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not of a floating-point dtype; a complex one needs a normal.
        ValueError: `tensor` has fewer than two dimensions.
        ValueError: `gain` is negative, not finite or unknown.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*, equations 12 (normal) and 16 (uniform).

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.xavier_normal_(torch.empty(500, 300))
        print(f"{weight.std().item():.3f}")  # sqrt(2 / 800) = 0.05
        #> 0.050
        ```
    """
    return fill_(tensor, "normal", generator, xavier_std, gain)


@scripted_as_torch
def xavier_uniform_(
    tensor: Tensor, gain: float | Nonlinearity = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill a weight as [xavier_normal_][initguide.xavier_normal_] does, but uniformly.

    $$w_i \sim \mathcal{U}(-a, a), \qquad
    a = \sqrt{3}\,\sigma = \text{gain} \sqrt{\frac{6}{\text{fan}_{in} + \text{fan}_{out}}}$$

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.xavier_uniform_(torch.empty(100, 50))
        print(f"{weight.abs().max().item():.3f}")  # a = sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    return fill_(tensor, "uniform", generator, xavier_std, gain)


def xavier_normal(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [xavier_normal_][initguide.xavier_normal_].

    `dtype` and `rng` are those of [normal][initguide.normal].

    Args:
        shape: The shape of the weight, at least two sizes.
        layout: `"in_out"` for `(*kernel, in, out)`, `"out_in"` for `(out, in, *kernel)`. Three
            sizes are those of a one-dimensional convolution.
        in_axes: The axis or axes of the inputs, instead of those of the layout, as in
            [fans][initguide.fans.fans]: 0 for an attention's query kernel `(d, heads, head_dim)`.
        out_axes: The axis or axes of the outputs: `(1, 2)` for that kernel.

    Raises:
        TypeError: `in_axes` or `out_axes` holds something else than integers.
        ValueError: `shape` has fewer than two sizes, or one below 1.
        ValueError: `layout` is unknown.
        ValueError: Only one of `in_axes` and `out_axes` is given, `shape` has no such axis, or an
            axis is named twice.

    Examples:
        ```python
        import initguide as init

        weight = init.xavier_normal((300, 500), rng=0)
        print(f"{weight.std():.3f}")  # sqrt(2 / 800) = 0.05
        #> 0.050
        query = init.xavier_normal((400, 8, 50), in_axes=0, out_axes=(1, 2), rng=0)
        print(f"{query.std():.3f}")  # sqrt(2 / (400 + 8 * 50)) = 0.05
        #> 0.050
        ```
    """
    return array(shape, "normal", layout, dtype, rng, (in_axes, out_axes), xavier_std, gain)


def xavier_uniform(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [xavier_uniform_][initguide.xavier_uniform_].

    It is called like [xavier_normal][initguide.xavier_normal].

    Examples:
        ```python
        import initguide as init

        weight = init.xavier_uniform((50, 100), rng=0)
        print(f"{abs(weight).max():.3f}")  # a = sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    return array(shape, "uniform", layout, dtype, rng, (in_axes, out_axes), xavier_std, gain)


METHODS = pair(
    "Xavier",
    xavier_std,
    (xavier_uniform_, xavier_uniform),
    (xavier_normal_, xavier_normal),
    bound=r"a = g\sqrt{6 / (\text{fan}_{in} + \text{fan}_{out})}",
    std=r"\sigma = g\sqrt{2 / (\text{fan}_{in} + \text{fan}_{out})}",
    elsewhere="glorot",
    paper=PAPERS["glorot2010"],
    use_when="tanh, sigmoid around zero, linear layers",
    avoid_when="deep ReLU networks: half the second moment is lost in each layer",
    page="guide/methods/xavier.md",
)
