"""Train small networks by plain gradient descent; the learning curves come back as rows."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide._checks import check_number
from initguide.experiments.data import Data, digits, epoch_batches, epochs
from initguide.experiments.descent import descend, gradient_step
from initguide.experiments.models import Activation, Initializer, seeded_mlp
from initguide.experiments.rows import Rows, grid, join, loss_curves


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

    The loss is the cross-entropy, and the method is plain stochastic gradient descent. For the same
    seed all initializations get the same batches. A run that diverges goes on, and its rows
    contain inf or nan.

    Args:
        initializations: Whole-model initializers by name, such as `INITIALIZATIONS`.
        widths: The network's sizes from input to output, as in [mlp][initguide.experiments.mlp].
        nonlinearity: The class of the activation module, or an argument of
            [gain][initguide.gain].
        layer_norm: Whether a LayerNorm follows each hidden Linear.
        lr: The learning rate.
        steps: The number of updates.
        batch: The number of inputs in each step.
        seeds: One network per seed. The seed decides the weights and the order of the data.
        data: The data set; None is [digits][initguide.experiments.digits].
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
        last = {row["initialization"]: row["accuracy"] for row in rows if row["step"] == 200}
        print(f"He {last['He']:.1f}, std 0.01 {last['std 0.01']:.1f}")
        #> He 1.0, std 0.01 0.1
        ```
    """
    data = digits() if data is None else data
    _check_settings(lr, steps, batch, every, data)
    if widths[0] != data.x_train.shape[1] or widths[-1] <= int(data.y_train.max()):
        raise ValueError(
            f"widths must begin with the {data.x_train.shape[1]} features and end with the "
            f"{int(data.y_train.max()) + 1} classes of the data; got {tuple(widths)}"
        )
    runs = grid(initialization=initializations, layer_norm=[layer_norm], lr=[lr], seed=seeds)
    models = [
        seeded_mlp(
            initializations[run["initialization"]],
            widths,
            nonlinearity,
            layer_norm=layer_norm,
            seed=run["seed"],
        ).to(data.x_train.dtype)
        for run in runs
    ]
    orders = [run["seed"] for run in runs]
    return join(
        runs, fit_all(models, data, lr=lr, steps=steps, batch=batch, seeds=orders, every=every)
    )


