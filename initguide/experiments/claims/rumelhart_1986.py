r"""Rumelhart et al. (1986): weights must start random, or all units of a layer stay equal.

Let all weights of a layer be equal, and also all weights of the next layer. Then the units of the
layer have equal outputs and receive equal errors. With $\delta_l = W_{l+1}^\top \delta_{l+1} \odot
f'(z_l)$ the rows of $\partial\ell / \partial W_l = \delta_l h_{l-1}^\top$ are equal. So each step
changes all rows in the same way, and the weights stay $\mathbf{1} v^\top$, a matrix of rank one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.models import INITIALIZATIONS, each_linear, seeded_mlp
from initguide.experiments.rows import Rows, grid, join
from initguide.experiments.training import fit_all_
from initguide.methods.constant import constant_, zeros_

STARTS = {
    "Zero": each_linear(lambda weight, generator: zeros_(weight)),
    "Constant": each_linear(lambda weight, generator: constant_(weight, 0.1)),
    "Xavier": INITIALIZATIONS["Xavier"],
}
"""All weights zero, all weights 0.1, and random weights; the biases are zero."""


@recorded
def run(
    seeds: Iterable[int],
    widths: Sequence[int] = (64, 32, 32, 10),
    nonlinearities: Sequence[str] = ("relu", "sigmoid"),
    lr: float = 0.3,
    steps: int = 300,
) -> Rows:
    """Train networks from equal and from random weights, and measure whether their units differ.

    Args:
        seeds: One network per seed, initialization and nonlinearity. If the weights are not random,
            the seed decides only the order of the data.
        widths: The sizes from input to output.
        nonlinearities: Names of activations.
        lr: The learning rate.
        steps: The number of updates.

    Returns:
        The rows of [fit][initguide.experiments.fit], with `initialization`, `nonlinearity` and
        `seed`. The last row of each network also has `end` (true) and `moved`, the largest change
        of a weight in any layer. About the first layer it has the `weights`, their `rank` (singular
        values above 1/1000 of the largest) and `apart`: the norm of the weights minus their mean
        over units, divided by the norm of the weights.
    """
    seeds = list(seeds)
    return [
        row
        for nonlinearity in nonlinearities
        for row in _train(nonlinearity, widths, lr, steps, seeds)
    ]


def _train(
    nonlinearity: str, widths: Sequence[int], lr: float, steps: int, seeds: Sequence[int]
) -> Rows:
    runs = grid(initialization=STARTS, nonlinearity=[nonlinearity], seed=seeds)
    models = [
        seeded_mlp(STARTS[run["initialization"]], widths, nonlinearity, seed=run["seed"])
        for run in runs
    ]
    before = [_weights(model) for model in models]
    orders = [run["seed"] for run in runs]
    curves = fit_all_(models, lr=lr, steps=steps, seeds=orders, every=20)
    for curve, model, old in zip(curves, models, before, strict=True):
        new = _weights(model)
        moved = max((a - b).abs().max().item() for a, b in zip(new, old, strict=True))
        curve[-1] |= {"end": True, "moved": moved} | _first_layer(new[0])
    return join(runs, curves)


def _weights(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters() if p.ndim == 2]


def _first_layer(weight: torch.Tensor) -> dict[str, Any]:
    singular = torch.linalg.svdvals(weight)
    size = weight.norm().item()
    return {
        "weights": weight.numpy(),
        "rank": int((singular > 1e-3 * singular[0]).sum()),
        "apart": (weight - weight.mean(0)).norm().item() / size if size else 0.0,
    }


def _end(name: str, nonlinearity: str, column: str) -> Values:
    return by_seed(column, initialization=name, nonlinearity=nonlinearity, end=True)


CLAIM = Claim(
    paper="rumelhart1986",
    short="Equal weights keep the units of a layer equal.",
    headline="Weights must start random, because equal weights keep the units of a layer equal.",
    setup="Digits, two hidden layers of 32 units, 300 steps, learning rate 0.3; from zeros, from "
    "the constant 0.1, and from Xavier's random weights.",
    run=run,
    checks=(
        Check("Zeros, ReLU: largest change of a weight", _end("Zero", "relu", "moved"), "<", 1e-9),
        Check(
            "Zeros, sigmoid: largest change of a weight",
            _end("Zero", "sigmoid", "moved"),
            ">",
            1e-3,
        ),
        Check("Zeros, sigmoid: units apart", _end("Zero", "sigmoid", "apart"), "<", 1e-3),
        Check("Zeros, sigmoid: accuracy", _end("Zero", "sigmoid", "accuracy"), "<", 0.3),
        Check("Constant, ReLU: rank of the weights", _end("Constant", "relu", "rank"), "<", 1.5),
        Check("Constant, ReLU: units apart", _end("Constant", "relu", "apart"), "<", 1e-3),
        Check("Constant, sigmoid: units apart", _end("Constant", "sigmoid", "apart"), "<", 1e-3),
        Check("Constant, ReLU: accuracy", _end("Constant", "relu", "accuracy"), "<", 0.4),
        Check("Xavier, ReLU: units apart", _end("Xavier", "relu", "apart"), ">", 0.5),
        Check("Xavier, ReLU: accuracy", _end("Xavier", "relu", "accuracy"), ">", 0.9),
        Check("Xavier, sigmoid: accuracy", _end("Xavier", "sigmoid", "accuracy"), ">", 0.7),
    ),
    page="examples/rumelhart-1986.py",
)
