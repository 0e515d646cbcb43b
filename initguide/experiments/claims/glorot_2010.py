r"""Glorot and Bengio (2010): the usual scale is too small, and sigmoid layers saturate from it.

Near zero tanh is close to the identity. So a layer whose weights have variance $\sigma^2$
multiplies the second moment of the signal by $n_\text{in} \sigma^2$ and that of the gradient by
$n_\text{out} \sigma^2$. Weights from $U(\pm 1/\sqrt{n})$ have $\sigma^2 = 1/(3n)$, so both are
divided by three per layer. The normalized initialization has
$\sigma^2 = 2/(n_\text{in} + n_\text{out})$, which keeps both if the widths are equal.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from operator import sub, truediv

import torch
from torch import Tensor, nn

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, lead, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.models import each_linear, seeded_mlp
from initguide.experiments.rows import Rows, grid
from initguide.experiments.signals import activations, gradients
from initguide.experiments.tuning import tuned_on_digits
from initguide.methods.normal import uniform_
from initguide.methods.xavier import xavier_uniform_


def _standard(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    bound = weight.shape[1] ** -0.5
    return uniform_(weight, -bound, bound, generator=generator)


def _fourfold(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    return xavier_uniform_(weight, gain=4.0, generator=generator)


STARTS = {
    "U(±1/√n)": each_linear(_standard),
    "Xavier": each_linear(xavier_uniform_),
    "Xavier, gain 4": each_linear(_fourfold),
}
"""The usual scale, the normalized one, and the latter times four."""

PAIR: tuple[str, ...] = ("U(±1/√n)", "Xavier")
TANH_RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
SIGMOID_RATES = (0.03, 0.1, 0.3, 1.0, 3.0)


@recorded
def run(
    seeds: Iterable[int],
    tanh_widths: Sequence[int] = (64, *[64] * 5, 10),
    sigmoid_widths: Sequence[int] = (64, *[64] * 4, 10),
    tanh_rates: Sequence[float] = TANH_RATES,
    sigmoid_rates: Sequence[float] = SIGMOID_RATES,
    steps: int = 200,
) -> Rows:
    """Measure tanh networks before training, and train tanh and sigmoid networks.

    Args:
        seeds: One network per seed, initialization and rate.
        tanh_widths: The sizes of the tanh networks.
        sigmoid_widths: The sizes of the sigmoid networks.
        tanh_rates: The learning rates of the tanh networks.
        sigmoid_rates: The learning rates of the sigmoid networks.
        steps: The number of updates, on batches of 16.

    Returns:
        Rows of three kinds, by `part`: `"start"`, a row for each hidden layer with the `rms` of its
        activations and their `gradient_rms`; `"tanh"` and `"sigmoid"`, the rows of
        [tuned][initguide.experiments.tuning.tuned]. The loss is the mean of the last half of
        the steps.
    """
    seeds = list(seeds)
    start = [
        one | row
        for one in grid(part=["start"], initialization=PAIR, seed=seeds)
        for row in _start(one["initialization"], tanh_widths, one["seed"])
    ]
    arms = (
        ("tanh", tanh_widths, dict.fromkeys(PAIR, tanh_rates)),
        ("sigmoid", sigmoid_widths, dict.fromkeys(STARTS, sigmoid_rates)),
    )
    return start + [
        {"part": part} | row
        for part, widths, rates in arms
        for row in tuned_on_digits(
            partial(_network, part, widths), rates, seeds, steps=steps, last=0.5
        )
    ]


def _network(nonlinearity: str, widths: Sequence[int], name: str, seed: int) -> nn.Sequential:
    return seeded_mlp(STARTS[name], widths, nonlinearity, seed=seed)


def _start(name: str, widths: Sequence[int], seed: int) -> Rows:
    data = digits()
    model = _network("tanh", widths, name, seed)
    signal = activations(model, data.x_train)[:-1]
    backward = gradients(model, data.x_train, data.y_train)[:-1]
    return [
        {"layer": h["layer"], "rms": h["rms"], "gradient_rms": g["rms"]}
        for h, g in zip(signal, backward, strict=True)
    ]


def _across(name: str, column: str, first: int, last: int) -> Values:
    """Return a function that gives each seed's ratio of a column, layer `last` to `first`."""
    at = {"part": "start", "initialization": name}
    upper, lower = by_seed(column, layer=last, **at), by_seed(column, layer=first, **at)
    return per_seed(truediv, upper, lower)


CLAIM = Claim(
    paper="glorot2010",
    short="From U(±1/√n) the signal fades faster than from Xavier.",
    headline="From U(±1/√n) signal and gradient fade layer by layer, and tanh networks learn "
    "slowly. The normalized initialization avoids both. Deep sigmoid networks do not learn from "
    "random weights.",
    setup="Digits; 5 tanh layers and 4 sigmoid layers of 64 units, 200 steps of gradient descent, "
    "mean loss of the last 100, each start at the best of five learning rates.",
    run=run,
    checks=(
        Check(
            "Share of the signal left in layer 5, U(±1/√n) minus Xavier",
            per_seed(sub, *(_across(name, "rms", 1, 5) for name in PAIR)),
            "<",
            0,
        ),
        Check(
            "Share of the gradient left in layer 1, U(±1/√n) minus Xavier",
            per_seed(sub, *(_across(name, "gradient_rms", 5, 1) for name in PAIR)),
            "<",
            0,
        ),
        Check("tanh loss, Xavier minus U(±1/√n)", lead("Xavier", "U(±1/√n)", part="tanh"), "<", 0),
        Check(
            "Sigmoid loss, Xavier times 4 minus Xavier",
            lead("Xavier, gain 4", "Xavier", part="sigmoid"),
            "<",
            0,
            supports=False,
        ),
    ),
    page="examples/glorot-2010.py",
)
