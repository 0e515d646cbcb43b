r"""Residual networks of Linear layers with a normalization before each branch.

A block adds its branch to its input: $h + m\, W_2 \operatorname{relu}(W_1 \operatorname{norm}(h))$.
The blocks have the order of a pre-LN Transformer, but there is no attention.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.models import uninitialized
from initguide.methods.kaiming import kaiming_normal_
from initguide.methods.lecun import lecun_normal_


class DyT(nn.Module):
    r"""Dynamic tanh, $\gamma \tanh(\alpha x) + \beta$, in the place of a normalization."""

    def __init__(self, width: int, alpha: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each entry."""
        return self.gamma * torch.tanh(self.alpha * x) + self.beta


class PreNormBlock(nn.Module):
    """A residual block of two Linear layers, whose branch has a fixed multiplier."""

    multiplier: Tensor

    def __init__(self, width: int, norm: nn.Module, multiplier: float) -> None:
        super().__init__()
        self.norm = norm
        self.first = uninitialized(nn.Linear, width, width)
        self.last = uninitialized(nn.Linear, width, width)
        self.register_buffer("multiplier", torch.tensor(multiplier))

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of the branch to the input."""
        return x + self.multiplier * self.last(F.relu(self.first(self.norm(x))))


@torch.no_grad()
def prenorm(
    blocks: int,
    width: int,
    *,
    norm: Callable[[int], nn.Module] = nn.LayerNorm,
    last: float = 1.0,
    multiplier: float = 1.0,
    generator: torch.Generator,
) -> nn.Sequential:
    """Return a residual network for the digits, with a norm before each branch and before the head.

    Args:
        blocks: The number of residual blocks.
        width: The size of the residual stream.
        norm: A function of the width that returns a normalization layer.
        last: A factor for the weights of the last layer of each branch. At 1 their variance is
            1 / fan_in, and the layer before them has He's weights.
        multiplier: The factor of each branch in the forward pass.
        generator: The source of randomness.

    Returns:
        The network, with inputs of shape `(batch, 64)`.
    """
    body = [PreNormBlock(width, norm(width), multiplier) for _ in range(blocks)]
    model = nn.Sequential(
        uninitialized(nn.Linear, 64, width), *body, norm(width), uninitialized(nn.Linear, width, 10)
    )
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            lecun_normal_(layer.weight, generator=generator)
            layer.bias.zero_()
    for block in body:
        kaiming_normal_(block.first.weight, generator=generator)
        block.last.weight.mul_(last)
    return model
