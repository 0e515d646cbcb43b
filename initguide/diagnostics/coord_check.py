r"""Check coordinates: do signals and updates keep their size when the network gets wider or deeper?

A learning rate that was tuned on a small model fits a large one if each signal has the same size at
every width, and a few steps of training change it equally. Otherwise the size is a power of the
width. In theory the exponent is a multiple of one half, and it shows which rule is missing.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from initguide._checks import check_count, check_number
from initguide._state import random_states_kept, seed_global_states
from initguide._tree import tensors
from initguide._undoing import contents_kept, side_effects_undone
from initguide.diagnostics.report import Finding, Report, finding
from initguide.graph.trace import LAYERS

LOGITS = "attention logits"
# Half of the smallest exponent that theory has, 1/2.
LIMIT = 0.25
# Larger values come from a mask.
_MASKED = 1e8
_HINTS = {
    "grows": "with Adam, divide the learning rate of each matrix after the first layer by the "
    "width ratio, and draw the last matrix with a std proportional to 1/width",
    "shrinks": "the learning rate or a multiplier falls too fast with the width, or must grow "
    "with it",
    "signal": "draw each matrix with a std of about 1/sqrt(fan_in)",
}
# The scores of attention are sums over the size of a head. Such a sum grows as the size if queries
# and keys are correlated, and as its square root if they are not, as at the usual start.
_CORRELATED = 0.75

Rows = list[dict[str, Any]]


def coord_check(
    make_model: Callable[..., nn.Module],
    widths: Sequence[int],
    batch: Any,
    loss: Callable[[Any], Tensor],
    *,
    depths: Sequence[int] = (),
    steps: int = 5,
    lr: float = 1e-3,
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Report:
    r"""Train small models of several widths for a few steps, and compare the sizes of signals.

    $$\text{rms}_t(n) \propto n^{a}, \qquad
    \text{rms}\big(z_t(n) - z_0(n)\big) \propto n^{b}$$

    Here $z_t$ is the output of a layer after $t$ steps, on a fixed batch, and $n$ is the width. An
    exponent $a$ at step 0, or $b$ at the last step, that is above 0.25 is a finding. So is a $b$
    below -0.25, unless the signal itself shrinks at the start. Layers whose names differ only by
    numbers are averaged. The cost is `steps + 1` forward passes and `steps` backward passes for
    each width and each depth.

    Args:
        make_model: Returns a model that is already initialized: `make_model(width)`, or
            `make_model(width, depth)` if there are depths.
        widths: At least two widths. The sweep over widths takes the first depth.
        batch: What the model is called with: a tuple of arguments, or one argument.
        loss: A function from the model's output to a scalar.
        depths: Depths to compare at the first width; none, or at least two.
        steps: The number of training steps on the batch.
        lr: The learning rate.
        optimizer: Returns the optimizer for a model and a learning rate; None is Adam with one
            learning rate for all parameters.
        seed: The seed of the global random states before each model is made.
        progress: Whether to show a progress bar, which needs tqdm.

    Returns:
        A [Report][initguide.Report]. Its rows have `layer`, `axis` ("width" or "depth"), `size`,
        `step`, `rms` and `change`, the rms of the difference from step 0.

    Raises:
        ValueError: There are fewer than two widths, a model has no parameters to train, or a loss
            is not finite; the error names the width and the step.

    The random states, the batch, and the globals that the forward reaches are as before.

    Source:
        G. Yang et al. (2021), *Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer*.

    Examples:
        ```python
        import torch
        from torch import nn

        import initguide as init

        x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))

        def make(width):
            return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 1))

        report = init.coord_check(make, [64, 256, 1024], x, lambda y: (y - 1).square().mean())
        print(report.findings[0].kind, "in", report.findings[0].where)
        #> update grows in 2
        ```
    """
    _check_sizes("widths", widths, least=2)
    _check_sizes("depths", depths, least=2 if len(depths) else 0)
    lr = check_number("lr", lr)
    steps = check_count("steps", steps)
    first = tuple(depths[:1])
    sweeps = [("width", width, (width, *first)) for width in widths]
    sweeps += [("depth", depth, (widths[0], depth)) for depth in depths]
    rows: Rows = []
    for axis, size, arguments in _with_bar(sweeps) if progress else sweeps:
        with random_states_kept():
            seed_global_states(seed)
            model = make_model(*arguments)
            where = f"{axis} {size}"
            if not any(p.requires_grad for p in model.parameters()):
                raise ValueError(f"make_model must return a model to train; got none at {where}")
            trained = (optimizer or _adam)(model, lr)
            with side_effects_undone(model, batch):
                for row in _trained(model, trained, batch, loss, steps, where):
                    rows.append({"axis": axis, "size": size, **row})
    axes = dict.fromkeys(axis for axis, _, _ in sweeps)
    exponents = [each for axis in axes for each in _fit(rows, axis)]
    findings = [found for each in exponents for found in _findings(each)]
    note = f"{len(sweeps)} models, {steps} steps each; exponents within ±{LIMIT} count as none"
    return Report("coord_check", rows, findings, [note], printed=exponents)


def _with_bar(sweeps: Sequence[Any]) -> Iterable[Any]:
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"progress needs tqdm: pip install tqdm; got: {error}") from error
    return tqdm(sweeps, unit="model")


def _adam(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=lr)


def _check_sizes(name: str, sizes: Sequence[int], least: int) -> None:
    if len(set(sizes)) < least:
        raise ValueError(f"{name} must hold at least two sizes; got {list(sizes)!r}")
    for size in sizes:
        check_count(f"each of {name}", size)


def _trained(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Any,
    loss: Callable[[Any], Tensor],
    steps: int,
    where: str,
) -> Iterator[dict[str, Any]]:
    """Yield the size and the change of each signal at each step."""
    start: dict[str, list[Tensor]] = {}
    arguments = batch if isinstance(batch, tuple) else (batch,)
    for step in range(steps + 1):
        # A forward may write to the batch, which is restored when the gradients no longer need it.
        with contents_kept(arguments):
            with _recorded(model) as signals:
                output = model(*arguments)
            _take_output(signals, output)
            value = loss(output)
            if not bool(torch.isfinite(value)):
                got = f"{value.item()} at {where}, step {step}"
                raise ValueError(f"the loss must be finite; got {got}")
            if step < steps:
                optimizer.zero_grad()
                value.backward()
        start = start or signals
        for name, values in signals.items():
            changes = [a - b for a, b in zip(values, start[name], strict=True)]
            yield {"layer": name, "step": step, "rms": _rms(values), "change": _rms(changes)}
        if step < steps:
            optimizer.step()


def _take_output(signals: dict[str, list[Tensor]], output: Any) -> None:
    """Replace the output of the last layer by that of the model, which may multiply it."""
    if signals and isinstance(output, Tensor):
        values = signals[[*signals][-1]]
        if len(values) == 1 and values[0].shape == output.shape:
            values[0] = output.detach().clone()


def _rms(signals: Sequence[Tensor]) -> float:
    flat = torch.cat([tensor.flatten() for tensor in signals]).double()
    return float(flat.square().mean().sqrt())


@contextmanager
def _recorded(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Record the outputs of the layers during a forward pass; names lose their numbers."""
    signals: dict[str, list[Tensor]] = {}

    def keep(name: str, output: Any) -> None:
        for tensor in tensors(output):
            if tensor.is_floating_point():
                kept = tensor.detach()
                signals.setdefault(name, []).append(kept.where(kept.abs() < _MASKED, 0).clone())

    def hook(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        keep(name, output)

    handles = []
    for name, module in model.named_modules():
        if isinstance(module, LAYERS):
            group = re.sub(r"(?<=\.)\d+(?=\.)|^\d+(?=\.)", "*", name)
            handles.append(module.register_forward_hook(partial(hook, group)))
    try:
        with _Logits(keep):
            yield signals
    finally:
        for handle in handles:
            handle.remove()


class _Logits(TorchFunctionMode):
    """Record the logits of attention, which are the input of its softmax."""

    def __init__(self, keep: Callable[[str, Any], None]) -> None:
        super().__init__()
        self.keep = keep

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "softmax" and args and args[0].ndim > 2:
            self.keep(LOGITS, args[0])
        elif name == "scaled_dot_product_attention":
            query, key = (*args, *(kwargs[k] for k in ("query", "key") if k in kwargs))[:2]
            factor = kwargs.get("scale") or query.shape[-1] ** -0.5
            repeats = query.shape[-3] // key.shape[-3] if query.ndim > 3 else 1
            if repeats > 1:
                key = key.repeat_interleave(repeats, -3)
            self.keep(LOGITS, query @ key.transpose(-2, -1) * factor)
        return func(*args, **kwargs)


def _fit(rows: Rows, axis: str) -> Rows:
    """Return the exponents of each signal along an axis: at the start, and of the last change."""
    mine = [row for row in rows if row["axis"] == axis]
    last = max(row["step"] for row in mine)
    found = []
    for layer in dict.fromkeys(row["layer"] for row in mine):
        here = [row for row in mine if row["layer"] == layer]
        at_start = {row["size"]: row["rms"] for row in here if row["step"] == 0}
        changed = {row["size"]: row["change"] for row in here if row["step"] == last}
        found.append(
            {"layer": layer, "axis": axis, "signal": _slope(at_start), "update": _slope(changed)}
        )
    return found


def _slope(sizes: dict[int, float]) -> float | None:
    """Return the exponent of a size; None if a signal is zero somewhere."""
    if min(sizes.values()) <= 0 or len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(list(sizes)), np.log(list(sizes.values())), 1)[0])


