r"""Le, Jaitly & Hinton (2015): ReLU networks remember if they start from the identity.

With the recurrent matrix $W_{hh} = I$ the states are $h_t = \max(0, h_{t-1} + u_t)$. A unit that
stays positive adds up its inputs, and its gradient is one after any number of steps. Without the
ReLU any orthogonal matrix keeps the length of the gradient. But with the identity each input has
the same effect at every step, so the network does not know *when* an input came.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import sub

import torch
from torch import Tensor
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, at_any, at_best, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.recurrent import (
    Batch,
    Parameters,
    adding,
    copying,
    fit_recurrent,
    readout,
    rnn,
    task_batches,
)
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.tuning import averaged, tuned
from initguide.methods.identity import identity_
from initguide.methods.lecun import lecun_normal_
from initguide.methods.normal import normal_
from initguide.methods.orthogonal import orthogonal_

MATRICES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "identity": lambda weight, _: identity_(weight),
    "Gaussian": lambda weight, g: lecun_normal_(weight, 1.0, g),
    "orthogonal": lambda weight, g: orthogonal_(weight, 1.0, g),
}
"""The recurrent matrices; the entries of the Gaussian one have variance 1 / n."""

LEARNER = "identity, ReLU"
ADDERS = {
    LEARNER: ("identity", torch.relu),
    "Gaussian, ReLU": ("Gaussian", torch.relu),
    "Gaussian, tanh": ("Gaussian", torch.tanh),
}
"""The recurrent matrices and the nonlinearities of the networks that add."""

ADDING_RATES = (0.0005, 0.0015, 0.005, 0.015, 0.05)
COPYING_RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)
BATCH, UNITS = 16, 32


@recorded
def run(
    seeds: Iterable[int],
    length: int = 50,
    steps: int = 300,
    delay: int = 25,
    copy_steps: int = 100,
    adding_rates: Sequence[float] = ADDING_RATES,
    copying_rates: Sequence[float] = COPYING_RATES,
    networks: int = 3,
) -> Rows:
    """Train recurrent networks to add two marked numbers, and to copy three symbols.

    Args:
        seeds: One result per seed, task, initialization and rate.
        length: The length of the sequences with numbers to add.
        steps: The number of updates for adding.
        delay: The number of steps between symbols and copy, for networks without a nonlinearity.
        copy_steps: The number of updates for copying.
        adding_rates: The learning rates for adding.
        copying_rates: The learning rates for copying.
        networks: The number of networks that add per seed; their losses are averaged.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned] with `task`, `"adding"` or
        `"copying"`. The loss is the mean of the last quarter of the steps. Of the networks that
        add, only `LEARNER` has a best rate; the others hardly learn at any rate.
    """
    seeds = list(seeds)
    sweeps = {
        name: averaged(partial(_adding, name, length, steps, adding_rates), networks)
        for name in ADDERS
    }
    learned = tuned(sweeps.pop(LEARNER), seeds)
    others = [row | {"best": False} for sweep in sweeps.values() for row in sweep(seeds)]
    copied = tuned(partial(_copying, delay, copy_steps, copying_rates), seeds)
    parts = {"adding": [*learned, *others], "copying": copied}
    return [{"task": task} | row for task, rows in parts.items() for row in rows]


def _adding(name: str, length: int, steps: int, rates: Sequence[float], seeds: list[int]) -> Rows:
    matrix, f = ADDERS[name]
    runs = grid(initialization=[name], matrix=[matrix], lr=rates, seed=seeds)
    losses = fit_recurrent(
        _networks(runs, 2, 1),
        partial(_adding_loss, f),
        task_batches(adding, BATCH, length, seeds, len(rates)),
        lr=[run["lr"] for run in runs],
        steps=steps,
    )
    return final_losses(runs, losses, max(steps // 4, 1))


def _copying(delay: int, steps: int, rates: Sequence[float], seeds: list[int]) -> Rows:
    runs = grid(matrix=MATRICES, lr=rates, seed=seeds)
    losses = fit_recurrent(
        _networks(runs, 10, 9),
        _copying_loss,
        task_batches(partial(copying, count=3), BATCH, delay, seeds, len(runs) // len(seeds)),
        lr=[run["lr"] for run in runs],
        steps=steps,
    )
    named = [run | {"initialization": run["matrix"]} for run in runs]
    return final_losses(named, losses, max(steps // 4, 1))


def _networks(runs: Rows, inputs: int, outputs: int) -> Parameters:
    """Return the stacked weights of one network per run."""
    weights: dict[str, list[Tensor]] = {"weight_ih": [], "weight_hh": [], "weight_out": []}
    for run in runs:
        g = torch.Generator().manual_seed(run["seed"])
        recurrent = MATRICES[run["matrix"]](torch.empty(UNITS, UNITS), g)
        weights["weight_hh"].append(recurrent)
        weights["weight_ih"].append(normal_(torch.empty(UNITS, inputs), std=0.1, generator=g))
        weights["weight_out"].append(lecun_normal_(torch.empty(outputs, UNITS), generator=g))
    biases = {
        "bias": torch.zeros(len(runs), 1, UNITS),
        "bias_out": torch.zeros(len(runs), 1, outputs),
    }
    return {name: torch.stack(parts) for name, parts in weights.items()} | biases


def _adding_loss(f: Callable[[Tensor], Tensor], parameters: Parameters, batch: Batch) -> Tensor:
    x, y = batch
    return (readout(parameters, rnn(parameters, x, f, last=1)[0])[..., 0] - y).square().mean(1)


def _copying_loss(parameters: Parameters, batch: Batch) -> Tensor:
    x, symbols = batch
    # One state per symbol, the last ones; the scores have shape (symbols, n, batch, classes).
    scores = readout(parameters, rnn(parameters, x, lambda z: z, last=symbols.shape[2]))
    losses = F.cross_entropy(scores.permute(1, 3, 2, 0), symbols, reduction="none")
    return losses.mean((1, 2))


CLAIM = Claim(
    paper="le2015",
    short="From the identity a ReLU network learns long memories.",
    headline="A ReLU network whose recurrent matrix starts as the identity learns long memories "
    "(but linear networks copy worse from the identity than from an orthogonal matrix).",
    setup="Adding two of 50 numbers, 300 steps, means of 3 networks per seed; copying 3 symbols "
    "over 25 steps, linear units, 100 steps; 32 units; Adam, each start at the best of five or six "
    "learning rates.",
    run=run,
    checks=(
        # The square error of guessing is 1 / 6. A loss within 5 % of it counts as not learned.
        Check(
            "Adding, identity with ReLU: loss as a share of chance",
            per_seed(lambda loss: 6 * loss, at_best(LEARNER, task="adding")),
            "<",
            0.95,
        ),
        # The other networks hardly learn to add at any rate.
        *(
            Check(
                f"Adding, identity with ReLU minus {name.replace(', ', ' with ')}: square error",
                per_seed(sub, at_best(LEARNER, task="adding"), at_any(name, task="adding")),
                "<",
                0,
            )
            for name in ("Gaussian, ReLU", "Gaussian, tanh")
        ),
        Check(
            "Copying, linear, identity minus orthogonal: loss",
            lead("identity", "orthogonal", task="copying"),
            ">",
            0,
        ),
    ),
    page="examples/le-2015.py",
)
