r"""Residual networks without normalization, and the ways in which their branches may start.

A block adds to its input $h$ what its branch makes of it, $h + W_2 \operatorname{relu}(W_1 h)$.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.models import pytorch_default, undrawn
from initguide.methods.constant import zeros_
from initguide.methods.kaiming import kaiming_normal_
from initguide.methods.lecun import lecun_normal_


class Block(nn.Module):
    """A residual block of two layers, with scalars that change nothing where they start.

    Fixup's: a bias before each layer, and a multiplier of the branch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = undrawn(nn.Linear, width, width)
        self.last = undrawn(nn.Linear, width, width)
        self.biases = nn.Parameter(torch.zeros(2))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Add to the input what the branch makes of it."""
        h = F.relu(self.first(x + self.biases[0]))
        return x + self.scale * self.last(h + self.biases[1])


def _he(block: Block, blocks: int, generator: torch.Generator | None) -> None:
    for layer in (block.first, block.last):
        kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        zeros_(layer.bias)


def _preserving(block: Block, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, blocks, generator)
    lecun_normal_(block.first.weight, generator=generator)


def _default(block: Block, blocks: int, generator: torch.Generator | None) -> None:
    pytorch_default(block, generator)


def _divided(block: Block, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, blocks, generator)
    block.last.weight.div_((2 * blocks) ** 0.5)


def _zero_last(block: Block, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, blocks, generator)
    zeros_(block.last.weight)


def _skip(block: Block, blocks: int, generator: torch.Generator | None) -> None:
    _he(block, blocks, generator)
    zeros_(block.scale)


def _fixup(block: Block, blocks: int, generator: torch.Generator | None) -> None:
    _zero_last(block, blocks, generator)
    block.first.weight.div_(blocks**0.5)


BRANCHES: dict[str, Callable[[Block, int, torch.Generator | None], None]] = {
    "He": _he,
    "branch keeps its size": _preserving,
    "PyTorch default": _default,
    "last / √(2L)": _divided,
    "last zero": _zero_last,
    "SkipInit": _skip,
    "Fixup": _fixup,
}
"""How a branch starts: functions of a block, of the number of blocks L, and of a generator."""


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
        start: How the branches start, one of the names in `BRANCHES`. Fixup's head starts at zero;
            the others' has variance 1 / fan_in.
        blocks: The number of blocks.
        width: The size of the residual stream.
        inputs: The size of the input.
        outputs: The size of the output.
        generator: Where the weights are drawn from; None is torch's global one.

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
    stem = undrawn(nn.Linear, inputs, width)
    head = undrawn(nn.Linear, width, outputs)
    for layer in (stem, head):
        lecun_normal_(layer.weight, generator=generator)
        zeros_(layer.bias)
    if start == "Fixup":
        zeros_(head.weight)
    body = [Block(width) for _ in range(blocks)]
    with torch.no_grad():
        for block in body:
            BRANCHES[start](block, blocks, generator)
    return nn.Sequential(stem, *body, head)
