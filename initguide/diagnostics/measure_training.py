r"""Measure the first steps of a training run, layer by layer, and find the layer that fails.

A step changes a weight by a share of its size. If the share is far too small, the layer keeps its
first values. If it is far too large, one step replaces them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from initguide._checks import check_count, check_memory, check_model
from initguide._state import naming_the_layer
from initguide._torch_internals import run_eagerly, unwrapped
from initguide._tree import tensors
from initguide._undoing import contents_kept, training_undone
from initguide.diagnostics.hooks import Recording, place_in_branches, recording, start_from
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.measure import check_finite, check_scalar, copy_numbers
from initguide.diagnostics.messages import more
from initguide.diagnostics.reached import not_measured
from initguide.diagnostics.report import Report
from initguide.diagnostics.training_checks import findings
from initguide.diagnostics.training_history import (
    History,
    row_of,
    summary,
    trainable_weights,
    update,
)
from initguide.diagnostics.watch import Watch
from initguide.diagnostics.weights import weights_of
from initguide.graph.trace import Trace, trace

TrainingLoss = Callable[..., Tensor]
"""A function from what the model returns, and the target if there is one, to a scalar tensor."""


def measure_training(
    model: nn.Module,
    batches: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    loss: TrainingLoss | None = None,
    *,
    steps: int = 30,
) -> Report:
    r"""Train for some steps, report which layers learn and which fail, and undo the training.

    $$u_l = \frac{\text{rms}(\Delta W_l)}{\text{rms}(W_l)}$$

    where $W_l$ are the weights of layer $l$ before a step, without its biases, and $\Delta W_l$ is
    their change in the step. The signal and the dead units are measured as in
    [measure][initguide.measure]. After the last step the model runs once more on the first batch,
    so its first and last numbers are of the same inputs.

    The limits are rules of thumb. In a run that learns, $u_l$ is around $10^{-3}$ (Karpathy, 2015).
    A layer without a step of $10^{-5}$ is a finding, if it has a gradient at step 0. So is a step
    above 0.3, except in a head; here weights below $1/\sqrt{\text{fan\_in}}$ count as that large,
    because they may start at zero and grow. Further findings are parameters that the optimizer
    lacks, weights without a gradient, units that die, an rms of the signal that changes by more
    than a factor of 10, and a loss that grows threefold or is not finite. The run stops at the
    first number that is not finite.

    Call `model.train()` before, as for any training. To clip gradients, use
    `optimizer.register_step_pre_hook`. A step takes about twice as long as without measuring. The
    memory holds two more copies of the trained weights, and one of the optimizer's state.

    Args:
        model: Any module that holds layers, in the mode in which it is trained.
        batches: A data loader or another iterable. A dict holds the model's keyword arguments. The
            last item of a tuple is the target, and the others are the model's arguments. Any other
            batch is the model's only argument.
        optimizer: The optimizer of the model's parameters, in the state in which it is.
        loss: A function of the model's output, and of the target if the batch is a tuple, that
            returns a scalar: `F.cross_entropy`. None takes the loss that the model returns. Then
            all items of a tuple are the model's arguments.
        steps: The number of training steps, each on a new batch.

    Returns:
        A [Report][initguide.Report]. Its rows have `layer`, `kind`, `step`, `loss`; `rms`, `std`
        and `gradient_rms` of the output; `dead`, the share of units that are never active;
        `weight_rms`, and `update`, which is $u_l$. At the last step there is no update. The
        printed table has for each layer the median and the largest update, and the first and the
        last size of the signal and share of dead units.

    Raises:
        TypeError: An argument has the wrong type, or the loss returns no tensor.
        ValueError: The optimizer holds no parameter of the model, the batches end too early, an
            input is not finite, the loss is not a scalar, or there is none.

    Weights and optimizer are as before, and so is all that [measure][initguide.measure] restores,
    also after an error. An iterator has lost the batches that were taken. An error that the model
    raises itself gets a note that names the layer and the step.

    Source:
        A. Karpathy (2015), *CS231n: Neural Networks Part 3*, for the ratio of updates to weights.

    Examples:
        ```python
        import torch
        from torch import nn
        from torch.nn import functional as F

        import initguide as init

        model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5))
        init.initialize_(model, seed=0)
        x = torch.randn(100, 20, generator=torch.Generator().manual_seed(0))
        batches = [(x, x[:, :5].argmax(1))] * 10
        for lr in (0.1, 100.0):
            optimizer = torch.optim.SGD(model.parameters(), lr=lr)
            report = init.measure_training(model, batches, optimizer, F.cross_entropy, steps=10)
            print(lr, [each.kind for each in report.findings])
            #> 0.1 []
            #> 100.0 ['updates too large', 'signal drifts', 'training diverges']
        ```
    """
    _check(model, batches, optimizer, loss)
    steps = check_count("steps", steps)
    model, history = unwrapped(model), History(steps)
    with run_eagerly(), training_undone(model, optimizer), torch.inference_mode(False):
        _train(model, batches, optimizer, loss, history)
        found = findings(model, optimizer, history)
    rows = [row for each in history.rows.values() for row in each]
    printed = [summary(each) for each in history.rows.values()]
    done, first, last = len(history.losses) - 1, history.losses[0], history.losses[-1]
    title = f"{done} of {steps} steps of {type(optimizer).__name__}: the loss goes from "
    title += f"{first:.3g} to {last:.3g}" + ("" if history.stopped else " on the first batch")
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    notes = [f"frozen, so not updated: {frozen[0]}{more(frozen)}"] if frozen else []
    notes, partial = [*history.notes, *notes], bool(history.notes)
    return Report("measure_training", rows, found, notes, title, printed, partial)


@torch.enable_grad()
def _train(
    model: nn.Module,
    batches: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    loss: TrainingLoss | None,
    history: History,
) -> None:
    """Train and record each step; stop at numbers that are not finite."""
    found, supply, first = trace(model), iter(batches), None
    for step in range(history.steps + 1):
        # At the end, the first batch shows what all updates did together.
        batch = first if step == history.steps else _next(supply, step, history.steps)
        first = batch if step == 0 else first
        try:
            record, value = _run(model, batch, loss, found)
        except Exception as error:
            error.add_note(f"raised at step {step}")
            raise
        layers = record.layers
        if step == 0:
            history.start, history.notes = layers, not_measured(model, record)
            _read_weights(layers, found)
        for layer in layers:
            if layer.name not in history.weights:
                history.weights[layer.name] = trainable_weights(model, layer)
        history.end = layers
        history.losses.append(value)
        history.note_gradients()
        history.stopped = not (math.isfinite(value) and all(map(_is_finite, layers)))
        is_last = history.stopped or step == history.steps
        updates = {} if is_last else update(optimizer, history.weights)
        for layer in layers:
            row = row_of(step, value, layer, updates.get(layer.name))
            history.rows.setdefault(layer.name, []).append(row)
        if is_last:
            break
        model.zero_grad()
        optimizer.zero_grad()
        torch.clear_autocast_cache()  # It holds the weights as they were before the step.
    _read_weights(history.end, found)


def _run(
    model: nn.Module, batch: Any, loss: TrainingLoss | None, found: Trace
) -> tuple[Recording, float]:
    """Run one batch forward and backward; return what was recorded, and the loss."""
    inputs, named, target = _split(batch, loss)
    check_finite(inputs, named)
    with recording(model, found) as record, contents_kept(inputs, named):
        start_from(record, [inputs, named])
        with Watch(record), naming_the_layer(model):
            output = model(*inputs, **named)
        if not record.layers:
            raise ValueError("the batch must reach a layer; it reaches none")
        place_in_branches(record, tensors(output))
        value = _own_loss(output) if loss is None else loss(output, *target)
        check_scalar(value)
        if not value.requires_grad:
            raise ValueError(
                "loss must depend on a parameter that requires gradients; got one that does not"
            )
        value.backward()
    copy_numbers(record.layers)
    return record, value.item()


def _split(
    batch: Any, loss: TrainingLoss | None
) -> tuple[tuple[Any, ...], dict[str, Any], tuple[Any, ...]]:
    """Return the model's arguments, its keyword arguments, and the target, if there is one."""
    if isinstance(batch, Mapping):
        return (), dict(batch), ()
    if not isinstance(batch, (tuple, list)):
        return (batch,), {}, ()
    if loss is None or len(batch) == 1:
        return tuple(batch), {}, ()
    return tuple(batch[:-1]), {}, (batch[-1],)


