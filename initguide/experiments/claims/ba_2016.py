r"""Ba et al. (2016): LayerNorm removes the scale of the weights, and the scale sets the step size.

LayerNorm divides its input by the std of that input. So $\ell(cW) = \ell(W)$ for the weights before
it, and therefore $\nabla\ell(cW) = \nabla\ell(W) / c$. A step of rate $\eta$ from $cW$ leads to
$c\,(W - \tfrac{\eta}{c^2} \nabla\ell(W))$. That is the same network as after a step of rate
$\eta / c^2$ from $W$. So weights of scale $c$ at the rate $c^2 \eta$ train like weights of scale 1
at the rate $\eta$.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.models import mlp
from initguide.experiments.rows import Rows, grid
from initguide.experiments.training import accuracy
from initguide.methods.constant import zeros_
from initguide.methods.lecun import lecun_normal_
from initguide.methods.normal import normal_

SCALES = tuple(10 ** (k / 2) for k in range(-5, 2))
RATES = tuple(10.0**k for k in range(-5, 3))
LEARNED = 0.8


@recorded
def run(
    seeds: Iterable[int],
    scales: Sequence[float] = SCALES,
    rates: Sequence[float] = RATES,
    hidden: int = 3,
    width: int = 32,
    batch: int = 32,
    steps: int = 100,
    rest: float = 0.1,
) -> Rows:
    """Train ReLU networks on the digits, from many scales of the hidden weights and at many rates.

    Args:
        seeds: One network per seed, scale and rate, without LayerNorm and with it.
        scales: The stds of all hidden weights. The weights of the head have variance 1 / fan_in.
        rates: The learning rates of the hidden Linear layers.
        hidden: The number of hidden layers.
        width: The number of units of each hidden layer.
        batch: The number of images in each step.
        steps: The number of updates.
        rest: The learning rate of the head and of LayerNorm's gains and biases.

    Returns:
        A row for each network: `layer_norm`, `scale`, `lr`, `seed` and the `accuracy` on the
        held-out images, nan where the outputs are.
    """
    data, seeds = digits(), list(seeds)
    runs = grid(scale=scales, lr=rates, seed=seeds)
    rows: Rows = []
    for layer_norm in (False, True):
        models = [
            network((64, *[width] * hidden, 10), run["scale"], layer_norm, run["seed"])
            for run in runs
        ]
        scaled = {
            f"{name}.{parameter}"
            for name, layer in list(models[0].named_children())[:-1]
            if isinstance(layer, nn.Linear)
            for parameter in ("weight", "bias")
        }
        lr = {
            name: [run["lr"] if name in scaled else rest for run in runs]
            for name, _ in models[0].named_parameters()
        }
        batches = shared_batches(data, batch, seeds, len(runs), steps)
        descend(models, batches, F.cross_entropy, lr=lr)
        with torch.no_grad():
            right = [accuracy(model(data.x_test), data.y_test).item() for model in models]
        rows += [
            {"layer_norm": layer_norm, **run, "accuracy": share}
            for run, share in zip(runs, right, strict=True)
        ]
    return rows


@torch.no_grad()
def network(widths: Sequence[int], scale: float, layer_norm: bool, seed: int) -> nn.Sequential:
    """Return a network whose hidden weights have the std `scale`; all scales share one draw."""
    generator = torch.Generator().manual_seed(seed)
    model = mlp(widths, layer_norm=layer_norm, generator=generator)
    *hidden, head = (layer for layer in model if isinstance(layer, nn.Linear))
    for layer in hidden:
        normal_(layer.weight, std=scale, generator=generator)
        zeros_(layer.bias)
    lecun_normal_(head.weight, generator=generator)
    zeros_(head.bias)
    return model


def _of_map(f: Callable[[NDArray[np.float64]], float], layer_norm: bool) -> Values:
    """Return a function that applies `f` to each seed's accuracies, shape (scales, rates)."""

    def of(*accuracies: float) -> float:
        # The accuracy of a run that diverged counts as zero.
        return f(np.nan_to_num(accuracies).reshape(len(SCALES), len(RATES)))

    each = (
        by_seed("accuracy", layer_norm=layer_norm, scale=scale, lr=lr)
        for scale in SCALES
        for lr in RATES
    )
    return per_seed(of, *each)


def _learned(layer_norm: bool) -> Values:
    """Return a function that counts the scales from which at least one rate learns."""
    return _of_map(lambda right: float((right > LEARNED).any(1).sum()), layer_norm)


def _at_one_rate(layer_norm: bool) -> Values:
    """Return a function that counts the scales from which the best single rate learns."""
    return _of_map(lambda right: float((right > LEARNED).sum(0).max()), layer_norm)


def _power(layer_norm: bool) -> Values:
    """Return a function that gives p, where the best rate grows like the scale to the power p."""

    def slope(right: NDArray[np.float64]) -> float:
        return float(np.polyfit(np.log10(SCALES), np.log10(RATES)[right.argmax(1)], 1)[0])

    return _of_map(slope, layer_norm)


CLAIM = Claim(
    paper="ba2016",
    short="With LayerNorm the outputs ignore the scale of weights.",
    headline="With LayerNorm the outputs do not depend on the scale of the weights that feed it; "
    "their size sets the learning rate instead.",
    setup="Digits, three hidden ReLU layers of 32 units, 100 steps of gradient descent, from seven "
    "scales at eight rates; learned: an accuracy above 0.8.",
    run=run,
    checks=(
        Check("Scales of 7 that learn at their best rate, LayerNorm", _learned(True), ">", 6.5),
        Check("The same, no LayerNorm", _learned(False), "<", 3.5),
        Check("Power p, LayerNorm", _power(True), ">", 1.5),
        Check("Power p, LayerNorm", _power(True), "<", 2.5),
        Check("Scales of 7 that learn at one common rate, LayerNorm", _at_one_rate(True), "<", 6.5),
    ),
    page="examples/ba-2016.py",
)
