r"""Yang et al. (2021): in muP the learning rate that suits a narrow network suits a wide one.

A step of Adam moves each weight by about the rate $\eta$, with the sign of error times input. So
the $n$ changes of a unit's weights add up when the input comes again: its argument moves by
$\eta\, n$, and only $\eta \propto 1/n$ moves it alike at every width. An output weight also meets
what the hidden units have learned, which goes its own way, $\sum_i w_i\, \Delta h_i \propto n w$:
so the head's weights start with the std $1/n$, not $1/\sqrt n$.
"""

from collections.abc import Iterable, Sequence
from operator import sub

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.descent import descend
from initguide.experiments.loop import batches_alike
from initguide.experiments.models import INITIALIZATIONS, drawn

STANDARD, MUP = "standard", "muP"
WIDTHS = (32, 64, 128, 256)
RATES = tuple(2.0**k for k in range(-10, -3))


@recorded
def run(
    seeds: Iterable[int],
    widths: Sequence[int] = WIDTHS,
    rates: Sequence[float] = RATES,
    hidden: int = 3,
    batch: int = 64,
    steps: int = 30,
) -> Rows:
    """Train ReLU networks of several widths by Adam at several rates, on the digits.

    Args:
        seeds: One network for each seed, parametrization, width and rate.
        widths: The units of each hidden layer; at the first of them both parametrizations are one.
        rates: Adam's learning rates at that width.
        hidden: The number of hidden layers.
        batch: The number of images in each step.
        steps: The number of updates.

    Returns:
        A row for each network: `parametrization`, `width`, `lr`, `seed` and `loss`, the mean over
        all steps.
    """
    data, seeds = digits(), list(seeds)
    runs = [{"lr": lr, "seed": seed} for lr in rates for seed in seeds]
    rows: Rows = []
    for width in widths:
        for parametrization in (STANDARD, MUP):
            share = widths[0] / width if parametrization == MUP else 1.0
            models = [_network(width, hidden, share, one["seed"]) for one in runs]
            lr = {
                name: [one["lr"] * (share if _grows(name, p) else 1.0) for one in runs]
                for name, p in models[0].named_parameters()
            }
            batches = batches_alike(data, batch, seeds, len(runs), steps)
            losses = descend(models, batches, F.cross_entropy, lr=lr, betas=(0.9, 0.999)).mean(0)
            rows += [
                {"parametrization": parametrization, "width": width, **one, "loss": loss}
                for one, loss in zip(runs, losses.tolist(), strict=True)
            ]
    return rows


@torch.no_grad()
def _network(width: int, hidden: int, share: float, seed: int) -> nn.Module:
    model = drawn(INITIALIZATIONS["He"], (64, *[width] * hidden, 10), seed=seed)
    head = model[-1]
    assert isinstance(head, nn.Linear)
    # From 1 / sqrt(n) to 1 / n, but for a constant.
    head.weight *= share**0.5
    return model


def _grows(name: str, parameter: Tensor) -> bool:
    """Return whether a parameter has a fan_in that grows with the width."""
    return parameter.ndim == 2 and name != "0.weight"


def _losses(parametrization: str, width: int) -> list[Values]:
    """Return functions that give each seed's loss, one for each rate."""
    return [by_seed("loss", parametrization=parametrization, width=width, lr=lr) for lr in RATES]


def _best(*losses: float) -> float:
    """Return the best rate's power of two: a parabola through the least loss and its neighbours."""
    at = min(max(int(np.argmin(losses)), 1), len(losses) - 2)
    left, least, right = np.log(losses[at - 1 : at + 2])
    return float(np.log2(RATES[at]) + (left - right) / (left - 2 * least + right) / 2)


def _shift(parametrization: str) -> Values:
    """Return a function that gives by how many powers of two each seed's best rate moves."""
    narrow, wide = (per_seed(_best, *_losses(parametrization, WIDTHS[i])) for i in (0, -1))
    return per_seed(sub, wide, narrow)


def _share(parametrization: str) -> Values:
    """Return a function that gives the wide one's least loss by that at the narrow's best rate."""

    def share(*losses: float) -> float:
        narrow, wide = losses[: len(RATES)], losses[len(RATES) :]
        return min(wide) / wide[int(np.argmin(narrow))]

    return per_seed(share, *(one for i in (0, -1) for one in _losses(parametrization, WIDTHS[i])))


CLAIM = Claim(
    paper="yang2021",
    headline="In the maximal update parametrization the learning rate that is best for a narrow "
    "network is best for a wide one; in the standard one it is not.",
    setup="Digits, three hidden ReLU layers of 32 to 256 units, Adam at seven rates from 2⁻¹⁰ to "
    "2⁻⁴, mean loss of 30 steps.",
    run=run,
    checks=(
        # With 1/n the best rate would fall by three powers of two from 32 units to 256.
        Check("Standard: log₂ of the best rate, its change", _shift(STANDARD), "<", -1.5),
        Check("muP: log₂ of the best rate, its change", _shift(MUP), "<", 1.0),
        Check("muP: the same", _shift(MUP), ">", -1.0),
        # Whether the narrow one's best rate leaves the wide one a third more loss than its own.
        Check("Standard: least loss by that at the narrow one's rate", _share(STANDARD), "<", 0.75),
        Check("muP: least loss by that at the narrow one's rate", _share(MUP), ">", 0.75),
    ),
    page="examples/yang-2021.py",
)
