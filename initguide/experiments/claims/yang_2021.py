r"""Yang et al. (2021): in muP one learning rate is best for narrow and for wide networks.

A step of Adam changes each weight by about the rate $\eta$, with the sign of error times input. So
if the same input comes again, the changes of the $n$ weights of a unit add up, and its argument
moves by $\eta\, n$. With $\eta \propto 1/n$ it moves by the same amount at every width. The weights
of the head also multiply the changes of the hidden units, and these products add up too:
$\sum_i w_i\, \Delta h_i \propto n w$. So the weights of the head start with the std $1/n$, not
$1/\sqrt n$.
"""

from collections.abc import Iterable, Sequence
from operator import truediv

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import (
    Check,
    Claim,
    Values,
    at_any,
    per_seed,
    rate_change,
    transferred,
)
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.models import INITIALIZATIONS, seeded_mlp
from initguide.experiments.rows import Rows, final_losses, grid

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
    """Train ReLU networks of several widths on the digits, by Adam at several rates.

    Args:
        seeds: One network per seed, parametrization, width and rate.
        widths: The numbers of units of each hidden layer. At the first width both parametrizations
            are equal.
        rates: Adam's learning rates at the first width.
        hidden: The number of hidden layers.
        batch: The number of images in each step.
        steps: The number of updates.

    Returns:
        One row per network: `initialization` (the parametrization), `width`, `lr`, `seed` and
        `loss`, the mean over all steps.
    """
    data, seeds = digits(), list(seeds)
    runs = grid(lr=rates, seed=seeds)
    rows: Rows = []
    for width in widths:
        for parametrization in (STANDARD, MUP):
            share = widths[0] / width if parametrization == MUP else 1.0
            models = [_network(width, hidden, share, run["seed"]) for run in runs]
            lr = {
                name: [run["lr"] * (share if _grows(name, p) else 1.0) for run in runs]
                for name, p in models[0].named_parameters()
            }
            batches = shared_batches(data, batch, seeds, len(runs), steps)
            losses = descend(models, batches, F.cross_entropy, lr=lr, betas=(0.9, 0.999))
            rows += [
                {"initialization": parametrization, "width": width} | row
                for row in final_losses(runs, losses, steps)
            ]
    return rows


@torch.no_grad()
def _network(width: int, hidden: int, share: float, seed: int) -> nn.Module:
    model = seeded_mlp(INITIALIZATIONS["He"], (64, *[width] * hidden, 10), seed=seed)
    head = model[-1]
    assert isinstance(head, nn.Linear)
    # From 1 / sqrt(n) to 1 / n, up to a constant.
    head.weight *= share**0.5
    return model


def _grows(name: str, parameter: Tensor) -> bool:
    """Return whether a parameter has a fan_in that grows with the width."""
    return parameter.ndim == 2 and name != "0.weight"


NARROW, WIDE = ({"width": WIDTHS[i]} for i in (0, -1))


def _share(parametrization: str) -> Values:
    """Return a function that gives the wide network's least loss, as a share of a second loss.

    The second loss is the loss of the wide network at the narrow network's best rate.
    """
    least = at_any(parametrization, **WIDE)
    return per_seed(truediv, least, transferred(parametrization, NARROW, WIDE))


CLAIM = Claim(
    paper="yang2021",
    short="In muP the best rate of a narrow network fits a wide one.",
    headline="In the maximal update parametrization the learning rate that is best for a narrow "
    "network is best for a wide one; in the standard one it is not.",
    setup="Digits, three hidden ReLU layers of 32 to 256 units, Adam at seven rates from 2⁻¹⁰ to "
    "2⁻⁴, mean loss of 30 steps.",
    run=run,
    checks=(
        # With 1/n the best rate would fall by three powers of two from 32 units to 256.
        Check(
            "Change of the best rate (log₂), standard",
            rate_change(STANDARD, NARROW, WIDE),
            "<",
            -1.5,
        ),
        Check("Change of the best rate (log₂), muP", rate_change(MUP, NARROW, WIDE), "<", 1.0),
        Check("Change of the best rate (log₂), muP", rate_change(MUP, NARROW, WIDE), ">", -1.0),
        # Below 0.75 the narrow network's best rate costs the wide one a third more loss.
        Check("Loss ratio, standard", _share(STANDARD), "<", 0.75),
        Check("Loss ratio, muP", _share(MUP), ">", 0.75),
    ),
    page="examples/yang-2021.py",
)
