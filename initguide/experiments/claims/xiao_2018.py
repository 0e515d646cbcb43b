r"""Xiao et al. (2018): with a delta-orthogonal start plain tanh convolutions train at any depth.

With $W_{\mathbf k} = Q\,\delta_{\mathbf k \mathbf c}$ and $Q^\top Q = I$ all singular values of
every layer are one, and so are those of the product of all layers. Gaussian and flattened
orthogonal kernels keep the signal only on average. The range of the singular values of a product of
$L$ layers grows exponentially in $L$, and zero padding removes a part of the signal at each border.
"""

from collections.abc import Iterable

import torch
from torch import nn

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.convolutional import convolutions
from initguide.experiments.data import digits
from initguide.experiments.models import each_linear, seeded_mlp
from initguide.experiments.rows import Rows, grid, join
from initguide.experiments.training import fit_losses_
from initguide.methods.delta_orthogonal import delta_orthogonal_
from initguide.methods.lecun import lecun_normal_
from initguide.methods.orthogonal import orthogonal_

GAUSSIAN = "Gaussian, 1/n"
INITIALIZERS = {
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
    dense_steps: int = 80,
    lr: float = 0.015,
) -> Rows:
    """Train plain tanh networks, convolutional and fully connected, on the digits.

    Args:
        seeds: One network per seed and initialization.
        depth: The number of convolutional layers. The first one has stride 2.
        channels: The number of channels of these layers, in maps of 4 by 4 pixels.
        steps: The number of updates of the convolutional networks, on batches of 16.
        dense_depth: The number of layers of the fully connected networks, including the output.
        dense_width: The number of units of each hidden layer.
        dense_steps: The number of updates of the fully connected networks, on batches of 20.
        lr: The learning rate.

    Returns:
        Rows with `network`, `initialization`, `seed`, `step` and `loss`, the mean since the row
        before. The last row of each network also has the held-out `accuracy`.
    """
    data, seeds = digits(), list(seeds)
    runs = grid(network=[CONVOLUTIONS], initialization=INITIALIZERS, seed=seeds)
    models = [
        convolutions(
            depth - 1,
            channels,
            nn.Tanh,
            INITIALIZERS[run["initialization"]],
            generator=torch.Generator().manual_seed(run["seed"]),
        )
        for run in runs
    ]
    orders = [run["seed"] for run in runs]
    curves = fit_losses_(models, data, lr=lr, steps=steps, batch=16, seeds=orders, every=20)
    dense = grid(network=[DENSE], initialization=[GAUSSIAN, "Orthogonal"], seed=seeds)
    widths = (64, *[dense_width] * (dense_depth - 1), 10)
    models = [
        seeded_mlp(
            each_linear(INITIALIZERS[run["initialization"]]), widths, nn.Tanh, seed=run["seed"]
        )
        for run in dense
    ]
    orders = [run["seed"] for run in dense]
    others = fit_losses_(models, data, lr=lr, steps=dense_steps, batch=20, seeds=orders, every=20)
    return join(runs, curves) + join(dense, others)


def _last(network: str, name: str, key: str) -> Values:
    """Return a function that gives each seed's value in the last row."""
    return by_seed(key, 1, network=network, initialization=name)


CLAIM = Claim(
    paper="xiao2018",
    short="From delta-orthogonal, 100 tanh convolutions learn.",
    headline="A delta-orthogonal start lets plain tanh convolutions learn at any depth (tested at "
    "100 layers).",
    setup="Digits; 100 tanh convolutions of 8 channels, 100 steps; 200 tanh layers of 32 units, "
    "80 steps; gradient descent, learning rate 0.015.",
    run=run,
    checks=(
        # Three times the accuracy of guessing.
        Check(
            "Accuracy, delta-orthogonal, 100 convolutions",
            _last(CONVOLUTIONS, "Delta-orthogonal", "accuracy"),
            ">",
            0.3,
        ),
        Check(
            "Loss, delta-orthogonal, 100 convolutions",
            _last(CONVOLUTIONS, "Delta-orthogonal", "loss"),
            "<",
            1.9,
        ),
        Check("Loss, Gaussian, 100 convolutions", _last(CONVOLUTIONS, GAUSSIAN, "loss"), ">", 2.25),
        Check(
            "Loss, flattened orthogonal, 100 convolutions",
            _last(CONVOLUTIONS, "Orthogonal", "loss"),
            ">",
            2.25,
        ),
        Check("Loss, orthogonal, 200 dense layers", _last(DENSE, "Orthogonal", "loss"), "<", 2.1),
        Check("Loss, Gaussian, 200 dense layers", _last(DENSE, GAUSSIAN, "loss"), ">", 2.2),
    ),
    page="examples/xiao-2018.py",
)
