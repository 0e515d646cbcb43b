r"""Glorot and Bengio (2010): the usual scale is too small, and sigmoid layers saturate from it.

Near zero tanh is close to the identity. So a layer whose weights have variance $\sigma^2$
multiplies the second moment of the signal by $n_\text{in} \sigma^2$ and that of the gradient by
$n_\text{out} \sigma^2$. Weights from $U(\pm 1/\sqrt{n})$ have $\sigma^2 = 1/3n$, so both are
divided by three per layer. The normalized initialization has
$\sigma^2 = 2/(n_\text{in} + n_\text{out})$, which keeps both if the widths are equal.
"""

from collections.abc import Iterable, Sequence
from operator import truediv

import torch
from torch import Tensor

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.models import each_linear, seeded_mlp
from initguide.experiments.rows import Rows, grid
from initguide.experiments.signals import activations, gradients
from initguide.experiments.training import fit, train
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


@recorded
def run(
    seeds: Iterable[int],
    tanh_widths: Sequence[int] = (64, *[100] * 5, 10),
    sigmoid_widths: Sequence[int] = (64, *[100] * 4, 10),
    tanh_lr: float = 0.01,
    sigmoid_lr: float = 0.2,
    tanh_steps: int = 400,
    sigmoid_steps: int = 600,
    every: int = 50,
) -> Rows:
    """Measure tanh networks before training, train them, and follow sigmoid networks in training.

    Args:
        seeds: One network per seed and initialization.
        tanh_widths: The sizes of the tanh networks.
        sigmoid_widths: The sizes of the sigmoid networks.
        tanh_lr: The learning rate of the tanh networks.
        sigmoid_lr: The learning rate of the sigmoid networks.
        tanh_steps: The number of updates of the tanh networks, on batches of 10.
        sigmoid_steps: The number of updates of the sigmoid networks, on batches of 10.
        every: The number of steps from row to row.

    Returns:
        Rows of three kinds, by `part`: `"start"`, a row for each hidden layer with the `rms` of its
        activations and their `gradient_rms`; `"tanh"`, the rows of
        [train][initguide.experiments.train]; `"sigmoid"`, a row for each hidden layer and `step`,
        with the `mean` of its activations, the `loss` since the row before and the `accuracy`.
    """
    seeds = list(seeds)
    pair = {name: STARTS[name] for name in ("U(±1/√n)", "Xavier")}
    start = [
        run | row
        for run in grid(part=["start"], initialization=pair, seed=seeds)
        for row in _start(run["initialization"], tanh_widths, run["seed"])
    ]
    curves = train(
        pair,
        widths=tanh_widths,
        nonlinearity="tanh",
        lr=tanh_lr,
        steps=tanh_steps,
        batch=10,
        every=every,
        seeds=seeds,
    )
    sigmoid = [
        run | row
        for run in grid(part=["sigmoid"], initialization=["U(±1/√n)", "Xavier, gain 4"], seed=seeds)
        for row in _sigmoid(
            run["initialization"], sigmoid_widths, sigmoid_lr, sigmoid_steps, every, run["seed"]
        )
    ]
    return [*start, *({"part": "tanh"} | row for row in curves), *sigmoid]


def _start(name: str, widths: Sequence[int], seed: int) -> Rows:
    data = digits()
    model = seeded_mlp(STARTS[name], widths, "tanh", seed=seed)
    signal = activations(model, data.x_train)[:-1]
    backward = gradients(model, data.x_train, data.y_train)[:-1]
    return [
        {"layer": h["layer"], "rms": h["rms"], "gradient_rms": g["rms"]}
        for h, g in zip(signal, backward, strict=True)
    ]


def _sigmoid(
    name: str, widths: Sequence[int], lr: float, steps: int, every: int, seed: int
) -> Rows:
    data = digits()
    model = seeded_mlp(STARTS[name], widths, "sigmoid", seed=seed)
    rows: Rows = []
    for step in range(0, steps + 1, every):
        point = {}
        if step:
            # Each part of the training has another order of the data.
            order = 1000 * seed + step
            point = fit(model, data, lr=lr, steps=every, batch=10, seed=order, every=every)[-1]
        hidden = activations(model, data.x_train)[:-1]
        rows += [
            point | {"step": step, "layer": row["layer"], "mean": row["mean"]} for row in hidden
        ]
    return rows


def _across(name: str, column: str, first: int, last: int) -> Values:
    """Return a function that gives each seed's ratio of a column, layer `last` to `first`."""
    at = {"part": "start", "initialization": name}
    upper, lower = by_seed(column, layer=last, **at), by_seed(column, layer=first, **at)
    return per_seed(truediv, upper, lower)


def _end(part: str, name: str, column: str, step: int, **where: int) -> Values:
    return by_seed(column, part=part, initialization=name, step=step, **where)


CLAIM = Claim(
    paper="glorot2010",
    headline="From U(±1/√n) signal and gradient fade layer by layer and tanh networks learn "
    "slowly; the normalized initialization fixes this. Deep sigmoid networks saturate at the top.",
    setup="Digits, 5 tanh layers of 100 units, 400 steps of 10 images, learning rate 0.01; "
    "4 sigmoid layers, 600 steps, learning rate 0.2.",
    run=run,
    checks=(
        Check("U(±1/√n): activations, layer 5 to 1", _across("U(±1/√n)", "rms", 1, 5), "<", 0.2),
        Check("Xavier: activations, layer 5 to 1", _across("Xavier", "rms", 1, 5), ">", 0.4),
        Check(
            "U(±1/√n): gradient, layer 1 to 5", _across("U(±1/√n)", "gradient_rms", 5, 1), "<", 0.2
        ),
        Check("Xavier: gradient, layer 1 to 5", _across("Xavier", "gradient_rms", 5, 1), ">", 0.4),
        Check("U(±1/√n), tanh: loss", _end("tanh", "U(±1/√n)", "loss", 400), ">", 1.2),
        Check("Xavier, tanh: loss", _end("tanh", "Xavier", "loss", 400), "<", 0.5),
        Check(
            "U(±1/√n), sigmoid: mean activation of layer 4",
            _end("sigmoid", "U(±1/√n)", "mean", 600, layer=4),
            "<",
            0.2,
        ),
        Check(
            "U(±1/√n), sigmoid: accuracy",
            _end("sigmoid", "U(±1/√n)", "accuracy", 600, layer=4),
            "<",
            0.3,
        ),
        Check(
            "Xavier times 4, sigmoid: accuracy",
            _end("sigmoid", "Xavier, gain 4", "accuracy", 600, layer=4),
            ">",
            0.85,
            supports=False,
        ),
    ),
    page="examples/glorot-2010.py",
)
