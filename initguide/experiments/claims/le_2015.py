r"""Le, Jaitly & Hinton (2015): ReLU networks remember if they start from the identity.

With the recurrent matrix $W_{hh} = I$ and small inputs $h_t = \max(0, h_{t-1} + u_t)$: a unit that
stays positive adds up what it was given, and its gradient is one whatever the number of steps.
Without the ReLU any orthogonal matrix keeps the gradient's length; the identity then adds up all
inputs alike and cannot tell *when* one came.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, Values
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.recurrent import (
    Batch,
    Parameters,
    adding,
    copying,
    fit_recurrent,
    read,
    rnn,
    streams,
)
from initguide.methods.identity import identity_
from initguide.methods.lecun import lecun_normal_, lecun_uniform_
from initguide.methods.normal import normal_
from initguide.methods.orthogonal import orthogonal_

MATRICES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "Identity": lambda weight, _: identity_(weight),
    "PyTorch default": lambda weight, g: lecun_uniform_(weight, 3**-0.5, g),
    "Orthogonal": lambda weight, g: orthogonal_(weight, 1.0, g),
    "Gaussian, 1/n": lambda weight, g: lecun_normal_(weight, 1.0, g),
}


@recorded
def run(
    seeds: Iterable[int],
    length: int = 80,
    steps: int = 300,
    delay: int = 50,
    copy_steps: int = 150,
) -> Rows:
    """Train recurrent networks to add two marked numbers, and to copy five symbols.

    Args:
        seeds: One network for each seed, task and initialization.
        length: The length of the sequences to add in; 48 units, Adam at 0.002.
        steps: The number of updates on them, batches of 32.
        delay: For how long the symbols must be kept; 80 units without nonlinearity, Adam at 0.001.
        copy_steps: The number of updates on them, batches of 32.

    Returns:
        Rows with `task` (`"adding"` or `"copying"`), `initialization`, `seed`, `step` and `loss`,
        the mean of 10 steps.
    """
    seeds = list(seeds)
    rows: Rows = []
    for name, f in (("Identity", torch.relu), ("PyTorch default", torch.tanh)):
        curves = fit_recurrent(
            _networks([name], seeds, 2, 48, 1),
            lambda p, batch, f=f: _adding_loss(p, batch, f),
            streams(adding, 32, length, seeds, 1),
            lr=0.002,
            steps=steps,
        )
        rows += _rows("adding", [name], seeds, curves)
    names = ["Orthogonal", "Gaussian, 1/n", "Identity"]
    curves = fit_recurrent(
        _networks(names, seeds, 10, 80, 9),
        _copying_loss,
        streams(copying, 32, delay, seeds, len(names)),
        lr=0.001,
        steps=copy_steps,
    )
    return rows + _rows("copying", names, seeds, curves)


def _networks(
    names: list[str], seeds: list[int], inputs: int, hidden: int, outputs: int
) -> Parameters:
    """Return stacked weights: a network for each name and seed."""
    drawn: dict[str, list[Tensor]] = {"weight_ih": [], "weight_hh": [], "weight_out": []}
    for name in names:
        for seed in seeds:
            g = torch.Generator().manual_seed(seed)
            drawn["weight_hh"].append(MATRICES[name](torch.empty(hidden, hidden), g))
            drawn["weight_ih"].append(normal_(torch.empty(hidden, inputs), std=0.1, generator=g))
            drawn["weight_out"].append(lecun_normal_(torch.empty(outputs, hidden), generator=g))
    count = len(names) * len(seeds)
    biases = {"bias": torch.zeros(count, 1, hidden), "bias_out": torch.zeros(count, 1, outputs)}
    return {name: torch.stack(weights) for name, weights in drawn.items()} | biases


def _adding_loss(parameters: Parameters, batch: Batch, f: Callable[[Tensor], Tensor]) -> Tensor:
    x, y = batch
    return (read(parameters, rnn(parameters, x, f)[-1])[..., 0] - y).square().mean(1)


def _copying_loss(parameters: Parameters, batch: Batch) -> Tensor:
    x, symbols = batch
    # The last states, one for each symbol; from (symbols, n, batch, classes).
    scores = read(parameters, rnn(parameters, x, lambda z: z)[-symbols.shape[2] :])
    losses = F.cross_entropy(scores.permute(1, 3, 2, 0), symbols, reduction="none")
    return losses.mean((1, 2))


def _rows(
    task: str, names: list[str], seeds: list[int], curves: list[list[dict[str, Any]]]
) -> Rows:
    runs = [(name, seed) for name in names for seed in seeds]
    return [
        {"task": task, "initialization": name, "seed": seed} | row
        for (name, seed), curve in zip(runs, curves, strict=True)
        for row in curve
    ]


def _loss(task: str, name: str) -> Values:
    """Return a function that gives each seed's loss, the median of the last five rows."""

    def values(rows: Rows) -> list[float]:
        some = [r for r in rows if (r["task"], r["initialization"]) == (task, name)]
        seeds = dict.fromkeys(row["seed"] for row in some)
        curves = [[row["loss"] for row in some if row["seed"] == seed] for seed in seeds]
        return [torch.tensor(curve[-5:]).median().item() for curve in curves]

    return values


CLAIM = Claim(
    paper="le2015",
    headline="A ReLU network whose recurrent matrix starts as the identity learns long memories.",
    setup="Adding two of 80 numbers, 48 units, 300 steps; copying 5 symbols over 50 steps, 80 "
    "linear units, 150 steps; Adam.",
    run=run,
    checks=(
        Check("Adding, identity and ReLU: square error", _loss("adding", "Identity"), "<", 0.14),
        Check(
            "Adding, PyTorch's default and tanh: square error",
            _loss("adding", "PyTorch default"),
            ">",
            0.15,
        ),
        Check("Copying, orthogonal: loss", _loss("copying", "Orthogonal"), "<", 0.2),
        Check("Copying, Gaussian: loss", _loss("copying", "Gaussian, 1/n"), ">", 0.3),
        Check("Copying, identity: loss", _loss("copying", "Identity"), ">", 1.3, for_it=False),
    ),
    page="examples/le-2015.py",
)
