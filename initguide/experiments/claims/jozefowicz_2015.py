r"""Gers et al. (2000), Jozefowicz et al. (2015): an LSTM's forget gate should start open.

At the start the weights have little effect, so the forget gate multiplies the cell by about
$\sigma(b_f)$ in each step. The gradient on its way back is multiplied by the same factor. Over $T$
steps this gives $\sigma(b_f)^T$. For $T = 50$ that is $10^{-15}$ at $b_f = 0$, $10^{-7}$ at 1 and
$10^{-3}$ at 2.
"""

import math
from collections.abc import Iterable, Sequence
from operator import truediv

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import (
    Check,
    Claim,
    Values,
    by_seed,
    group_by_seed,
    per_seed,
    select,
)
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.models import uninitialized
from initguide.experiments.recurrent import (
    Batch,
    Parameters,
    first_sign,
    fit_recurrent,
    lstm,
    readout,
    task_batches,
)
from initguide.experiments.rows import Rows, grid, loss_curves
from initguide.layers.recurrent import recurrent_
from initguide.methods.lecun import lecun_normal_

CHRONO = "chrono"
HIDDEN = 32
HALF = 0.35
"""Half of the loss of guessing, log 2. With a smaller loss a network counts as having learned."""


@recorded
def run(
    seeds: Iterable[int],
    biases: Sequence[float | str] = (0.0, 1.0, 2.0, CHRONO),
    length: int = 50,
    steps: int = 200,
    lr: float = 0.005,
) -> Rows:
    """Train LSTMs to report the sign at the beginning of a sequence of noise.

    Args:
        seeds: One network per seed and bias.
        biases: Biases of the forget gate, or `"chrono"`, which draws them at random: see
            [chrono][initguide.experiments.claims.jozefowicz_2015.chrono].
        length: The length of the sequences.
        steps: The number of updates by Adam, on batches of 32.
        lr: The learning rate.

    Returns:
        Rows with `initialization` (the bias in words), `seed`, `step` and `loss`, the mean of 5
        steps.
    """
    seeds = list(seeds)
    values = {bias if isinstance(bias, str) else f"forget bias {bias:g}": bias for bias in biases}
    runs = grid(initialization=values, seed=seeds)
    networks = [_network(values[run["initialization"]], run["seed"], length) for run in runs]
    losses = fit_recurrent(
        {name: torch.stack([one[name] for one in networks]) for name in networks[0]},
        _loss_of,
        task_batches(first_sign, 32, length, seeds, len(values)),
        lr=lr,
        steps=steps,
    )
    return loss_curves(runs, losses, every=5)


def chrono(hidden: int, length: int, generator: torch.Generator) -> Tensor:
    r"""Return an LSTM's bias for memories of up to `length` steps (Tallec & Ollivier, 2018).

    $$b_f = \log u,\; b_i = -b_f, \qquad u \sim \mathcal{U}(1, T - 1)$$

    A gate with $b_f = \log u$ keeps $u / (u + 1)$ of its cell per step, so a memory lasts about $u$
    steps.
    """
    forget = torch.rand(hidden, generator=generator).mul(length - 2).add(1).log()
    return torch.cat([-forget, forget, torch.zeros(2 * hidden)])


def _network(bias: float | str, seed: int, length: int) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    layer = uninitialized(nn.LSTM, 2, HIDDEN)
    value = 0.0 if isinstance(bias, str) else bias
    recurrent_(layer, forget_bias=value, generator=generator)
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}
    return {
        "weight_ih": weights["weight_ih_l0"],
        "weight_hh": weights["weight_hh_l0"],
        "weight_out": lecun_normal_(torch.empty(2, HIDDEN), generator=generator),
        "bias": (
            chrono(HIDDEN, length, generator)
            if bias == CHRONO
            else weights["bias_ih_l0"] + weights["bias_hh_l0"]
        ).view(1, -1),
        "bias_out": torch.zeros(1, 2),
    }


def _loss_of(parameters: Parameters, batch: Batch) -> Tensor:
    x, classes = batch
    scores = readout(parameters, lstm(parameters, x)).mT
    return F.cross_entropy(scores, classes, reduction="none").mean(1)


def last_loss(name: str) -> Values:
    """Return a function that gives each seed's mean loss over the last 10 steps."""
    return by_seed("loss", 10, initialization=name)


def first_below(name: str) -> Values:
    """Return a function that gives each seed's first step with a loss below half of chance."""
    return lambda rows: [
        min((row["step"] for row in group if row["loss"] < HALF), default=math.inf)
        for group in group_by_seed(select(rows, initialization=name))
    ]


def _steps_ratio(name: str) -> Values:
    """Return a function that gives the ratio of the steps to half of chance: bias 2 to `name`."""
    return per_seed(truediv, first_below("forget bias 2"), first_below(name))


CLAIM = Claim(
    paper="jozefowicz2015",
    headline="An LSTM remembers over long gaps if its forget gate's bias starts above zero.",
    setup="The first sign of 50 noisy steps; LSTM of 32 units, 200 steps of Adam.",
    run=run,
    checks=(
        Check("Forget bias 0: loss", last_loss("forget bias 0"), ">", 0.6),
        Check("Forget bias 2: loss", last_loss("forget bias 2"), "<", 0.1),
        Check("Chrono: loss", last_loss(CHRONO), "<", 0.1),
        Check("Forget bias 1: loss", last_loss("forget bias 1"), "<", HALF),
        Check("Steps to half of chance, bias 2 to bias 1", _steps_ratio("forget bias 1"), "<", 1),
        Check(
            "Loss, chrono to bias 2",
            per_seed(truediv, last_loss(CHRONO), last_loss("forget bias 2")),
            "<",
            1,
        ),
        Check("Steps to half of chance, bias 2 to chrono", _steps_ratio(CHRONO), "<", 1),
    ),
    page="examples/jozefowicz-2015.py",
)
