r"""Hanin & Rolnick (2018): a residual signal grows by the product of its blocks' factors.

If the last weights of a branch have mean zero, its output is uncorrelated with its input, so their
second moments add. Let a branch turn $q = \mathbb{E}[h^2]$ into $r\,q$. Then one block multiplies
the second moment by $1 + r$, and $N$ blocks multiply it by

$$\prod_{l=1}^{N} (1 + r_l) \le \exp \sum_l r_l .$$

He's two layers have $r = 2$. PyTorch's default, of variance $1/(3n)$ with a ReLU between, has
$r = \tfrac13 \cdot \tfrac12 \cdot \tfrac13 = \tfrac1{18}$. The size stays bounded at any depth if
the sum of all $r_l$ stays bounded, for example with $r = 1/N$.
"""

from collections.abc import Callable, Iterable, Sequence

import torch

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.residual import residual
from initguide.experiments.rows import Rows, grid

SHARES: dict[str, Callable[[int], float]] = {
    "He": lambda blocks: 2.0,
    "branch keeps its size": lambda blocks: 1.0,
    "PyTorch default": lambda blocks: 1 / 18,
    "last / √(2N)": lambda blocks: 1 / blocks,
    "last zero": lambda blocks: 0.0,
}
"""The second moment of a branch relative to that of its input, r, from the number of blocks N."""


@recorded
def run(
    seeds: Iterable[int], depths: Sequence[int] = (25, 50), width: int = 128, batch: int = 64
) -> Rows:
    """Send standard normal inputs through freshly initialized residual networks.

    Args:
        seeds: One network and batch per seed, initialization and depth.
        depths: The numbers of blocks.
        width: The size of the residual stream.
        batch: The number of inputs.

    Returns:
        One row for each block, and one for the stream before the first block (layer 0):
        `initialization`, `depth`, `seed`, `layer` and `rms`.
    """
    return [
        run | {"layer": layer, "rms": rms}
        for run in grid(initialization=SHARES, depth=depths, seed=seeds)
        for layer, rms in enumerate(
            _stream(run["initialization"], run["depth"], width, batch, run["seed"])
        )
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
    """Return a function that gives each seed's growth factor of the second moment in all blocks."""
    before, after = (
        by_seed("rms", initialization=start, depth=depth, layer=layer) for layer in (0, depth)
    )
    return per_seed(lambda last, first: (last / first) ** 2, after, before)


def _distance(start: str) -> Values:
    """Return a function that gives each seed's distance of the growth per block from 1 + r."""
    factor = 1 + SHARES[start](50)
    return per_seed(lambda growth: abs(growth ** (1 / 50) - factor), _growth(start, 50))


CLAIM = Claim(
    paper="hanin2018",
    short="The signal explodes if branches are not scaled down.",
    headline="A residual network's signal explodes with depth unless its branches are scaled down.",
    setup="Blocks h + W₂ relu(W₁ h) of width 128, normal inputs, before any training.",
    run=run,
    checks=(
        Check("Distance of the factor per block from 3, He", _distance("He"), "<", 0.3),
        Check(
            "Distance from 2, branch keeps its size", _distance("branch keeps its size"), "<", 0.2
        ),
        Check("Distance from 1 + 1/18, PyTorch default", _distance("PyTorch default"), "<", 0.02),
        Check("Factor of 25 blocks, last / √(2N)", _growth("last / √(2N)", 25), "<", 5.0),
        Check("Factor of 50 blocks, last / √(2N)", _growth("last / √(2N)", 50), "<", 5.0),
        Check("Factor of 50 blocks, PyTorch default", _growth("PyTorch default", 50), ">", 7.0),
    ),
    page="examples/hanin-2018.py",
    theory=True,
)
