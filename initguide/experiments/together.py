"""Train many small models of any one architecture side by side, by plain gradient descent."""

import copy
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments.data import Data, digits
from initguide.experiments.descent import descend
from initguide.experiments.loop import accuracy, batches, check_training

Rows = list[dict[str, Any]]


def fit_all(
    models: Sequence[nn.Module],
    data: Data | None = None,
    *,
    lr: float = 0.1,
    steps: int = 300,
    batch: int = 50,
    seeds: Sequence[int],
    every: int = 10,
) -> list[Rows]:
    r"""Train copies of models of one architecture side by side, and return their learning curves.

    $$\theta \leftarrow \theta - \eta\, \nabla_\theta\, \ell(\theta), \qquad
    \ell = -\frac1n \sum_{i=1}^n \log p_\theta(y_i \mid x_i)$$

    Each as [fit][initguide.experiments.fit] would train it, but in one sweep: many small models
    cost little more than one.

    Args:
        models: Modules of one architecture, without buffers, from inputs to class scores. They stay
            as they are.
        data: What to learn; None is [digits][initguide.experiments.digits].
        lr: The learning rate.
        steps: The number of updates.
        batch: The number of inputs in each step.
        seeds: The order of the data, one seed for each model.
        every: The number of steps from row to row.

    Returns:
        The rows of [fit][initguide.experiments.fit], a list for each model.

    Raises:
        ValueError: `lr`, `steps`, `batch` or `every` is not positive, the batch is larger than the
            data, or there are not as many seeds as models.

    Examples:
        ```python
        import torch

        from initguide.experiments import fit_all, mlp

        draws = [torch.Generator().manual_seed(seed) for seed in range(2)]
        models = [mlp([64, 30, 10], generator=generator) for generator in draws]
        curves = fit_all(models, steps=200, seeds=[0, 1])
        print([rows[-1]["accuracy"] > 0.9 for rows in curves])
        #> [True, True]
        ```
    """
    data = digits() if data is None else data
    check_training(lr, steps, batch, every, data)
    if len(seeds) != len(models):
        raise ValueError(f"seeds must be one for each of {len(models)} models; got {len(seeds)}")
    if not models:
        return []
    orders = [batches(len(data.x_train), batch, seed) for seed in seeds]
    indices = (torch.stack(list(each)) for each in zip(*orders, strict=False))
    stream = ((data.x_train[index], data.y_train[index]) for index in indices)
    trained = copy.deepcopy(list(models))
    rates = [lr] * len(trained)

    def held_out() -> list[float]:
        with torch.no_grad():
            return [accuracy(model(data.x_test), data.y_test).item() for model in trained]

    at_start = held_out()
    points = []
    for step in range(0, steps, every):
        losses = descend(
            trained, islice(stream, min(every, steps - step)), F.cross_entropy, lr=rates
        )
        if step == 0:
            points.append((0, losses[0].tolist(), at_start))
        points.append((step + len(losses), losses.mean(0).tolist(), held_out()))
    return [
        [{"step": step, "loss": losses[i], "accuracy": right[i]} for step, losses, right in points]
        for i in range(len(models))
    ]
