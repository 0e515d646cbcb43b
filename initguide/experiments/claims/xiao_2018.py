r"""Xiao et al. (2018): a delta-orthogonal start trains plain tanh convolutions of any depth.

With $W_{\mathbf k} = Q\,\delta_{\mathbf k \mathbf c}$ and $Q^\top Q = I$ every layer, and so the
product of all of them, has singular values of one. Gaussian and flattened orthogonal kernels are
right on average only: the singular values of a product of $L$ layers spread exponentially in $L$,
and zero padding takes a part of the signal at each border.
"""

from collections.abc import Iterable

import torch
from torch import nn

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.convolutional import convolutions
from initguide.experiments.models import each_linear
from initguide.experiments.together import fit_all
from initguide.experiments.training import train
from initguide.methods.delta_orthogonal import delta_orthogonal_
from initguide.methods.lecun import lecun_normal_
from initguide.methods.orthogonal import orthogonal_

GAUSSIAN = "Gaussian, 1/n"
LAWS = {
    GAUSSIAN: lecun_normal_,
    "Orthogonal": orthogonal_,
    "Delta-orthogonal": delta_orthogonal_,
}
CONVOLUTIONS, DENSE = "convolutions", "fully connected"


@recorded
def run(
    seeds: Iterable[int],
    depth: int = 100,
    channels: int = 8,
    steps: int = 100,
    dense_depth: int = 200,
    dense_width: int = 32,
    dense_steps: int = 90,
    lr: float = 0.01,
) -> Rows:
    """Train plain tanh networks, convolutional and fully connected, on the digits.

    Args:
        seeds: One network for each seed and initialization.
        depth: The convolutional layers; the first has stride 2.
        channels: Their channels, in maps of 4 by 4.
        steps: The number of updates of the convolutional networks, on batches of 16.
        dense_depth: The layers of the fully connected networks, the output layer among them.
        dense_width: The units of each hidden layer.
        dense_steps: The number of their updates, on batches of 20.
        lr: The learning rate.

    Returns:
        The rows of [fit][initguide.experiments.fit], each with its `network`, `initialization` and
        `seed`.
    """
    seeds = list(seeds)
    runs = [(name, seed) for name in LAWS for seed in seeds]
    curves = fit_all(
        [
            convolutions(
                depth - 1,
                channels,
                nn.Tanh,
                LAWS[name],
                generator=torch.Generator().manual_seed(seed),
            )
            for name, seed in runs
        ],
        lr=lr,
        steps=steps,
        batch=16,
        seeds=[seed for _, seed in runs],
        every=20,
    )
    rows = [
        {"network": CONVOLUTIONS, "initialization": name, "seed": seed} | row
        for (name, seed), curve in zip(runs, curves, strict=True)
        for row in curve
    ]
    dense = train(
        {name: each_linear(LAWS[name]) for name in (GAUSSIAN, "Orthogonal")},
        widths=(64, *[dense_width] * (dense_depth - 1), 10),
        nonlinearity="tanh",
        lr=lr,
        steps=dense_steps,
        batch=20,
        seeds=seeds,
        every=30,
    )
    return rows + [{"network": DENSE} | row for row in dense]


def _last(network: str, name: str, key: str) -> Values:
    """Return a function that gives each seed's last value; a loss is its row's mean."""
    return by_seed(key, 1, network=network, initialization=name)


CLAIM = Claim(
    paper="xiao2018",
    headline="A delta-orthogonal start lets plain tanh convolutions learn at any depth.",
    setup="Digits; 100 tanh convolutions of 8 channels, 100 steps; 200 tanh layers of 32 units, "
    "90 steps; gradient descent, learning rate 0.01.",
    run=run,
    checks=(
        Check(
            "Delta-orthogonal, 100 convolutions: accuracy",
            _last(CONVOLUTIONS, "Delta-orthogonal", "accuracy"),
            ">",
            0.5,
        ),
        Check(
            "Delta-orthogonal, 100 convolutions: loss",
            _last(CONVOLUTIONS, "Delta-orthogonal", "loss"),
            "<",
            1.9,
        ),
        Check("Gaussian, 100 convolutions: loss", _last(CONVOLUTIONS, GAUSSIAN, "loss"), ">", 2.25),
        Check(
            "Flattened orthogonal, 100 convolutions: loss",
            _last(CONVOLUTIONS, "Orthogonal", "loss"),
            ">",
            2.25,
        ),
        Check("Orthogonal, 200 dense layers: loss", _last(DENSE, "Orthogonal", "loss"), "<", 2.1),
        Check("Gaussian, 200 dense layers: loss", _last(DENSE, GAUSSIAN, "loss"), ">", 2.2),
    ),
    page="examples/xiao-2018.py",
)