def fit(
    model: nn.Module,
    data: Data | None = None,
    *,
    lr: float = 0.1,
    steps: int = 300,
    batch: int = 50,
    seed: int = 0,
    every: int = 10,
) -> Rows:
    r"""Train one model of any kind, in place, and return its learning curve.

    $$\theta \leftarrow \theta - \eta\, \nabla_\theta\, \ell(\theta), \qquad
    \ell = -\frac1n \sum_{i=1}^n \log p_\theta(y_i \mid x_i)$$

    The method is the same plain stochastic gradient descent as in
    [train][initguide.experiments.train].

    Args:
        model: Any module from inputs to class scores, shape `(batch, classes)`. Accuracy is
            measured in its evaluation mode.
        data: The data set; None is [digits][initguide.experiments.digits].
        lr: The learning rate.
        steps: The number of updates.
        batch: The number of inputs in each step.
        seed: Decides the order of the data.
        every: The number of steps from row to row.

    Returns:
        Rows at step 0, `every`, 2 `every`, … and at the end: `step`, `loss` (the mean over the
        training batches since the row before) and `accuracy` on the held-out data.

    Raises:
        ValueError: `lr`, `steps`, `batch` or `every` is not positive, or the batch is larger than
            the data.

    Examples:
        ```python
        import torch

        from initguide.experiments import INITIALIZATIONS, fit, mlp

        model = mlp([64, 100, 10])
        INITIALIZATIONS["He"](model, torch.Generator().manual_seed(0))
        rows = fit(model, lr=0.1, steps=200)
        print(rows[0]["accuracy"] < 0.3, rows[-1]["accuracy"] > 0.9)
        #> True True
        ```
    """
    data = digits() if data is None else data
    _check_settings(lr, steps, batch, every, data)
    order = epoch_batches(len(data.x_train), batch, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    training = model.training

    def update() -> Tensor:
        index = next(order)
        return gradient_step(
            optimizer, lambda: F.cross_entropy(model(data.x_train[index]), data.y_train[index])
        )

    def held_out() -> Tensor:
        model.eval()
        right = _held_out(model, data)
        model.train(training)
        return right

    points = _points(
        lambda count: torch.stack([update() for _ in range(count)]), held_out, steps, every
    )
    return [
        {"step": step, "loss": loss.item(), "accuracy": right.item()}
        for step, loss, right in points
    ]


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

    Each curve is the one that [fit][initguide.experiments.fit] gives, up to rounding. All models
    are trained in the same steps, so many small models take little more time than one.

    Args:
        models: Modules of one architecture, without buffers, from inputs to scores; not changed.
        data: The data set; None is [digits][initguide.experiments.digits].
        lr: The learning rate.
        steps: The number of updates.
        batch: The number of inputs in each step.
        seeds: One seed per model, which decides the order of the data.
        every: The number of steps from row to row.

    Returns:
        The rows of [fit][initguide.experiments.fit], one list per model.

    Raises:
        ValueError: `lr`, `steps`, `batch` or `every` is not positive, the batch is larger than the
            data, or there are not as many seeds as models.

    Examples:
        ```python
        import torch

        from initguide.experiments import fit_all, mlp

        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        models = [mlp([64, 30, 10], generator=generator) for generator in generators]
        curves = fit_all(models, steps=200, seeds=[0, 1])
        print([rows[-1]["accuracy"] > 0.9 for rows in curves])
        #> [True, True]
        ```
    """
    trained = copy.deepcopy(list(models))
    return fit_all_(trained, data, lr=lr, steps=steps, batch=batch, seeds=seeds, every=every)


def fit_all_(
    models: Sequence[nn.Module],
    data: Data | None = None,
    *,
    lr: float,
    steps: int,
    batch: int = 50,
    seeds: Sequence[int],
    every: int = 10,
) -> list[Rows]:
    """Train the models themselves; the rest is as in [fit_all][initguide.experiments.fit_all]."""
    data = digits() if data is None else data
    _check_settings(lr, steps, batch, every, data)
    if len(seeds) != len(models):
        raise ValueError(f"seeds must be one for each of {len(models)} models; got {len(seeds)}")
    if not models:
        return []
    batches = epochs(data, batch, seeds)
    points = _points(
        lambda count: descend(
            models, islice(batches, count), F.cross_entropy, lr=[lr] * len(models)
        ),
        lambda: torch.stack([_held_out(model, data) for model in models]),
        steps,
        every,
    )
    return [
        [
            {"step": step, "loss": losses[i].item(), "accuracy": right[i].item()}
            for step, losses, right in points
        ]
        for i in range(len(models))
    ]


def fit_losses_(
    models: Sequence[nn.Module],
    data: Data,
    *,
    lr: float,
    steps: int,
    batch: int = 50,
    seeds: Sequence[int],
    every: int = 10,
) -> list[Rows]:
    """Train the models themselves as `fit_all`, but measure the accuracy only at the end."""
    batches = islice(epochs(data, batch, seeds), steps)
    losses = descend(models, batches, F.cross_entropy, lr=[lr] * len(models))
    curves = [loss_curves([{}], each[:, None], every) for each in losses.T]
    for curve, model, first in zip(curves, models, losses[0].tolist(), strict=True):
        curve.insert(0, {"step": 0, "loss": first})
        curve[-1]["accuracy"] = _held_out(model, data).item()
    return curves


def _points(
    advance: Callable[[int], Tensor], held_out: Callable[[], Tensor], steps: int, every: int
) -> list[tuple[int, Tensor, Tensor]]:
    """Return step, mean loss since the point before, and accuracy: at 0, `every`, … and the end.

    `advance` takes a number of steps and returns the loss of each step in the first dimension.
    """
    at_start, points = held_out(), list[tuple[int, Tensor, Tensor]]()
    for step in range(0, steps, every):
        losses = advance(min(every, steps - step))
        if step == 0:
            points.append((0, losses[0], at_start))
        points.append((step + len(losses), losses.mean(0), held_out()))
    return points


@torch.no_grad()
def _held_out(model: nn.Module, data: Data) -> Tensor:
    return accuracy(model(data.x_test), data.y_test)


def accuracy(scores: Tensor, y: Tensor) -> Tensor:
    """Return the share of inputs whose largest score is that of their class.

    The scores have the shape `(..., inputs, classes)`.
    """
    right = (scores.argmax(-1) == y).double().mean(-1)
    # A network whose scores are nan predicts no class.
    return right.masked_fill(scores.isnan().any(-1).any(-1), math.nan)


def _check_settings(lr: float, steps: int, batch: int, every: int, data: Data) -> None:
    check_number("lr", lr)
    if lr <= 0:
        raise ValueError(f"lr must be positive; got {lr}")
    if min(steps, batch, every) < 1:
        raise ValueError(
            f"steps, batch and every must be positive; got {steps}, {batch} and {every}"
        )
    if batch > len(data.x_train):
        raise ValueError(f"batch must be at most the {len(data.x_train)} inputs; got {batch}")
