r"""Ba et al. (2016): LayerNorm drops the weights' scale, which then acts as a learning rate.

LayerNorm divides by the std of what it is given, so $\ell(cW) = \ell(W)$ for the weights that feed
it, and so $\nabla\ell(cW) = \nabla\ell(W) / c$. A step of rate $\eta$ from $cW$ leads to
$c\,(W - \tfrac{\eta}{c^2} \nabla\ell(W))$: the network that a step of rate $\eta / c^2$ gives from
$W$. Whatever the scale, the same rates divided by its square lead to the same networks.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.descent import descend
from initguide.experiments.loop import accuracy, batches_alike
from initguide.experiments.models import mlp
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
    """Train ReLU networks from hidden weights of many scales at many rates, on the digits.

    Args:
        seeds: One network for each seed, scale and rate, without LayerNorm and with it.
        scales: The stds of all hidden weights; the head's have variance 1 / fan_in.
        rates: The learning rates of the hidden Linear layers.
        hidden: The number of hidden layers.
        width: Their units.
        batch: The number of images in each step.
        steps: The number of updates.
        rest: The learning rate of the head and of LayerNorm's gains and biases.

    Returns:
        A row for each network: `layer_norm`, `scale`, `lr`, `seed` and the `accuracy` on the
        held-out images, nan where the outputs are.
    """
    data, seeds = digits(), list(seeds)
    runs = [
        {"scale": scale, "lr": lr, "seed": seed}
        for scale in scales
        for lr in rates
        for seed in seeds
    ]

    rows: Rows = []
    for layer_norm in (False, True):
        models = [
            network((64, *[width] * hidden, 10), one["scale"], layer_norm, one["seed"])
            for one in runs
        ]
        scaled = {
            f"{name}.{parameter}"
            for name, layer in list(models[0].named_children())[:-1]
            if isinstance(layer, nn.Linear)
            for parameter in ("weight", "bias")
        }
        lr = {
            name: [one["lr"] if name in scaled else rest for one in runs]
            for name, _ in models[0].named_parameters()
        }
        batches = batches_alike(data, batch, seeds, len(runs), steps)
        descend(models, batches, F.cross_entropy, lr=lr)
        with torch.no_grad():
            right = [accuracy(model(data.x_test), data.y_test).item() for model in models]
        rows += [
            {"layer_norm": layer_norm, **one, "accuracy": share}
            for one, share in zip(runs, right, strict=True)
        ]
    return rows


@torch.no_grad()
def network(widths: Sequence[int], scale: float, layer_norm: bool, seed: int) -> nn.Sequential:
    """Return a network whose hidden weights have the std `scale`, from the same draw at each."""
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
    """Return a function that gives what `f` makes of each seed's accuracies, scales by rates."""

    def of(*accuracies: float) -> float:
        # A run that diverged has learned nothing.
        return f(np.nan_to_num(accuracies).reshape(len(SCALES), len(RATES)))

    each = (
        by_seed("accuracy", layer_norm=layer_norm, scale=scale, lr=lr)
        for scale in SCALES
        for lr in RATES
    )
    return per_seed(of, *each)


def _learned(layer_norm: bool) -> Values:
    """Return a function that gives the number of scales from which some rate learns."""
    return _of_map(lambda right: float((right > LEARNED).any(1).sum()), layer_norm)


def _at_one_rate(layer_norm: bool) -> Values:
    """Return a function that gives the most scales from which one and the same rate learns."""
    return _of_map(lambda right: float((right > LEARNED).sum(0).max()), layer_norm)


def _power(layer_norm: bool) -> Values:
    """Return a function that gives the power of the scale with which the best rate grows."""

    def slope(right: NDArray[np.float64]) -> float:
        return float(np.polyfit(np.log10(SCALES), np.log10(RATES)[right.argmax(1)], 1)[0])

    return _of_map(slope, layer_norm)


CLAIM = Claim(
    paper="ba2016",
    headline="With LayerNorm the outputs do not depend on the scale of the weights that feed it; "
    "their size sets the learning rate instead.",
    setup="Digits, three hidden ReLU layers of 32 units, 100 steps of gradient descent, from seven "
    "scales at eight rates; learned: an accuracy above 0.8.",
    run=run,
    checks=(
        Check("LayerNorm: of 7 scales, learned at some rate", _learned(True), ">", 6.5),
        Check("No LayerNorm: of 7 scales, learned at some rate", _learned(False), "<", 3.5),
        Check("LayerNorm: best rate, as a power of the scale", _power(True), ">", 1.5),
        Check("LayerNorm: the same", _power(True), "<", 2.5),
        Check("LayerNorm: of 7 scales, learned at one rate", _at_one_rate(True), "<", 6.5),
    ),
    page="examples/ba-2016.py",
)
