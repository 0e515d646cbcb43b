r"""Gers et al. (2000), Jozefowicz et al. (2015): an LSTM's forget gate should start open.

At the start the weights have little effect, so the forget gate multiplies the cell by about
$\operatorname{sigmoid}(b_f)$ in each step. The gradient on its way back is multiplied by the same
factor. Over $T$ steps this gives $\operatorname{sigmoid}(b_f)^T$. For $T = 30$ that is $10^{-9}$ at
$b_f = 0$, $10^{-4}$ at 1 and $0.02$ at 2.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, lead
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
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.tuning import averaged, tuned
from initguide.layers.recurrent import recurrent_
from initguide.methods.lecun import lecun_normal_

CHRONO = "chrono"
HIDDEN = 12
RATES = (0.005, 0.015, 0.05, 0.15, 0.5)


@recorded
def run(
    seeds: Iterable[int],
    biases: Sequence[float | str] = (0.0, 1.0, 2.0, CHRONO),
    length: int = 30,
    steps: int = 120,
    rates: Sequence[float] = RATES,
    networks: int = 3,
) -> Rows:
    """Train LSTMs to report the sign at the beginning of a sequence of noise.

    Args:
        seeds: One result per seed, bias and rate.
        biases: Biases of the forget gate, or `"chrono"`, which draws them at random: see
            [chrono][initguide.experiments.claims.jozefowicz_2015.chrono].
        length: The length of the sequences.
        steps: The number of updates by Adam, on batches of 8.
        rates: The learning rates.
        networks: The number of networks per seed; their losses are averaged.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]; `initialization` is the bias in
        words. The loss is the mean of all steps, so it is small if a network learns early.
    """
    return tuned(averaged(partial(_sweep, biases, length, steps, rates), networks), seeds)


def _sweep(
    biases: Sequence[float | str],
    length: int,
    steps: int,
    rates: Sequence[float],
    seeds: list[int],
) -> Rows:
    values = {bias if isinstance(bias, str) else f"forget bias {bias:g}": bias for bias in biases}
    runs = grid(initialization=values, lr=rates, seed=seeds)
    networks = [_network(values[run["initialization"]], run["seed"], length) for run in runs]
    losses = fit_recurrent(
        {name: torch.stack([one[name] for one in networks]) for name in networks[0]},
        _loss_of,
        task_batches(first_sign, 8, length, seeds, len(runs) // len(seeds)),
        lr=[run["lr"] for run in runs],
        steps=steps,
    )
    return final_losses(runs, losses, steps)


def chrono(hidden: int, length: int, generator: torch.Generator) -> Tensor:
    r"""Return an LSTM's bias for memories of up to `length` steps (Tallec & Ollivier, 2018).

    $$b_f = \log m,\; b_i = -b_f, \qquad m \sim \mathcal{U}(1, T - 1)$$

    A gate with $b_f = \log m$ keeps $m / (m + 1)$ of its cell per step, so a memory lasts about $m$
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


CLAIM = Claim(
    paper="jozefowicz2015",
    short="An LSTM remembers if its forget bias starts above zero.",
    headline="An LSTM remembers over long gaps if its forget gate's bias starts above zero.",
    setup="The sign of the first of 30 numbers; LSTM of 12 units, 120 steps of Adam, each bias at "
    "the best of five learning rates; mean loss of all steps, mean of 3 networks per seed.",
    run=run,
    checks=(
        Check("Loss, bias 1 minus bias 0", lead("forget bias 1", "forget bias 0"), "<", 0),
        Check("Loss, bias 2 minus bias 0", lead("forget bias 2", "forget bias 0"), "<", 0),
        Check("Loss, chrono minus bias 0", lead(CHRONO, "forget bias 0"), "<", 0),
    ),
    page="examples/jozefowicz-2015.py",
)
