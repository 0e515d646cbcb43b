"""A small decoder-only Transformer with normalization in one of three places, or without it."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.models import uninitialized
from initguide.methods.lecun import lecun_normal_
from initguide.methods.normal import normal_
from initguide.methods.xavier import xavier_normal_

STYLES = ("post-LN", "pre-LN", "DeepNorm", "no LN", "T-Fixup")


def _norm(width: int, style: str) -> nn.Module:
    return nn.Identity() if style in ("no LN", "T-Fixup") else nn.LayerNorm(width)


def _linear(fan_in: int, fan_out: int, *, bias: bool = False) -> nn.Linear:
    return uninitialized(nn.Linear, fan_in, fan_out, bias)


class TransformerBlock(nn.Module):
    r"""Attention and a ReLU layer, each in a residual branch.

    A branch $f$ of post-LN and DeepNorm gives $\operatorname{LN}(\alpha h + f(h))$. Post-LN has
    $\alpha = 1$, and DeepNorm has $\alpha = (2L)^{1/4}$. A branch of pre-LN gives
    $h + f(\operatorname{LN}(h))$. A branch of the styles without LayerNorm gives $h + f(h)$.
    """

    alpha: Tensor

    def __init__(self, width: int, heads: int, depth: int, style: str) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (_linear(width, width) for _ in range(4))
        self.up = _linear(width, 4 * width, bias=True)
        self.down = _linear(4 * width, width, bias=True)
        self.norms = nn.ModuleList(_norm(width, style) for _ in range(2))
        self.heads = heads
        self.pre = style == "pre-LN"
        # As a buffer it gives post-LN and DeepNorm one structure, so they can be trained at once.
        alpha = (2 * depth) ** 0.25 if style == "DeepNorm" else 1.0
        self.register_buffer("alpha", torch.tensor(alpha))

    def attend(self, x: Tensor) -> Tensor:
        """Mix each position with the positions before it."""

        def split(z: Tensor) -> Tensor:
            return z.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        later = torch.full(scores.shape[-2:], -1e9).triu(1)
        return self.out(((scores + later).softmax(-1) @ v).transpose(-2, -3).flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        """Add both branches."""
        for norm, branch in zip(self.norms, (self.attend, self.feed), strict=True):
            x = x + branch(norm(x)) if self.pre else norm(self.alpha * x + branch(x))
        return x

    def feed(self, x: Tensor) -> Tensor:
        """Transform each position separately."""
        return self.down(F.relu(self.up(x)))


class Transformer(nn.Module):
    """A decoder-only Transformer with one-hot tokens, learned positions and a Linear head."""

    def __init__(
        self, style: str, *, tokens: int, positions: int, width: int, heads: int, depth: int
    ) -> None:
        super().__init__()
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}; got {style!r}")
        self.tokens = _linear(tokens, width)
        self.positions = nn.Parameter(torch.zeros(positions, width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, depth, style) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width) if style == "pre-LN" else nn.Identity()
        self.head = _linear(width, tokens, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the next token at each position, from one-hot tokens."""
        h = self.tokens(x) + self.positions[: x.shape[-2]]
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@torch.no_grad()
def transformer(
    style: str,
    *,
    tokens: int = 16,
    positions: int = 8,
    width: int = 16,
    heads: int = 2,
    depth: int = 12,
    generator: torch.Generator | None = None,
) -> Transformer:
    r"""Return a Transformer whose weights Xavier's method has drawn.

    DeepNorm multiplies the weights of the values, of the output projection and of the ReLU layer by
    $\beta = (8L)^{-1/4}$ (Wang et al., 2022). T-Fixup multiplies those of the values, of the output
    projection and of both layers after it, and the embeddings, by $0.67\, L^{-1/4}$ (Huang et al.,
    2020).

    Args:
        style: `"post-LN"`, `"pre-LN"` or `"DeepNorm"`; without LayerNorm `"no LN"` or `"T-Fixup"`.
        tokens: The size of the vocabulary.
        positions: The longest sequence.
        width: The size of the residual stream.
        heads: The number of attention heads.
        depth: The number of blocks L.
        generator: The source of randomness; None is torch's global generator.

    Returns:
        The network, from one-hot inputs of shape `(..., length, tokens)` to scores of that shape.

    Raises:
        ValueError: `style` is unknown.
    """
    model = Transformer(
        style, tokens=tokens, positions=positions, width=width, heads=heads, depth=depth
    )
    factor = {"DeepNorm": (8 * depth) ** -0.25, "T-Fixup": 0.67 * depth**-0.25}.get(style, 1.0)
    # Token and position together have variance one.
    for embedding in (model.tokens.weight, model.positions):
        normal_(embedding, std=0.5**0.5, generator=generator)
        if style == "T-Fixup":
            embedding.mul_(factor)
    for block in model.blocks:
        assert isinstance(block, TransformerBlock)
        for layer in (block.query, block.key, block.value, block.out, block.up, block.down):
            xavier_normal_(layer.weight, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
        for layer in (block.value, block.out, block.up, block.down):
            layer.weight.mul_(factor)
    lecun_normal_(model.head.weight, generator=generator)
    model.head.bias.zero_()
    return model
