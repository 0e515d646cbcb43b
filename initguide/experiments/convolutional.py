"""Plain convolutional networks for the digits, without shortcuts and normalization."""

from collections.abc import Callable

import torch
from torch import nn

from initguide.experiments.models import Activation, activation, uninitialized
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
    """Return a network of 3 by 3 convolutions without biases, and a Linear head.

    The weights of the head have variance 1 / fan_in.

    Args:
        depth: The number of layers between the first layer, which has stride 2, and the head.
        channels: The number of channels of each layer; the maps have 4 by 4 pixels.
        nonlinearity: The activation after each convolution, as in
            [mlp][initguide.experiments.mlp].
        fill_: The initializer of these layers' kernels; it takes the keyword `generator`.
        first_: The initializer of the first layer's kernel.
        generator: The source of randomness; None is torch's global generator.

    Returns:
        The network, with inputs of shape `(batch, 64)`.
    """
    first = uninitialized(nn.Conv2d, 1, channels, 3, stride=2, padding=1, bias=False)
    head = uninitialized(nn.Linear, 16 * channels, 10)
    first_(first.weight, generator=generator)
    lecun_normal_(head.weight, generator=generator)
    zeros_(head.bias)
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8)), first, activation(nonlinearity)]
    for _ in range(depth):
        layer = uninitialized(nn.Conv2d, channels, channels, 3, padding=1, bias=False)
        fill_(layer.weight, generator=generator)
        layers += [layer, activation(nonlinearity)]
    return nn.Sequential(*layers, nn.Flatten(), head)
