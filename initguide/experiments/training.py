"""Train many small networks on the digits: plain gradient descent, learning curves as rows."""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F

from initguide.experiments.data import Data, digits
from initguide.experiments.models import Activation, Initializer, mlp

Rows = list[dict[str, Any]]


def train(
    initializations: Mapping[str, Initializer],
    *,
    widths: Sequence[int] = (64, 100, 100, 100, 10),
    nonlinearity: Activation = nn.ReLU,
    layer_norm: bool = False,
    lr: float = 0.1,
    steps: int = 300,
    batch: int = 50,
    seeds: Iterable[int] = range(3),
    data: Data | None = None,
    every: int = 10,
) -> Rows:
    r"""Train one network for each initialization and seed, all at once, and return the curves.

    $$\theta \leftarrow \theta - \eta\, \nabla_\theta\, \ell(\theta), \qquad
    \ell = -\frac1n \sum_{i=1}^n \log p_\theta(y_i \mid x_i)$$

    Plain stochastic gradient descent on the cross-entropy. For the same seed all initializations
    see the same batches. A run that diverges goes on, and its rows say inf or nan.

    Args:
        initializations: Whole-model initializers by name, such as `INITIALIZATIONS`.
        widths: The network's sizes from input to output, as in [mlp][initguide.experiments.mlp].
        nonlinearity: The class of the activation module, or what [gain][initguide.gain] takes.
        layer_norm: Whether a LayerNorm follows each hidden Linear.
        lr: The learning rate.
        steps: The number of updates.
        batch: The number of inputs in each step.
        seeds: One network for each: it decides the weights and the order of the data.
        data: What to learn; None is [digits][initguide.experiments.digits].
        every: The number of steps from row to row.

    Returns:
        Rows at step 0, `every`, 2 `every`, … and at the end, for each initialization and seed:
        `initialization`, `layer_norm`, `lr`, `seed`, `step`, `loss` (the mean over the training
        batches since the row before; at step 0 the first batch, before any update) and `accuracy`
        on the held-out data (nan where the outputs are).

    Raises:
        ValueError: `lr`, `steps`, `batch` or `every` is not positive, the batch is larger than the
            data, or the widths do not fit the data.

    Examples:
        ```python
        from initguide.experiments import INITIALIZATIONS, train

        rows = train(INITIALIZATIONS, steps=200, seeds=[0])
        for row in rows:
            if row["step"] == 200 and row["initialization"] in ("He", "std 0.01"):
                print(f"{row['initialization']}: {row['accuracy']:.1f}")
        '''
        #> He: 1.0
        std 0.01: 0.1
        '''
        ```
    """
    data = digits() if data is None else data
    _check_training(lr, steps, batch, every, data)
    if widths[0] != data.x_train.shape[1] or widths[-1] <= int(data.y_train.max()):
        raise ValueError(
            f"widths must begin with the {data.x_train.shape[1]} features and end with the "
            f"{int(data.y_train.max()) + 1} classes of the data; got {tuple(widths)}"
        )
    runs, models, orders = [], [], []
    seeds = list(seeds)
    for name, initialize_ in initializations.items():
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            model = mlp(widths, nonlinearity, layer_norm=layer_norm, generator=generator)
            initialize_(model, generator)
            runs.append(
                {"initialization": name, "layer_norm": layer_norm, "lr": lr, "seed": seed}
            )
            models.append(model.to(data.x_train.dtype))
            orders.append(_batches(len(data.x_train), batch, seed))
    if not models:
        return []
    parameters, buffers = stack_module_state(models)
    skeleton = copy.deepcopy(models[0]).to("meta")

    def predict(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(skeleton, (parameters, buffers), (x,))

    def loss_of(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(predict(parameters, x), y)

    def accuracy() -> list[float]:
        return _accuracy(vmap(predict, (0, None))(parameters, data.x_test), data.y_test).tolist()

    step_of = vmap(grad_and_value(loss_of))
    log = _Log(steps, every)
    with torch.no_grad():
        for step in range(steps):
            index = torch.stack([next(order) for order in orders])
            slopes, losses = step_of(parameters, data.x_train[index], data.y_train[index])
            if step == 0:
                log.add(0, losses, accuracy())
            for name, parameter in parameters.items():
                parameter -= lr * slopes[name]
            log.collect(losses)
            if log.due(step + 1):
                log.flush(step + 1, accuracy())
    return [
        run | {"step": step, "loss": loss[i], "accuracy": right[i]}
        for i, run in enumerate(runs)
        for step, loss, right in log.entries
    ]
