r"""LeCun initialization: variance one over the fan-in, the oldest scaled law.

A unit that sums $n$ independent products of unit second moment has variance $n \sigma^2$; with
$\sigma^2 = 1/n$ it is one. It is He's law without the ReLU's 2, the law that linear layers and
SELU want, and the forward half of Xavier's compromise (LeCun et al., 1998).
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


def lecun_std(fans: Fans, gain: float = 1.0) -> float:
    """Return the weights' standard deviation, gain / sqrt(fan_in)."""
    return gain / math.sqrt(fans.fan_in)


@shards_alike
def lecun_uniform_(
    tensor: Tensor,
    gain: float | Nonlinearity = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from the LeCun uniform distribution.

    $$w_i \sim \mathcal{U}(-a, a), \qquad a = \text{gain} \sqrt{\frac{3}{\text{fan}_{in}}}$$

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
        Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998), *Efficient BackProp*, equation 16.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.lecun_uniform_(torch.empty(300, 300))
        print(f"{weight.abs().max().item():.3f}")  # sqrt(3 / 300) = 0.1
        #> 0.100
        ```
    """
    check_real(tensor)
    number, fans = as_gain(gain), tensor_fans(tensor)
    if tensor.numel() == 0:
        return tensor
    bound = math.sqrt(3.0) * lecun_std(fans, number)
    return draw_uniform_(tensor, -bound, bound, generator)


@shards_alike
def lecun_normal_(
    tensor: Tensor,
    gain: float | Nonlinearity = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from the LeCun normal distribution.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad
    \sigma = \frac{\text{gain}}{\sqrt{\text{fan}_{in}}}$$

    A plain normal; `lecun_normal` of Keras and JAX cuts it at two std.

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
    check_tensor(tensor)
    number, fans = as_gain(gain), tensor_fans(tensor)
    if tensor.numel() == 0:
        return tensor
    return draw_normal_(tensor, 0.0, lecun_std(fans, number), generator)


def lecun_uniform(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a weight array from the LeCun uniform distribution.

    $$w_i \sim \mathcal{U}(-a, a), \qquad a = \text{gain} \sqrt{\frac{3}{\text{fan}_{in}}}$$

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
        Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998), *Efficient BackProp*, equation 16.

    Examples:
        ```python
        import initguide as init

        weight = init.lecun_uniform((300, 300), rng=0)
        print(f"{abs(weight).max():.3f}")  # sqrt(3 / 300) = 0.1
        #> 0.100
        ```
    """
    bound = math.sqrt(3.0) * lecun_std(fans(shape, layout), as_gain(gain))
    return uniform(shape, -bound, bound, dtype=dtype, rng=rng)


def lecun_normal(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a weight array from the LeCun normal distribution.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad
    \sigma = \frac{\text{gain}}{\sqrt{\text{fan}_{in}}}$$

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
        Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998), *Efficient BackProp*, equation 16.

    Examples:
        ```python
        import initguide as init

        weight = init.lecun_normal((400, 300), rng=0)
        print(f"{weight.std():.3f}")  # 1 / sqrt(400) = 0.05
        #> 0.050
        ```
    """
    std = lecun_std(fans(shape, layout), as_gain(gain))
    return normal(shape, 0.0, std, dtype=dtype, rng=rng)


_PAGE = "guide/methods/xavier.md"
_USE = "SELU, linear and output layers"
_AVOID = "deep ReLU networks: half the second moment is lost in each layer"

METHODS = (
    Method(
        title="LeCun uniform",
        array=lecun_uniform,
        tensor=lecun_uniform_,
        law=r"\mathcal{U}(-a, a),\ a = g\sqrt{3 / \text{fan}_{in}}",
        paper=PAPERS["lecun1998"],
        use_when=_USE,
        avoid_when=_AVOID,
        elsewhere="Keras `LecunUniform`, JAX `lecun_uniform`",
        page=_PAGE,
        spread=lambda fans, gain=1.0: ("uniform", lecun_std(fans, as_gain(gain))),
    ),
    Method(
        title="LeCun normal",
        array=lecun_normal,
        tensor=lecun_normal_,
        law=r"\mathcal{N}(0, \sigma^2),\ \sigma = g / \sqrt{\text{fan}_{in}}",
        paper=PAPERS["lecun1998"],
        use_when=_USE,
        avoid_when=_AVOID,
        elsewhere="Keras `LecunNormal`, JAX `lecun_normal` (both cut at ±2 std)",
        page=_PAGE,
        spread=lambda fans, gain=1.0: ("normal", lecun_std(fans, as_gain(gain))),
    ),
)
