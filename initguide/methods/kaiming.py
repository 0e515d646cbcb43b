r"""Kaiming (He) initialization: keep the signal's size through layers of ReLUs.

A ReLU zeroes half of a symmetric signal, so each layer halves the second moment:
$\mathbb{E}[x_{l+1}^2] = \tfrac12\, n\, \sigma^2\, \mathbb{E}[x_l^2]$.
Setting the factor to one gives $\sigma^2 = 2/n$, with $n$ the fan-in (He et al., 2015).
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_real, check_tensor
from initguide._sharding import shards_alike
from initguide._torch_internals import is_overridden, overridden
from initguide.fans import Fans, Layout, Mode, fans, tensor_fans
from initguide.gains import Nonlinearity, calculate_gain
from initguide.methods.normal import draw_normal_, draw_uniform_, normal, uniform
from initguide.methods.record import Method
from initguide.papers import PAPERS

RELU_GAIN = math.sqrt(2.0)


def kaiming_std(fans: Fans, gain: float = RELU_GAIN, mode: Mode = "fan_in") -> float:
    """Return the weights' standard deviation, gain / sqrt(fan)."""
    return gain / math.sqrt(fans.pick(mode))


def _std(
    fans: Fans, a: float = 0.0, mode: Mode = "fan_in", nonlinearity: Nonlinearity = "leaky_relu"
) -> float:
    """Return the std from the options of the methods."""
    return kaiming_std(fans, calculate_gain(nonlinearity, a), mode)


def _tensor_std(tensor: Tensor, a: float, mode: Mode, nonlinearity: Nonlinearity) -> float | None:
    """Return the std for a tensor; None where it is empty, with torch's warning."""
    if tensor.numel() == 0:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    return _std(tensor_fans(tensor), a, mode, nonlinearity)


@shards_alike
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight from the Kaiming (He) uniform distribution.

    $$w_i \sim \mathcal{U}(-b, b), \qquad b = \text{gain} \sqrt{\frac{3}{\text{fan}}}
    \quad\Big(\text{ReLU: } \sqrt{\frac{6}{\text{fan}_{in}}}\Big)$$

    The values are those of `torch.nn.init.kaiming_uniform_`, bit for bit, in float32 and float64.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        a: The negative slope of a leaky ReLU (0 is a plain one); used for `"leaky_relu"` only.
        mode: `"fan_in"` keeps the signal, `"fan_out"` the gradient; `"fan_avg"` and
            `"fan_geo_avg"` are between.
        nonlinearity: What follows the layer; what
            [calculate_gain][initguide.calculate_gain] takes.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: It has fewer than two dimensions, `a` is not finite, or `mode` or
            `nonlinearity` is unknown.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun (2015), *Delving Deep into Rectifiers: Surpassing
        Human-Level Performance on ImageNet Classification*, equations 10 and 14.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.kaiming_uniform_(torch.empty(300, 150))
        print(f"{weight.abs().max().item():.3f}")  # sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    if is_overridden(tensor):
        options = {"a": a, "mode": mode, "nonlinearity": nonlinearity, "generator": generator}
        return overridden("kaiming_uniform_", tensor, **options)
    check_real(tensor)
    std = _tensor_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return draw_uniform_(tensor, -bound, bound, generator)


@shards_alike
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

    The values are those of `torch.nn.init.kaiming_normal_`, bit for bit, in float32 and float64.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        a: The negative slope of a leaky ReLU (0 is a plain one); used for `"leaky_relu"` only.
        mode: `"fan_in"` keeps the signal, `"fan_out"` the gradient; `"fan_avg"` and
            `"fan_geo_avg"` are between.
        nonlinearity: What follows the layer; what
            [calculate_gain][initguide.calculate_gain] takes.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: It has fewer than two dimensions, `a` is not finite, or `mode` or
            `nonlinearity` is unknown.

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
    check_tensor(tensor)
    std = _tensor_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    return draw_normal_(tensor, 0.0, std, generator)