def _findings(exponents: dict[str, Any]) -> Iterator[Finding]:
    layer, axis = exponents["layer"], exponents["axis"]
    for what, lowest in (("signal", -math.inf), ("update", -LIMIT)):
        slope = exponents[what]
        if slope is None or lowest < slope < LIMIT:
            continue
        if slope < 0 and (exponents["signal"] or 0) < -LIMIT:
            continue
        verb = "grows" if slope > 0 else "shrinks"
        topic = verb if what == "update" else what
        is_score = layer == LOGITS and slope > 0 and axis == "width"
        hint = _hint_for_scores(what, slope) if is_score else _HINTS[topic]
        words = "the signal at the start" if what == "signal" else "the change by training"
        message = f"{words} {verb} as {axis}^{slope:.2f}"
        yield finding(f"{what} {verb}", message, where=layer, hint=hint)


def _hint_for_scores(what: str, slope: float) -> str:
    """Return what to divide the scores of attention by, if they grow with the width."""
    if what == "update":
        return (
            "divide the scores by the size of a head, not by its square root, because training "
            "correlates queries and keys"
        )
    if slope < _CORRELATED:
        return (
            "divide the scores by the square root of the size of a head; muP divides by the size "
            "itself, because training correlates queries and keys"
        )
    return "divide the scores by the size of a head, because queries and keys are correlated"
