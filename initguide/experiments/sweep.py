"""Would another learning rate help? Train each initialization at several rates, all at once."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments.data import Data, digits, shared_batches
from initguide.experiments.descent import descend
from initguide.experiments.models import Activation, Initializer, seeded_mlp
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.training import accuracy


def sweep(
    initializations: Mapping[str, Initializer],
    rates: Iterable[float],
    *,
    adam: bool = False,
    widths: Sequence[int] = (64, 100, 100, 100, 10),
    nonlinearity: Activation = nn.ReLU,
    steps: int = 300,
    batch: int = 50,
    seeds: Sequence[int] = range(3),
    data: Data | None = None,
) -> Rows:
    r"""Train one network for each initialization, learning rate and seed, and return the ends.

    $$\theta \leftarrow \theta - \eta\, \nabla_\theta\, \ell(\theta), \qquad
    \ell = -\frac1n \sum_{i=1}^n \log p_\theta(y_i \mid x_i)$$

    Args:
        initializations: Whole-model initializers by name, such as `INITIALIZATIONS`.
        rates: The learning rates $\eta$.
        adam: Whether the steps are those of Adam; otherwise they are plain gradient descent.
        widths: The network's sizes from input to output.
        nonlinearity: The class of the activation module, or an argument of
            [gain][initguide.gain].
        steps: The number of updates.
        batch: The number of inputs in each step.
        seeds: One network per seed. Networks of one seed get the same batches.
        data: The data set; None is [digits][initguide.experiments.digits].

    Returns:
        One row for each run: `initialization`, `rate`, `seed`, `loss` (the mean over the last tenth
        of the steps; inf or nan for a run that diverged) and `accuracy` on the held-out data.

    Examples:
        ```python
        from initguide.experiments import INITIALIZATIONS, sweep

        he = {"He": INITIALIZATIONS["He"]}
        rows = sweep(he, [0.01, 0.1], steps=200, seeds=[0])
        print([f"rate {row['rate']}: {row['accuracy'] > 0.7}" for row in rows])
        #> ['rate 0.01: True', 'rate 0.1: True']
        ```
    """
    data = digits() if data is None else data
    runs = grid(initialization=initializations, rate=rates, seed=seeds)
    models = [
        seeded_mlp(
            initializations[run["initialization"]], widths, nonlinearity, seed=run["seed"]
        ).to(data.x_train.dtype)
        for run in runs
    ]
    losses = descend(
        models,
        shared_batches(data, batch, seeds, len(runs), steps),
        F.cross_entropy,
        lr=[run["rate"] for run in runs],
        betas=(0.9, 0.999) if adam else None,
    )
    rows = final_losses(runs, losses, max(steps // 10, 1))
    with torch.no_grad():
        right = [accuracy(model(data.x_test), data.y_test).item() for model in models]
    return [row | {"accuracy": share} for row, share in zip(rows, right, strict=True)]
