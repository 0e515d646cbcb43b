"""Plain convolutional networks for the digits: no shortcut, no normalization."""

from collections.abc import Callable

import torch
from torch import nn

from initguide.experiments.models import Activation, activation, undrawn
from initguide.methods.constant import zeros_
from initguide.methods.lecun import lecun_normal_


def convolutions(
    depth: int,
    channels: int,
    nonlinearity: Activation,
    fill_: Callable[..., object],
    *,
    first_: Callable[..., object] = lecun_normal_,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return convolutions of 3 by 3 without biases, and a Linear head of variance 1 / fan_in.

    Args:
        depth: The number of layers between the first, of stride 2, and the head.
        channels: The channels of each layer, in maps of 4 by 4.
        nonlinearity: What follows each convolution, as in [mlp][initguide.experiments.mlp].
        fill_: Fills the kernels of these layers; takes the keyword `generator`.
        first_: Fills those of the first.
        generator: Where the weights are drawn from; None is torch's global one.

    Returns:
        The network, with inputs of shape `(batch, 64)`.
    """
    first = undrawn(nn.Conv2d, 1, channels, 3, stride=2, padding=1, bias=False)
    head = undrawn(nn.Linear, 16 * channels, 10)
    first_(first.weight, generator=generator)
    lecun_normal_(head.weight, generator=generator)
    zeros_(head.bias)
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8)), first, activation(nonlinearity)]
    for _ in range(depth):
        layer = undrawn(nn.Conv2d, channels, channels, 3, padding=1, bias=False)
        fill_(layer.weight, generator=generator)
        layers += [layer, activation(nonlinearity)]
    return nn.Sequential(*layers, nn.Flatten(), head)
