r"""Mishkin and Matas (2016): scale each layer by its measured output, and no formula is needed.

LSUV replaces the weights $W$ by $W / \sqrt{\operatorname{Var}(Wx)}$, layer by layer. Here $x$ is
the input of the layer for one batch. So the variance is one in every layer, for any activation and
any data. It is the variance over inputs *and* units, so LSUV also accepts a signal that is the same
for all inputs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import Data, digits
from initguide.experiments.models import INITIALIZATIONS, uninitialized
from initguide.experiments.rows import Rows, grid, join
from initguide.experiments.signals import activations
from initguide.experiments.training import fit_losses_
from initguide.lsuv.lsuv import lsuv_


class Maxout(nn.Module):
    """The maximum of a unit of the first half and its partner in the second half."""

    def forward(self, z: Tensor) -> Tensor:
        """Halve the last axis."""
        return torch.maximum(*z.unflatten(-1, (2, -1)).unbind(-2))


class Setting(NamedTuple):
    """A network with hidden layers of 64 units, its data, and the settings of its training."""

    depth: int
    activation: type[nn.Module]
    inputs_times: float
    lr: float
    steps: int
    starts: tuple[str, ...]


SETTINGS = {
    "maxout": Setting(20, Maxout, 1, 0.007, 200, ("Xavier", "He", "LSUV")),
    "inputs ×30": Setting(8, nn.ReLU, 30, 0.0015, 200, ("He", "LSUV")),
    "inputs /30": Setting(8, nn.ReLU, 1 / 30, 0.02, 150, ("He", "LSUV")),
    "softplus": Setting(10, nn.Softplus, 1, 0.02, 250, ("He", "LSUV")),
}
"""A network without a formula, inputs of another scale, and an activation with a large mean."""


@recorded
def run(seeds: Iterable[int], settings: Mapping[str, Setting] = SETTINGS, batch: int = 25) -> Rows:
    """Train networks that start from the formulas or from LSUV.

    Args:
        seeds: One network per seed, setting and initialization.
        settings: The networks by name.
        batch: The number of images in each step.

    Returns:
        Rows of two kinds, which have different values of `part`. All have `setting`,
        `initialization` and `seed`. With `"start"` there is a row for each layer's output (the last
        `layer` is the output of the network), with its `rms` and its `std` over the batch,
        averaged over units. With `"training"` there are rows of `step` and `loss`. The last of them
        also has `accuracy`, `end` (true) and `learned`: 1 if the accuracy is above one half.
    """
    seeds = list(seeds)
    return [
        {"setting": name} | row
        for name, setting in settings.items()
        for row in _train(setting, seeds, batch)
    ]


def _train(setting: Setting, seeds: Sequence[int], batch: int) -> Rows:
    data = digits()
    x, y, x_test, y_test = data
    data = Data(x * setting.inputs_times, y, x_test * setting.inputs_times, y_test)
    runs = grid(initialization=setting.starts, seed=seeds)
    orders = [run["seed"] for run in runs]
    models = [_network(setting, run["initialization"], run["seed"], data) for run in runs]
    starts = [_start(model, data) for model in models]
    curves = fit_losses_(
        models, data, lr=setting.lr, steps=setting.steps, batch=batch, seeds=orders
    )
    return join(
        runs, ([*start, *_training(curve)] for start, curve in zip(starts, curves, strict=True))
    )


def _start(model: nn.Module, data: Data) -> Rows:
    return [
        {
            "part": "start",
            "layer": row["layer"],
            "rms": row["rms"],
            "std": row["values"].std(0).mean().item(),
        }
        for row in activations(model, data.x_train)
    ]


def _training(curve: Rows) -> Rows:
    end = {"end": True, "learned": float(curve[-1]["accuracy"] > 0.5)}
    return [{"part": "training"} | row for row in [*curve[:-1], curve[-1] | end]]


def _network(setting: Setting, start: str, seed: int, data: Data) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    sums = 128 if setting.activation is Maxout else 64
    layers: list[nn.Module] = []
    for _ in range(setting.depth):
        layers += [uninitialized(nn.Linear, 64, sums), setting.activation()]
    model = nn.Sequential(*layers, uninitialized(nn.Linear, 64, 10))
    INITIALIZATIONS["He" if start == "LSUV" else start](model, generator)
    if start == "LSUV":
        lsuv_(model, data.x_train[:256], generator=generator)
    return model


def _end(setting: str, start: str, column: str = "accuracy") -> Values:
    return by_seed(column, setting=setting, initialization=start, end=True)


def _late(setting: str, start: str) -> Values:
    """Return a function that gives each seed's mean loss of the last 50 steps.

    The loss of a network that learns can jump up for a few steps. A mean over many steps hardly
    depends on such a jump.
    """
    return by_seed("loss", 50, setting=setting, initialization=start, part="training")


def _first(setting: str, start: str) -> Values:
    """Return a function that gives log10 of each seed's first loss."""
    return per_seed(math.log10, by_seed("loss", setting=setting, initialization=start, step=0))


CLAIM = Claim(
    paper="mishkin2016",
    short="Deep networks learn from LSUV where formulas fail.",
    headline="With layers scaled to unit variance, measured on a batch, deep networks learn where "
    "formulas fail (but not with softplus, which the paper does not use).",
    setup="Digits: 20 maxout layers; 8 ReLU layers, inputs times 30 and divided by 30; 10 softplus "
    "layers. Width 64, one learning rate each, 150 to 250 steps.",
    run=run,
    checks=(
        Check("Maxout, LSUV: accuracy", _end("maxout", "LSUV"), ">", 0.5),
        Check("Maxout, Xavier: accuracy", _end("maxout", "Xavier"), "<", 0.4),
        Check("Maxout, He: learned (1) or not (0)", _end("maxout", "He", "learned"), "<", 0.5),
        Check("Inputs ×30, LSUV: accuracy", _end("inputs ×30", "LSUV"), ">", 0.8),
        Check("Inputs ×30, LSUV: log₁₀ of the first loss", _first("inputs ×30", "LSUV"), "<", 0.7),
        Check("Inputs ×30, He: log₁₀ of the first loss", _first("inputs ×30", "He"), ">", 0.9),
        Check("Inputs /30, LSUV: accuracy", _end("inputs /30", "LSUV"), ">", 0.7),
        Check("Inputs /30, He: accuracy", _end("inputs /30", "He"), "<", 0.6),
        Check("Inputs ×30, He: accuracy", _end("inputs ×30", "He"), ">", 0.5, supports=False),
        Check("Softplus, LSUV: loss", _late("softplus", "LSUV"), ">", 2.1),
        Check("Softplus, He: loss", _late("softplus", "He"), "<", 1.6),
    ),
    page="examples/lsuv-deep-network.py",
)
