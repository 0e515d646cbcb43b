r"""Residual networks without normalization, and the ways to initialize their branches.

A block adds the output of its branch to its input $h$: $h + W_2 \operatorname{relu}(W_1 h)$.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.models import each_linear, pytorch_default, uninitialized
from initguide.methods.constant import zeros_
from initguide.methods.kaiming import kaiming_normal_
from initguide.methods.lecun import lecun_normal_


class ResidualBlock(nn.Module):
    """A residual block of two layers with the extra parameters of Fixup.

    These are a bias before each layer and a multiplier of the branch. They start at zero and one,
    where they have no effect.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = uninitialized(nn.Linear, width, width)
        self.last = uninitialized(nn.Linear, width, width)
        self.biases = nn.Parameter(torch.zeros(2))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of the branch to the input."""
        h = F.relu(self.first(x + self.biases[0]))
        return x + self.scale * self.last(h + self.biases[1])


_he = each_linear(kaiming_normal_)


def _size_preserving(block: ResidualBlock, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, generator)
    lecun_normal_(block.first.weight, generator=generator)


def _divided_last(block: ResidualBlock, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, generator)
    block.last.weight.div_((2 * blocks) ** 0.5)


def _zero_last(block: ResidualBlock, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, generator)
    zeros_(block.last.weight)


def _skip_init(block: ResidualBlock, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, generator)
    zeros_(block.scale)


def _fixup(block: ResidualBlock, blocks: int, generator: torch.Generator | None) -> None:
    _zero_last(block, blocks, generator)
    block.first.weight.div_(blocks**0.5)


BRANCHES: dict[str, Callable[[ResidualBlock, int, torch.Generator | None], None]] = {
    "He": lambda block, _, generator: _he(block, generator),
    "branch keeps its size": _size_preserving,
    "PyTorch default": lambda block, _, generator: pytorch_default(block, generator),
    "last / √(2N)": _divided_last,
    "last zero": _zero_last,
    "SkipInit": _skip_init,
    "Fixup": _fixup,
}
"""Initializers of one block: functions of the block, the number of blocks L and a generator."""


def residual(
    start: str,
    blocks: int,
    width: int,
    *,
    inputs: int = 64,
    outputs: int = 10,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a residual network: a Linear layer, blocks of equal width, a Linear head.

    Args:
        start: The initialization of the branches, one of the names in `BRANCHES`. With Fixup the
            weights of the head are zero; otherwise they have variance 1 / fan_in.
        blocks: The number of blocks.
        width: The size of the residual stream.
        inputs: The size of the input.
        outputs: The size of the output.
        generator: The source of randomness; None is torch's global generator.

    Returns:
        The network, with inputs of shape `(batch, inputs)`.

    Raises:
        ValueError: `start` is unknown, or a size is not positive.
    """
    if start not in BRANCHES:
        raise ValueError(f"start must be one of {', '.join(BRANCHES)}; got {start!r}")
    if min(blocks, width, inputs, outputs) < 1:
        raise ValueError(
            "blocks, width, inputs and outputs must be positive; got "
            f"{blocks}, {width}, {inputs} and {outputs}"
        )
    stem = uninitialized(nn.Linear, inputs, width)
    head = uninitialized(nn.Linear, width, outputs)
    for layer in (stem, head):
        lecun_normal_(layer.weight, generator=generator)
        zeros_(layer.bias)
    if start == "Fixup":
        zeros_(head.weight)
    body = [ResidualBlock(width) for _ in range(blocks)]
    with torch.no_grad():
        for block in body:
            BRANCHES[start](block, blocks, generator)
    return nn.Sequential(stem, *body, head)
