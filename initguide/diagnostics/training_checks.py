"""Faults that a run of training steps shows: in the updates, the signal, the units and the loss."""

import math
from collections.abc import Iterator

import torch
from torch import nn

from initguide.diagnostics import layer_checks
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.messages import hidden, more, name_of
from initguide.diagnostics.report import Finding, finding
from initguide.diagnostics.training_history import History
from initguide.diagnostics.weights import OwnWeight

# All four limits are rules of thumb.
# Even if all steps have one direction, ten thousand of them change the weights by a tenth.
SMALL = 1e-5
# Three such steps replace the weights. At the best of four learning rates, hidden layers of MLPs
# (2 or 8 layers, width 64 or 256; SGD and Adam) stayed below 0.2.
LARGE = 0.3
# The layers that read the signal were initialized for another size.
DRIFT = 10.0
# In a run that learns, the loss on the same batch falls.
GROWTH = 3.0


def findings(model: nn.Module, optimizer: torch.optim.Optimizer, history: History) -> list[Finding]:
    """Return at most one finding of each kind, causes before their effects."""
    if history.stopped and len(history.losses) == 1:
        return [*layer_checks.non_finite(history.start, history.losses[0])]
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    found = [*_not_held(model, trained), *_no_gradient(history), *_too_large(history)]
    if history.stopped:
        return [*found, *_not_finite(history)]
    dead = [*_dead(history)]
    # Below dead units there is no gradient.
    still = [] if dead else [*_too_small(history, trained)]
    return [*found, *still, *dead, *_drifts(history), *_grows(history)]


def _not_held(model: nn.Module, trained: set[int]) -> Iterator[Finding]:
    """Find parameters that require gradients and that no group of the optimizer holds."""
    names = [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in trained]
    if names:
        where = names[0].rpartition(".")[0] or "model"
        message = f"no group of the optimizer holds {names[0]}{more(names)}, so it is not updated"
        yield finding("not in the optimizer", message, where=where)


def _no_gradient(history: History) -> Iterator[Finding]:
    """Find layers that the batches reach, and whose weights never get a gradient."""
    count = len(history.losses)
    found = [name for name, held in history.weights.items() if held]
    found = [name for name in found if not history.learned.keys() & {*history.weights[name]}]
    if found:
        message = f"the weights get no gradient in any of {count} backward passes{more(found)}"
        # The last one is next to what cuts the gradient off.
        yield finding("no gradient", message, where=found[-1] or "model")


def _too_small(history: History, trained: set[int]) -> Iterator[Finding]:
    """Find layers whose weights get a gradient and hardly move."""
    found = []
    for name, held in history.weights.items():
        updates = [row["update"] for row in history.rows[name] if row["update"] is not None]
        # Weights before a factor that starts at zero get a gradient later, and then speed up.
        moved = [p for p in held if id(p) in trained and history.learned.get(p) == 0]
        if moved and updates and max(updates) < SMALL:
            found.append((name, max(updates), moved[0].dtype))
    if found:
        name, update, dtype = found[0]
        message = "no step changes the weights, although there is a gradient"
        if update:
            message = (
                f"no step changes the weights by more than {update:.1g} of their size, so a change "
                f"of 10 % takes at least {0.1 / update:.0e} steps"
            )
        hint = f"{dtype} rounds small changes away: train float32 weights"
        hint = hint if dtype.itemsize < 4 else ""
        where = name or "model"
        yield finding("updates too small", message + more(found), where=where, hint=hint)


def _too_large(history: History) -> Iterator[Finding]:
    """Find the first step that changes weights by a large share of their size.

    Weights that start small, or at zero, may grow to the size that keeps a signal. A head may be
    replaced: at good rates of SGD, single steps changed heads by 0.9.
    """
    found = []
    for layer in history.start[:-1]:
        if layer.head:
            continue
        usual = _usual_size(layer)
        for row in history.rows[layer.name]:
            if row["update"] is not None:
                change = row["update"] * row["weight_rms"]
                share = change / max(row["weight_rms"], usual)
                if share > LARGE:
                    found.append((row["step"], -share, row, change))
                    break
    if found:
        step, _, row, change = min(found, key=lambda each: each[:2])
        message = (
            f"step {step} changes the weights by {change:.2g} (rms), and they had rms "
            f"{row['weight_rms']:.2g} before{more(found)}"
        )
        yield finding("updates too large", message, where=row["layer"])


def _usual_size(layer: Layer) -> float:
    """Return the rms of weights that pass a signal on at its size."""
    is_matrix = not isinstance(layer.module, OwnWeight) or layer.module.role == "weight"
    if layer.weights.fan_in and is_matrix and not layer.is_table:
        return layer.weights.fan_in**-0.5
    # A factor of one, or vectors that are looked up.
    return 1.0


def _dead(history: History) -> Iterator[Finding]:
    """Find layers whose units are active at the start and dead at the end."""
    before = {layer.name: layer.dead for layer in history.start}
    at_start = {layer.name for layer in layer_checks.dead_layers(history.start)}
    found = [e for e in layer_checks.dead_layers(history.end) if e.name in before.keys() - at_start]
    if found:
        layer = found[0]
        message = (
            f"{layer.dead:.0f} of {layer.units} units are zero for every input at the end, and "
            f"{before[layer.name]:.0f} at step 0{more(found)}"
        )
        yield finding("units die", message, where=name_of(layer))


def _drifts(history: History) -> Iterator[Finding]:
    """Find where the signal gets another size, on the same batch.

    Heads and the last layers of branches may start small and grow.
    """
    after = {layer.name: layer.output[2] for layer in history.end}
    found = []
    for layer in hidden(history.start):
        start, end = layer.output[2], after.get(layer.name, 0.0)
        if start and end and not layer.normed and abs(math.log(end / start)) > math.log(DRIFT):
            found.append((layer, start, end))
    if found:
        layer, start, end = found[0]
        message = f"the rms of its output goes from {start:.2g} to {end:.2g}{more(found)}"
        yield finding("signal drifts", message, where=name_of(layer))


def _grows(history: History) -> Iterator[Finding]:
    start, end = history.losses[0], history.losses[-1]
    if end > GROWTH * start > 0:
        message = (
            f"the loss on the first batch grows from {start:.3g} to {end:.3g} in "
            f"{history.steps} steps"
        )
        yield finding("training diverges", message, where="loss")


def _not_finite(history: History) -> Iterator[Finding]:
    """Find the first number that is not finite."""
    step = len(history.losses) - 1
    for each in layer_checks.non_finite(history.end, history.losses[-1]):
        message = f"at step {step}, {each.message}; the loss before was {history.losses[-2]:.3g}"
        yield finding("training diverges", message, where=each.where)