def _own_loss(output: Any) -> Any:
    """Return the loss that a model computes itself."""
    own = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if own is not None:
        return own
    scalars = [t for t in tensors(output) if t.numel() == 1 and t.requires_grad]
    if len(scalars) != 1:
        raise ValueError(
            "loss must be given, unless the model returns its own; got "
            f"{len(scalars)} scalars in {type(output).__name__}"
        )
    return scalars[0]


def _next(supply: Iterator[Any], step: int, steps: int) -> Any:
    try:
        return next(supply)
    except StopIteration:
        raise ValueError(f"batches must last for {steps} steps; they end at step {step}") from None


def _is_finite(layer: Layer) -> bool:
    return math.isfinite(layer.output[2]) and math.isfinite(layer.gradient or 0.0)


def _read_weights(layers: list[Layer], found: Trace) -> None:
    for layer in layers:
        layer.weights = weights_of(layer.name, layer.module, found)


def _check(
    model: nn.Module,
    batches: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    loss: TrainingLoss | None,
) -> None:
    check_model(model)
    check_memory(model)
    if not isinstance(batches, Iterable):
        raise TypeError(f"batches must be iterable; got {type(batches).__name__}")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer must be a torch.optim.Optimizer; got {type(optimizer).__name__}"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(parameter) in held for parameter in model.parameters()):
        raise ValueError(f"optimizer must hold parameters of the model; got {len(held)} others")
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function of the model's output; got {loss!r}")