def kaiming_uniform(
    shape: Sequence[int],
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a weight array from the Kaiming (He) uniform distribution.

    $$w_i \sim \mathcal{U}(-b, b), \qquad b = \text{gain} \sqrt{\frac{3}{\text{fan}}}
    \quad\Big(\text{ReLU: } \sqrt{\frac{6}{\text{fan}_{in}}}\Big)$$

    Args:
        shape: The weight's shape, at least two sizes.
        a: The negative slope of a leaky ReLU (0 is a plain one); used for `"leaky_relu"` only.
        mode: `"fan_in"` keeps the signal, `"fan_out"` the gradient; `"fan_avg"` and
            `"fan_geo_avg"` are between.
        nonlinearity: What follows the layer; what
            [calculate_gain][initguide.calculate_gain] takes.
        layout: `"in_out"` for `(*kernel, in, out)`, `"out_in"` for `(out, in, *kernel)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape has fewer than two dimensions or a size below 1, `a` is not finite, or
            `mode`, `nonlinearity` or `layout` is unknown.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun (2015), *Delving Deep into Rectifiers: Surpassing
        Human-Level Performance on ImageNet Classification*, equations 10 and 14.

    Examples:
        ```python
        import initguide as init

        weight = init.kaiming_uniform((150, 300), rng=0)
        print(f"{abs(weight).max():.3f}")  # sqrt(6 / 150) = 0.2
        #> 0.200
        ```
    """
    std = _std(fans(shape, layout), a, mode, nonlinearity)
    bound = math.sqrt(3.0) * std
    return uniform(shape, -bound, bound, dtype=dtype, rng=rng)


def kaiming_normal(
    shape: Sequence[int],
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a weight array from the Kaiming (He) normal distribution.

    $$w_i \sim \mathcal{N}(0, \sigma^2), \qquad \sigma = \frac{\text{gain}}{\sqrt{\text{fan}}}
    \quad\Big(\text{ReLU: } \sqrt{\frac{2}{\text{fan}_{in}}}\Big)$$

    Args:
        shape: The weight's shape, at least two sizes.
        a: The negative slope of a leaky ReLU (0 is a plain one); used for `"leaky_relu"` only.
        mode: `"fan_in"` keeps the signal, `"fan_out"` the gradient; `"fan_avg"` and
            `"fan_geo_avg"` are between.
        nonlinearity: What follows the layer; what
            [calculate_gain][initguide.calculate_gain] takes.
        layout: `"in_out"` for `(*kernel, in, out)`, `"out_in"` for `(out, in, *kernel)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape has fewer than two dimensions or a size below 1, `a` is not finite, or
            `mode`, `nonlinearity` or `layout` is unknown.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun (2015), *Delving Deep into Rectifiers: Surpassing
        Human-Level Performance on ImageNet Classification*, equations 10 and 14.

    Examples:
        ```python
        import initguide as init

        weight = init.kaiming_normal((200, 300), rng=0)
        print(f"{weight.std():.3f}")  # sqrt(2 / 200) = 0.1
        #> 0.100
        ```
    """
    std = _std(fans(shape, layout), a, mode, nonlinearity)
    return normal(shape, 0.0, std, dtype=dtype, rng=rng)


_PAGE = "guide/methods/he.md"
_USE = "ReLU and its variants"
_AVOID = "linear or output layers: the second moment doubles where no ReLU follows"

METHODS = (
    Method(
        title="Kaiming uniform",
        array=kaiming_uniform,
        tensor=kaiming_uniform_,
        law=r"\mathcal{U}(-b, b),\ b = g\sqrt{3 / \text{fan}_{in}}",
        paper=PAPERS["he2015"],
        use_when=_USE,
        avoid_when=_AVOID,
        elsewhere="Keras `HeUniform`, JAX `he_uniform`",
        page=_PAGE,
        spread=lambda fans, **options: ("uniform", _std(fans, **options)),
    ),
    Method(
        title="Kaiming normal",
        array=kaiming_normal,
        tensor=kaiming_normal_,
        law=r"\mathcal{N}(0, \sigma^2),\ \sigma = g / \sqrt{\text{fan}_{in}}",
        paper=PAPERS["he2015"],
        use_when=_USE,
        avoid_when=_AVOID,
        elsewhere="Keras `HeNormal`, JAX `he_normal` (both cut at ±2 std)",
        page=_PAGE,
        spread=lambda fans, **options: ("normal", _std(fans, **options)),
    ),
)
