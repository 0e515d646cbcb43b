r"""Hanin & Rolnick (2018): a residual signal grows by the product of its blocks' factors.

A branch whose last weights are drawn around zero is uncorrelated with its input, so second moments
add. If it turns $q = \mathbb{E}[h^2]$ into $s\,q$, a block multiplies by $1 + s$, and $L$ blocks by

$$\prod_{l=1}^{L} (1 + s_l) \le \exp \sum_l s_l .$$

He's two layers have $s = 2$; PyTorch's default, of variance $1/(3n)$ with a ReLU between, has
$s = \tfrac13 \cdot \tfrac12 \cdot \tfrac13 = \tfrac1{18}$. Only a sum that stays bounded, as of
$s = 1/L$, keeps the size at any depth.
"""

from collections.abc import Callable, Iterable, Sequence

import torch

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.residual import residual

SHARES: dict[str, Callable[[int], float]] = {
    "He": lambda blocks: 2.0,
    "branch keeps its size": lambda blocks: 1.0,
    "PyTorch default": lambda blocks: 1 / 18,
    "last / √(2L)": lambda blocks: 1 / blocks,
    "last zero": lambda blocks: 0.0,
}
"""What a branch adds to the second moment, as a share of its input's: s, by the blocks L."""


@recorded
def run(
    seeds: Iterable[int], depths: Sequence[int] = (25, 50), width: int = 128, batch: int = 64
) -> Rows:
    """Send standard normal inputs through freshly initialized residual networks.

    Args:
        seeds: One network and batch for each seed, start and depth.
        depths: The numbers of blocks.
        width: The size of the residual stream.
        batch: The number of inputs.

    Returns:
        One row for each block, and for the stream before the first (layer 0): `initialization`,
        `depth`, `seed`, `layer` and `rms`.
    """
    seeds = list(seeds)
    return [
        {"initialization": start, "depth": depth, "seed": seed, "layer": layer, "rms": rms}
        for start in SHARES
        for depth in depths
        for seed in seeds
        for layer, rms in enumerate(_stream(start, depth, width, batch, seed))
    ]


@torch.no_grad()
def _stream(start: str, depth: int, width: int, batch: int, seed: int) -> list[float]:
    """Return the rms of the residual stream before the first block and after each."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(batch, width, generator=generator)
    stream = []
    *layers, _ = residual(start, depth, width, inputs=width, generator=generator)
    for layer in layers:
        h = layer(h)
        stream.append(h.square().mean().sqrt().item())
    return stream


def _growth(start: str, depth: int) -> Values:
    """Return a function that gives by how much the second moment grows in all, for each seed."""
    before, after = (
        by_seed("rms", initialization=start, depth=depth, layer=layer) for layer in (0, depth)
    )
    return per_seed(lambda last, first: (last / first) ** 2, after, before)


def _miss(start: str) -> Values:
    """Return a function that gives how far the growth a block is from 1 + s, for each seed."""
    factor = 1 + SHARES[start](50)
    return per_seed(lambda growth: abs(growth ** (1 / 50) - factor), _growth(start, 50))


CLAIM = Claim(
    paper="hanin2018",
    headline="A residual network's signal explodes with depth unless its branches are scaled down.",
    setup="Blocks h + W₂ relu(W₁ h) of width 128, normal inputs, before any training.",
    run=run,
    checks=(
        Check("He: growth a block, distance from 3", _miss("He"), "<", 0.3),
        Check(
            "branch that keeps its size: distance from 2", _miss("branch keeps its size"), "<", 0.2
        ),
        Check("PyTorch default: distance from 1 + 1/18", _miss("PyTorch default"), "<", 0.02),
        Check("last / √(2L): growth in 25 blocks", _growth("last / √(2L)", 25), "<", 5.0),
        Check("last / √(2L): growth in 50 blocks", _growth("last / √(2L)", 50), "<", 5.0),
        Check("PyTorch default: growth in 50 blocks", _growth("PyTorch default", 50), ">", 7.0),
    ),
    page="examples/hanin-2018.py",
)
