"""Whole models: the time of an initializer, and the signal of each layer after it."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import anyinit
import torch
from table import Case, Row, measure
from torch import Tensor, nn

import initguide as init

DEPTH = 30
SEED = 0


class Residual(nn.Module):
    """A residual block of two convolutions, with or without BatchNorm."""

    def __init__(self, channels: int, norm: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to the input."""
        return x + self.branch(x)


class Block(nn.Module):
    """A pre-LN Transformer's feed-forward block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to the input."""
        return x + self.branch(x)


def _mlp(activation: type[nn.Module]) -> nn.Module:
    hidden = [layer for _ in range(DEPTH) for layer in (nn.Linear(256, 256), activation())]
    return nn.Sequential(*hidden, nn.Linear(256, 10))


def cnn() -> nn.Sequential:
    """Return a plain network of convolutions."""
    sizes = [3, *[32] * DEPTH]
    return nn.Sequential(
        *(
            layer
            for into, out in pairwise(sizes)
            for layer in (nn.Conv2d(into, out, 3, padding=1), nn.ReLU())
        ),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def residual(norm: type[nn.Module] = nn.Identity) -> nn.Sequential:
    """Return a network of 25 convolutions, two in each block."""
    blocks = [Residual(32, norm) for _ in range(12)]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), *blocks, *head)


def _transformer() -> nn.Module:
    blocks = [Block(128) for _ in range(12)]
    return nn.Sequential(nn.Linear(64, 128), *blocks, nn.LayerNorm(128), nn.Linear(128, 10))


# The model, and the shape of one input.
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP, 30 ReLU layers": (partial(_mlp, nn.ReLU), (256,)),
    "MLP, 30 tanh layers": (partial(_mlp, nn.Tanh), (256,)),
    "MLP, 30 GELU layers": (partial(_mlp, nn.GELU), (256,)),
    "CNN, 30 ReLU layers": (cnn, (3, 16, 16)),
    "12 residual blocks, no norm": (residual, (3, 16, 16)),
    "12 pre-LN blocks": (_transformer, (64,)),
}


class Signals(NamedTuple):
    """The times of a case, and the rms of each layer's output after ours and after the peer's."""

    row: Row
    ours: list[float]
    peer: list[float]


def models() -> Iterator[Signals]:
    """Yield each model under our rules and AnyInit's, then under LSUV and its measured mode."""
    for name, (make, shape) in MODELS.items():
        batch = torch.randn(64, *shape, generator=torch.Generator().manual_seed(SEED))
        pairs = {
            "`initialize_`": (
                partial(init.initialize_, seed=SEED),
                partial(anyinit.initialize, seed=SEED),
            ),
            "`lsuv_`": (
                lambda model, batch=batch: init.lsuv_(
                    model, batch, generator=torch.Generator().manual_seed(SEED)
                ),
                partial(anyinit.initialize, mode="empirical", input_spec=batch, seed=SEED),
            ),
        }
        for call, (ours, theirs) in pairs.items():
            model = make()
            other = copy.deepcopy(model)
            case = Case(f"{call} {name}", partial(ours, model), "AnyInit", partial(theirs, other))
            row = measure(case, seconds=0.5)
            yield Signals(row, _rms(model, batch), _rms(other, batch))


def _rms(model: nn.Module, batch: Tensor) -> list[float]:
    return [row["rms"] for row in init.measure(model, batch).rows if row["rms"] is not None]
