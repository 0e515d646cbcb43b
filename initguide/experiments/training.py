"""Train many small networks on the digits: plain gradient descent, learning curves as rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.data import Data, digits
from initguide.experiments.loop import accuracy, batches, check_training
from initguide.experiments.models import Activation, Initializer, mlp
from initguide.experiments.together import fit_all

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
        last = {row["initialization"]: row["accuracy"] for row in rows if row["step"] == 200}
        print(f"He {last['He']:.1f}, std 0.01 {last['std 0.01']:.1f}")
        #> He 1.0, std 0.01 0.1
        ```
    """
    data = digits() if data is None else data
    check_training(lr, steps, batch, every, data)
    if widths[0] != data.x_train.shape[1] or widths[-1] <= int(data.y_train.max()):
        raise ValueError(
            f"widths must begin with the {data.x_train.shape[1]} features and end with the "
            f"{int(data.y_train.max()) + 1} classes of the data; got {tuple(widths)}"
        )
    runs, models = [], []
    for name, initialize_ in initializations.items():
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            model = mlp(widths, nonlinearity, layer_norm=layer_norm, generator=generator)
            initialize_(model, generator)
            runs.append({"initialization": name, "layer_norm": layer_norm, "lr": lr, "seed": seed})
            models.append(model.to(data.x_train.dtype))
    orders = [run["seed"] for run in runs]
    curves = fit_all(models, data, lr=lr, steps=steps, batch=batch, seeds=orders, every=every)
    return [run | row for run, rows in zip(runs, curves, strict=True) for row in rows]


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

    The same plain stochastic gradient descent as [train][initguide.experiments.train], one step
    after the other.

    Args:
        model: Any module from inputs to class scores, shape `(batch, classes)`. Accuracy is
            measured in its evaluation mode.
        data: What to learn; None is [digits][initguide.experiments.digits].
        lr: The learning rate.
        steps: The number of updates.
        batch: The number of inputs in each step.
        seed: The order of the data.
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
    check_training(lr, steps, batch, every, data)
    order = batches(len(data.x_train), batch, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    training = model.training

    def update() -> Tensor:
        index = next(order)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(data.x_train[index]), data.y_train[index])
        loss.backward()
        optimizer.step()
        return loss.detach()

    def held_out() -> Tensor:
        model.eval()
        with torch.no_grad():
            scores = model(data.x_test)
        model.train(training)
        return accuracy(scores, data.y_test)

    with torch.enable_grad():
        points = _curve(update, held_out, steps, every)
    return [
        {"step": step, "loss": loss.item(), "accuracy": right.item()}
        for step, loss, right in points
    ]


def _curve(
    update: Callable[[], Tensor], accuracy: Callable[[], Tensor], steps: int, every: int
) -> list[tuple[int, Tensor, Tensor]]:
    """Return step, mean loss since the point before, and accuracy: at 0, `every`, … and the end."""
    at_start = accuracy()
    points: list[tuple[int, Tensor, Tensor]] = []
    losses: list[Tensor] = []
    for step in range(1, steps + 1):
        losses.append(update())
        if step == 1:
            points.append((0, losses[0], at_start))
        if step % every == 0 or step == steps:
            points.append((step, torch.stack(losses).mean(0), accuracy()))
            losses = []
    return points
