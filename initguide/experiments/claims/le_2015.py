r"""Le, Jaitly & Hinton (2015): ReLU networks remember if they start from the identity.

With the recurrent matrix $W_{hh} = I$ the states are $h_t = \max(0, h_{t-1} + u_t)$. A unit that
stays positive adds up its inputs, and its gradient is one after any number of steps. Without the
ReLU any orthogonal matrix keeps the length of the gradient. But with the identity each input has
the same effect at every step, so the network does not know *when* an input came.
"""

from collections.abc import Callable, Iterable
from statistics import median_low

import torch
from torch import Tensor
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed
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
from initguide.experiments.rows import Rows, grid, loss_curves
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
        seeds: One network per seed, task and initialization.
        length: The length of the sequences with numbers to add. The networks have 48 units, and
            Adam's learning rate is 0.002.
        steps: The number of updates for adding, on batches of 32.
        delay: The number of steps between symbols and copy. The networks have 80 units without a
            nonlinearity, and Adam's learning rate is 0.001.
        copy_steps: The number of updates for copying, on batches of 32.

    Returns:
        Rows with `task` (`"adding"` or `"copying"`), `initialization`, `seed`, `step` and `loss`,
        the mean of 10 steps.
    """
    seeds = list(seeds)
    rows: Rows = []
    for name, f in (("Identity", torch.relu), ("PyTorch default", torch.tanh)):
        runs = grid(task=["adding"], initialization=[name], seed=seeds)
        losses = fit_recurrent(
            _networks(runs, 2, 48, 1),
            lambda p, batch, f=f: _adding_loss(p, batch, f),
            task_batches(adding, 32, length, seeds, 1),
            lr=0.002,
            steps=steps,
        )
        rows += loss_curves(runs, losses)
    names = ["Orthogonal", "Gaussian, 1/n", "Identity"]
    runs = grid(task=["copying"], initialization=names, seed=seeds)
    losses = fit_recurrent(
        _networks(runs, 10, 80, 9),
        _copying_loss,
        task_batches(copying, 32, delay, seeds, len(names)),
        lr=0.001,
        steps=copy_steps,
    )
    return rows + loss_curves(runs, losses)


def _networks(runs: Rows, inputs: int, hidden: int, outputs: int) -> Parameters:
    """Return the stacked weights of one network per run."""
    weights: dict[str, list[Tensor]] = {"weight_ih": [], "weight_hh": [], "weight_out": []}
    for run in runs:
        g = torch.Generator().manual_seed(run["seed"])
        recurrent = MATRICES[run["initialization"]](torch.empty(hidden, hidden), g)
        weights["weight_hh"].append(recurrent)
        weights["weight_ih"].append(normal_(torch.empty(hidden, inputs), std=0.1, generator=g))
        weights["weight_out"].append(lecun_normal_(torch.empty(outputs, hidden), generator=g))
    biases = {
        "bias": torch.zeros(len(runs), 1, hidden),
        "bias_out": torch.zeros(len(runs), 1, outputs),
    }
    return {name: torch.stack(parts) for name, parts in weights.items()} | biases


def _adding_loss(parameters: Parameters, batch: Batch, f: Callable[[Tensor], Tensor]) -> Tensor:
    x, y = batch
    return (readout(parameters, rnn(parameters, x, f)[-1])[..., 0] - y).square().mean(1)


def _copying_loss(parameters: Parameters, batch: Batch) -> Tensor:
    x, symbols = batch
    # One state per symbol, the last ones; the scores have shape (symbols, n, batch, classes).
    scores = readout(parameters, rnn(parameters, x, lambda z: z)[-symbols.shape[2] :])
    losses = F.cross_entropy(scores.permute(1, 3, 2, 0), symbols, reduction="none")
    return losses.mean((1, 2))


def _loss(task: str, name: str) -> Values:
    """Return a function that gives each seed's loss, the median of the last five rows."""
    return by_seed("loss", 50, median_low, task=task, initialization=name)


CLAIM = Claim(
    paper="le2015",
    headline="A ReLU network whose recurrent matrix starts as the identity learns long memories.",
    setup="Adding two of 80 numbers, 48 units, 300 steps; copying 5 symbols over 50 steps, 80 "
    "linear units, 150 steps; Adam at one learning rate for each task.",
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
        Check("Copying, identity: loss", _loss("copying", "Identity"), ">", 1.3, supports=False),
    ),
    page="examples/le-2015.py",
)
