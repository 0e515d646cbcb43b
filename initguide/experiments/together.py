"""Train many small models of any one architecture side by side, by plain gradient descent."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F

from initguide.experiments.data import Data, digits
from initguide.experiments.loop import accuracy, batches, check_training, curve

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
    parameters, _ = stack_module_state(list(models))
    skeleton = copy.deepcopy(models[0]).to("meta")

    def predict(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(skeleton, parameters, (x,))

    def loss_of(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(predict(parameters, x), y)

    slopes_and_losses = vmap(grad_and_value(loss_of))

    def update() -> Tensor:
        index = torch.stack([next(order) for order in orders])
        slopes, losses = slopes_and_losses(parameters, data.x_train[index], data.y_train[index])
        for name, parameter in parameters.items():
            parameter -= lr * slopes[name]
        return losses

    def held_out() -> Tensor:
        return accuracy(vmap(predict, (0, None))(parameters, data.x_test), data.y_test)

    with torch.no_grad():
        points = curve(update, held_out, steps, every)
    return [
        [
            {"step": step, "loss": losses[i].item(), "accuracy": right[i].item()}
            for step, losses, right in points
        ]
        for i in range(len(models))
    ]
