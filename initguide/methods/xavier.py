r"""Xavier (Glorot) initialization: a compromise between signal and gradient, for linear units.

With $f(z) \approx z$ around zero, a layer multiplies the signal's variance by
$\text{fan}_{in}\, \sigma^2$ and the gradient's by $\text{fan}_{out}\, \sigma^2$. Both cannot be one
unless the fans are equal; the mean of the two conditions is
$\sigma^2 = 2 / (\text{fan}_{in} + \text{fan}_{out})$ (Glorot and Bengio, 2010).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_real, check_tensor
from initguide._sharding import shards_alike
from initguide.fans import Fans, Layout, fans, tensor_fans
from initguide.gains import Nonlinearity, as_gain
from initguide.methods.normal import draw_normal_, draw_uniform_, normal, uniform
from initguide.methods.record import Method
from initguide.papers import PAPERS


def xavier_std(fans: Fans, gain: float = 1.0) -> float:
    """Return the weights' standard deviation, gain · sqrt(2 / (fan_in + fan_out))."""
    return gain * math.sqrt(2.0 / float(fans.fan_in + fans.fan_out))


@shards_alike
def xavier_uniform_(
    tensor: Tensor,
    gain: float | Nonlinearity = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from the Xavier uniform distribution.

    $$w_i \sim \mathcal{U}(-a, a), \qquad
    a = \text{gain} \sqrt{\frac{6}{\text{fan}_{in} + \text{fan}_{out}}}$$

    The values are those of `torch.nn.init.xavier_uniform_`, bit for bit, in float32 and float64.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        gain: A number, or an activation that [gain][initguide.gain] takes.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: It has fewer than two dimensions, or `gain` is negative, not finite or unknown.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*, equation 16.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.xavier_uniform_(torch.empty(100, 50))
        print(f"{weight.abs().max().item():.3f}")  # a = sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    check_real(tensor)
    number, fans = as_gain(gain), tensor_fans(tensor)
    if tensor.numel() == 0:
        return tensor
    bound = math.sqrt(3.0) * xavier_std(fans, number)
    return draw_uniform_(tensor, -bound, bound, generator)


@shards_alike
def xavier_normal_(
    tensor: Tensor,
    gain: float | Nonlinearity = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from the Xavier normal distribution.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad
    \sigma = \text{gain} \sqrt{\frac{2}{\text{fan}_{in} + \text{fan}_{out}}}$$

    A plain normal, as in torch; `glorot_normal` of Keras and JAX cuts it at two std. The values
    are those of `torch.nn.init.xavier_normal_`, bit for bit, in float32 and float64.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        gain: A number, or an activation that [gain][initguide.gain] takes.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: It has fewer than two dimensions, or `gain` is negative, not finite or unknown.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*, equation 12.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.xavier_normal_(torch.empty(500, 300))
        print(f"{weight.std().item():.3f}")  # sqrt(2 / 800) = 0.05
        #> 0.050
        ```
    """
    check_tensor(tensor)
    number, fans = as_gain(gain), tensor_fans(tensor)
    if tensor.numel() == 0:
        return tensor
    return draw_normal_(tensor, 0.0, xavier_std(fans, number), generator)


def xavier_uniform(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a weight array from the Xavier uniform distribution.

    $$w_i \sim \mathcal{U}(-a, a), \qquad
    a = \text{gain} \sqrt{\frac{6}{\text{fan}_{in} + \text{fan}_{out}}}$$

    Args:
        shape: The weight's shape, at least two sizes.
        gain: A number, or an activation that [gain][initguide.gain] takes.
        layout: `"in_out"` for `(*kernel, in, out)`, `"out_in"` for `(out, in, *kernel)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape has fewer than two dimensions or a size below 1, `layout` is unknown,
            or `gain` is negative, not finite or unknown.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*, equation 16.

    Examples:
        ```python
        import initguide as init

        weight = init.xavier_uniform((50, 100), rng=0)
        print(f"{abs(weight).max():.3f}")  # a = sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    bound = math.sqrt(3.0) * xavier_std(fans(shape, layout), as_gain(gain))
    return uniform(shape, -bound, bound, dtype=dtype, rng=rng)


def xavier_normal(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a weight array from the Xavier normal distribution.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad
    \sigma = \text{gain} \sqrt{\frac{2}{\text{fan}_{in} + \text{fan}_{out}}}$$

    Args:
        shape: The weight's shape, at least two sizes.
        gain: A number, or an activation that [gain][initguide.gain] takes.
        layout: `"in_out"` for `(*kernel, in, out)`, `"out_in"` for `(out, in, *kernel)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape has fewer than two dimensions or a size below 1, `layout` is unknown,
            or `gain` is negative, not finite or unknown.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*, equation 12.

    Examples:
        ```python
        import initguide as init

        weight = init.xavier_normal((300, 500), rng=0)
        print(f"{weight.std():.3f}")  # sqrt(2 / 800) = 0.05
        #> 0.050
        ```
    """
    std = xavier_std(fans(shape, layout), as_gain(gain))
    return normal(shape, 0.0, std, dtype=dtype, rng=rng)


_PAGE = "guide/methods/xavier.md"
_USE = "tanh, sigmoid around zero, linear layers"
_AVOID = "deep ReLU networks: half the second moment is lost in each layer"

METHODS = (
    Method(
        title="Xavier uniform",
        array=xavier_uniform,
        tensor=xavier_uniform_,
        law=r"\mathcal{U}(-a, a),\ a = g\sqrt{6 / (\text{fan}_{in} + \text{fan}_{out})}",
        paper=PAPERS["glorot2010"],
        use_when=_USE,
        avoid_when=_AVOID,
        elsewhere="Keras `GlorotUniform`, JAX `glorot_uniform`",
        page=_PAGE,
        spread=lambda fans, gain=1.0: ("uniform", xavier_std(fans, as_gain(gain))),
    ),
    Method(
        title="Xavier normal",
        array=xavier_normal,
        tensor=xavier_normal_,
        law=r"\mathcal{N}(0, \sigma^2),\ \sigma = g\sqrt{2 / (\text{fan}_{in} + \text{fan}_{out})}",
        paper=PAPERS["glorot2010"],
        use_when=_USE,
        avoid_when=_AVOID,
        elsewhere="Keras `GlorotNormal`, JAX `glorot_normal` (both cut at ±2 std)",
        page=_PAGE,
        spread=lambda fans, gain=1.0: ("normal", xavier_std(fans, as_gain(gain))),
    ),
)
