r"""Measure one forward and one backward pass of a model before training, and find faults.

A layer multiplies the signal by one factor on the way forward, and the gradient by another on the
way back. The depth decides whether a factor matters: 0.8 changes little in three layers, but
$0.8^{50} = 10^{-5}$. So the model runs once, each layer's output is measured during that run, and
the checks look at products over many layers.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from initguide._checks import check_memory, check_model
from initguide._state import naming_the_layer
from initguide._torch_internals import run_eagerly, unwrapped, without_checkpoints
from initguide._tree import argument_tensors, tensors
from initguide._undoing import ValuesKept, side_effects_undone
from initguide.diagnostics import depth_checks, layer_checks, own_checks
from initguide.diagnostics.hooks import Recording, place_in_branches, recording, start_from
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.messages import hidden, name_of, read_by
from initguide.diagnostics.reached import layers_of, not_measured
from initguide.diagnostics.report import Finding, Report
from initguide.diagnostics.statistics import has_numbers, plain
from initguide.diagnostics.watch import Watch
from initguide.diagnostics.weights import weights_of
from initguide.graph.trace import Trace, trace

Loss = Callable[[Any], Tensor]
"""A function from what the model returns to a scalar tensor, whose gradient is measured."""


@torch.no_grad()
def measure(model: nn.Module, *inputs: Any, loss: Loss | None = None, **named: Any) -> Report:
    r"""Measure signal and gradient in every layer on one batch, and report faults.

    $$\text{rms}_l = \sqrt{\overline{z_l^2}}, \qquad
    \text{std}_l^2 = \overline{\operatorname{Var}_{\text{inputs}} z_l}, \qquad
    g_l = \sqrt{\overline{(\partial \ell / \partial z_l)^2}}$$

    where $z_l$ is the output of layer $l$, before its activation. The std is taken over the batch,
    for each unit, and its square is then averaged over the units. This matters for random biases:
    they keep the rms up even if all inputs give the same output. A factor per layer counts by its
    effect over the depth of the network.

    The model runs once, in the mode that it is in, and backward once if there is a loss. A module
    that is called several times is measured at its first call. The first axis holds the inputs,
    unless a recurrent layer or attention says otherwise.

    Args:
        model: Any module that holds layers; it does not change.
        *inputs: The arguments of the model: a batch of data as it is trained on.
        loss: A function of the model's output that returns a scalar. Without one, gradients are not
            measured. It may use targets: `lambda y: F.cross_entropy(y, classes)`.
        **named: The keyword arguments of the model: `measure(model, **batch)`.

    Returns:
        A [Report][initguide.Report]: print it, `plot()` it, or call `assert_ok()` in a test.
        Its rows have `layer`, `kind`, `weight` (the shape), `fan_in`, `weight_rms`, `before` (the
        activation that follows); `mean`, `std` and `rms` of the output; after the activation
        `zeros`, `dead` (units that are never active) and `saturated` (the share of outputs where
        the slope is below a twentieth of its largest value); `gradient_rms` with respect to the
        output; `signal_ratio`, the rms over the rms of the layer before (for the first layer and
        after a norm, over the rms of its input), and `gradient_ratio`, the gradient's norm over the
        norm in the next layer.

    Raises:
        TypeError: `model` is not a module, or `loss` is not a function or does not return a tensor.
        ValueError: An input is not finite (minus infinity in a mask is allowed), a parameter is
            lazy or meta, the batch reaches no layer, or the loss is not a scalar or depends on no
            parameter.

    All that the forward changes is restored, also after an error: parameters, gradients, buffers,
    attributes and their content, modes, hooks, the inputs, globals and the random states. Not
    restored are the records of hooks and of the loss function, prints and logs, and values that the
    forward took from a generator. NumPy arrays with more than 16 million entries are restored only
    if the model or its inputs hold them. An error of the model itself gets a note that names the
    layer.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*, for signal and gradient by layer.

    Examples:
        ```python
        import torch
        from torch import nn

        import initguide as init

        generator = torch.Generator().manual_seed(0)
        layers = [m for _ in range(20) for m in (nn.Linear(100, 100), nn.ReLU())]
        model = nn.Sequential(*layers, nn.Linear(100, 10))
        init.initialize_(model, "xavier", seed=0)
        x = torch.randn(64, 100, generator=generator)
        report = init.measure(model, x, loss=lambda y: y.square().mean())
        print([(finding.kind, finding.where) for finding in report.findings])
        #> [('signal vanishes', '0'), ('gradient vanishes', '38')]
        init.initialize_(model, seed=0)
        init.measure(model, x, loss=lambda y: y.square().mean()).assert_ok()
        ```
    """
    _check(model, inputs, named, loss)
    model = unwrapped(model)
    with run_eagerly(), without_checkpoints(), torch.inference_mode(False):
        # Tensors made in inference mode cannot take part in a backward pass.
        inputs = tuple(map(_usable, inputs))
        named = {name: _usable(value) for name, value in named.items()}
        found = trace(model)
        with side_effects_undone(model, inputs, named, *modules_in(loss)):
            with recording(model, found) as record, ValuesKept(model.parameters()):
                value = _run(model, inputs, named, loss, record)
            # To read the weight of a layer under spectral norm changes its buffers.
            rows, findings = _rows(record, found), _findings(record, value)
    notes = not_measured(model, record)
    return Report("measure", rows, findings, notes, partial=bool(notes))


def _findings(record: Recording, loss: float | None) -> list[Finding]:
    """Return at most one finding of each kind, causes before their effects.

    A finding names the layer where a fault begins. Its effects are not reported as well: for
    example, after a layer of zeros there is no signal to check.
    """
    layers = record.layers
    if found := [*layer_checks.non_finite(layers, loss)]:
        return found
    found = [
        *layer_checks.inputs(layers[0]),
        *layer_checks.cloned(layers),
        *layer_checks.zero(layers, record.flows),
    ]
    if any(each.kind == "zero layer" for each in found):
        return found
    found += [
        *layer_checks.dead(layers),
        *layer_checks.symmetric(hidden(layers)),
        *layer_checks.saturated(layers),
    ]
    # A layer that passes nothing on explains the findings around it.
    if any(
        layer.dead == layer.units and layer_checks.cut_off(layers[i + 1 :])
        for i, layer in enumerate(layers)
    ):
        return found
    forward, backward = (
        [*depth_checks.signal(layers)],
        [*depth_checks.gradient(layers, record.flows)],
    )
    alone = [*own_checks.factors(record)]
    named = {each.where for each in alone}
    alone += [each for each in own_checks.siblings(layers) if each.where not in named]
    if alone:
        # What other layers show is downstream of it.
        places = {each.where for each in alone}
        forward = [each for each in forward if each.where in places]
        backward = [each for each in backward if each.where in places]
        if forward or backward:
            alone = []
    if not forward:
        forward = [*own_checks.unscaled_branches(layers)]
    if any(each.kind == "residual sums grow" for each in forward):
        backward = [each for each in backward if each.kind != "gradient explodes"]
    found += [*alone, *own_checks.decays(record), *forward]
    # Logits that are large because the inputs or the signal are too large are downstream of that.
    caused = alone or forward or any(each.kind.startswith("inputs") for each in found)
    heads = [] if caused else [*own_checks.outputs(record)]
    return [*found, *depth_checks.ignored(layers), *backward, *heads]


def _usable(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def _run(
    model: nn.Module, inputs: Any, named: dict[str, Any], loss: Loss | None, record: Recording
) -> float | None:
    """Run the model, and backward; return the loss."""
    start_from(record, [inputs, named])
    with torch.set_grad_enabled(loss is not None):
        with Watch(record), naming_the_layer(model):
            output = model(*inputs, **named)
        if not record.layers:
            held = [name for name, _ in layers_of(model)] or "a model without layers"
            if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
                held = "a scripted model: measure it before you script it"
            elif record.in_vmap:
                held = f"{record.in_vmap!r} in torch.func.vmap: measure one of its models by itself"
            raise ValueError(f"the batch must reach a layer; got {held}")
        place_in_branches(record, tensors(output))
        if loss is None:
            return None
        record.of_loss = True
        with Watch(record):
            value = loss(output)
        check_scalar(value)
        # Weight gradients are not needed here: stop at the layers that no other layer precedes.
        held = {each for each in record.seen if isinstance(each, str)}
        held |= {name for name, module in model.named_modules() if module in record.seen}
        others = [
            p
            for name, p in model.named_parameters()
            if p.requires_grad and not held & {name, name.rpartition(".")[0]}
        ]
        leaves = [t for t in tensors([inputs, named]) if t.requires_grad]
        sources = [*record.roots, *others, *leaves]
        if not (value.requires_grad and sources):
            raise ValueError(
                "loss must depend on a parameter that requires gradients; got one that does not"
            )
        torch.autograd.grad(value.reshape(()), sources, allow_unused=True)
        return value.item()


def modules_in(loss: Any) -> list[nn.Module]:
    """Return the loss if it is a module; other functions may keep records for their caller."""
    return [loss] if isinstance(loss, nn.Module) else []


def check_scalar(loss: Any) -> None:
    """Raise an error unless a loss returned one real number."""
    if not isinstance(loss, Tensor):
        raise TypeError(f"loss must return a tensor; got {type(loss).__name__}")
    if loss.numel() != 1:
        raise ValueError(f"loss must return a scalar; got shape {tuple(loss.shape)}")
    if loss.is_complex():
        raise ValueError(f"loss must return a real number; got {loss.dtype}")


def copy_numbers(layers: list[Layer]) -> None:
    """Copy the numbers that are still on a device, when the run is over."""
    for layer in layers:
        for key in ("output", "input", "read", "equal", "zeros", "dead", "saturated", "gradient"):
            held = getattr(layer, key)
            if isinstance(held, Tensor):
                setattr(layer, key, tuple(held.tolist()) if held.ndim else held.item())


def _rows(record: Recording, found: Trace) -> list[dict[str, Any]]:
    layers = record.layers
    copy_numbers(layers)
    for layer in layers:
        layer.weights = weights_of(layer.name, layer.module, found)
    before, after = [None, *layers], [*layers[1:], None]
    return [_row(*three) for three in zip(before, layers, after, strict=False)]


def _row(before: Layer | None, layer: Layer, after: Layer | None) -> dict[str, Any]:
    mean, std, rms = layer.output
    given = read_by(layer) if layer.fresh or before is None else before.output[2]
    gradient, next_gradient = layer.gradient, after.gradient if after else None
    return {
        "layer": name_of(layer),
        "kind": layer.kind,
        "weight": layer.weights.shape,
        "fan_in": layer.weights.fan_in,
        "weight_rms": layer.weights.rms,
        "before": layer.place.label,
        "mean": mean,
        "std": std if layer.batched else None,
        "rms": rms,
        "zeros": layer.zeros,
        "dead": None if layer.dead is None else int(layer.dead),
        "saturated": layer.saturated,
        "gradient_rms": None if gradient is None else gradient / math.sqrt(layer.entries),
        "signal_ratio": rms / given if given else None,
        "gradient_ratio": gradient / next_gradient
        if gradient is not None and next_gradient
        else None,
    }


def _check(
    model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], loss: Loss | None
) -> None:
    check_model(model)
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function of the model's output; got {loss!r}")
    check_memory(model)
    check_finite(inputs, named)


def check_finite(inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Raise ValueError if an argument of the model is not finite, unless it is a mask."""
    for index, tensor in argument_tensors(inputs, named):
        tensor = plain(tensor)
        if not has_numbers(tensor) or tensor.isfinite().all():
            continue
        # An additive mask holds zeros and minus infinity.
        masked = tensor == -math.inf
        if not ((tensor == 0) | masked).all():
            bad = int((~tensor.isfinite()).sum())
            raise ValueError(f"inputs must be finite; got {bad} NaN or inf in input {index}")
