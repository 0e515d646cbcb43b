r"""Convolutions: the same formulas as for dense layers, with the kernel included in the fans.

An output of a convolution sums $k^d\, c_{in} / g$ products, where $k$ is the kernel size, $d$ the
number of dimensions and $g$ the number of groups. This is its fan-in. So for a plain square kernel
He's std is $\sqrt{2 / (c_{in} k^2)}$, and Xavier's is $\sqrt{2 / (c_{in} k^2 + c_{out} k^2)}$.

For two kinds of layer the shape of the weight is not enough. In a depthwise or grouped convolution
an output sees the channels of one group only. A transposed convolution stores its weight as
(in, out), and with stride $s$ an output sums only $k^d c_{in} / (g s^d)$ products on average.
"""

from typing import Literal, TypeVar

import torch
from torch import nn

from initguide.fans import Mode, layer_fans
from initguide.gains import Nonlinearity, gain
from initguide.methods.constant import zeros_
from initguide.methods.normal import normal_, uniform_

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
Convolution = TypeVar("Convolution", bound=nn.Module)


def convolution_(
    module: Convolution,
    nonlinearity: Nonlinearity = "relu",
    mode: Mode = "fan_in",
    *,
    distribution: Literal["normal", "uniform"] = "normal",
    generator: torch.Generator | None = None,
) -> Convolution:
    r"""Initialize a convolution of any kind so that it keeps the second moment of the signal.

    $$\operatorname{Var} w = \frac{\text{gain}^2}{\text{fan}}, \qquad
    \text{fan}_{in} = \frac{c_{in}}{g}\, k^d \;\Big(\text{transposed: }
    \frac{c_{in}}{g} \frac{k^d}{s^d}\Big), \qquad b = 0$$

    The default is He initialization. Xavier initialization is
    `nonlinearity="linear", mode="fan_avg"`.

    Args:
        module: `nn.Conv1d` to `3d` or `nn.ConvTranspose1d` to `3d`, with any groups, stride and
            dilation.
        nonlinearity: The activation that follows, in any form that [gain][initguide.gain] takes.
        mode: The fan that sets the variance. `"fan_in"` keeps the second moment of the signal,
            `"fan_out"` that of the gradient, and `"fan_avg"` is a compromise.
        distribution: `"normal"`, or `"uniform"` with the same variance.
        generator: The source of randomness. None means torch's global generator.

    Returns:
        `module`, changed in place.

    Raises:
        TypeError: `module` is not one of these layers.
        ValueError: `nonlinearity`, `mode` or `distribution` is unknown.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun (2015), *Delving Deep into Rectifiers*, section 2.2;
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*.

    Examples:
        ```python
        import torch

        import initguide as init

        generator = torch.Generator().manual_seed(0)
        conv = torch.nn.Conv2d(64, 128, 3)
        init.convolution_(conv, generator=generator)  # He: sqrt(2 / (64 * 9)) = 0.0589
        print(f"{conv.weight.std().item():.3f}")
        #> 0.059
        init.convolution_(conv, "linear", "fan_avg", generator=generator)  # Xavier: 0.0340
        print(f"{conv.weight.std().item():.3f}")
        #> 0.034
        ```
    """
    if not isinstance(module, CONVOLUTIONS):
        raise TypeError(f"module must be a convolution; got {type(module).__name__}")
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"distribution must be 'normal' or 'uniform'; got {distribution!r}")
    std = gain(nonlinearity) / layer_fans(module).pick(mode) ** 0.5
    if distribution == "normal":
        normal_(module.weight, std=std, generator=generator)
    else:
        bound = 3**0.5 * std
        uniform_(module.weight, -bound, bound, generator=generator)
    if module.bias is not None:
        zeros_(module.bias)
    return module
