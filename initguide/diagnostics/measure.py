r"""Measure what a model does with a batch before training, and judge it.

A layer multiplies the signal by some factor on its way up, and the gradient by some other on its
way down. What a factor does is decided by depth: 0.8 is nothing in three layers, and
$0.8^{50} = 10^{-5}$ in fifty. So the model runs once, each layer's output is measured as it passes
by, and the verdicts look at products over layers, not at single factors.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from initguide._checks import check_memory, check_model
from initguide._state import naming_the_layer, side_effects_undone
from initguide._tree import argument_tensors, tensors
from initguide.diagnostics.activations import Activations
from initguide.diagnostics.hooks import Layer, Watch, watching
from initguide.diagnostics.report import Report
from initguide.diagnostics.verdicts import judge
from initguide.diagnostics.weights import kind, weights_of
from initguide.graph.trace import LAYERS, PACKED, Trace, trace

Loss = Callable[[Any], Tensor]


@torch.no_grad()
def measure(model: nn.Module, *inputs: Any, loss: Loss | None = None, **named: Any) -> Report:
    r"""Measure signal and gradient in every layer on one batch, and say what is wrong.

    $$\text{rms}_l = \sqrt{\overline{z_l^2}}, \qquad
    \text{std}_l^2 = \overline{\operatorname{Var}_{\text{inputs}} z_l}, \qquad
    g_l = \sqrt{\overline{(\partial \ell / \partial z_l)^2}}$$

    where $z_l$ is the output of layer $l$, before its activation. The std is over the inputs, unit
    by unit, and then averaged: behind random biases the rms looks healthy even where all inputs
    give the same output. A factor is judged by what it does over the depth of the network.

    The model runs once, in the mode that it is in, and backward once if there is a loss. A module
    that is called several times is measured at its first call. The first axis is that of the
    inputs, but where a recurrent layer or attention says otherwise.

    Args:
        model: Any module that holds layers; it is left as it is.
        *inputs: What the model is called with: a batch of data as it is trained on.
        loss: A function of the model's output that returns a scalar; without one, gradients are not
            measured. Let it close over the targets: `lambda y: F.cross_entropy(y, classes)`.
        **named: What the model is called with by name: `measure(model, **batch)`.

    Returns:
        A [Report][initguide.Report]: print it, `plot()` it, or `assert_healthy()` in a test.
        Its rows have `layer`, `kind`, `weight` (the shape), `fan_in`, `weight_rms`, `before` (the
        activation that follows); `mean`, `std` and `rms` of the output; `zeros`, `dead` (units
        that are never active) and `saturated` (the share where the slope is below a twentieth of
        its largest) behind the activation; `gradient_rms` with respect to the output;
        `signal_ratio`, the rms over that of the layer before (behind a norm, and for the first
        layer, over that of its input), and `gradient_ratio`, the gradient's norm over that of the
        layer behind.

    Raises:
        TypeError: `model` is not a module, or `loss` is not a function or does not return a tensor.
        ValueError: An input is not finite (minus infinity in a mask apart), a parameter is lazy or
            meta, the batch reaches no layer, or the loss is no scalar or depends on no parameter.

    Parameters, their gradients, buffers, the random state, mode and hooks are as before, after an
    error too. An error that the model raises itself comes with a note that names the layer.

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
        print([(verdict.kind, verdict.layer) for verdict in report.verdicts])
        #> [('signal vanishes', '0'), ('gradient vanishes', '38')]
        init.initialize_(model, seed=0)
        init.measure(model, x, loss=lambda y: y.square().mean()).assert_healthy()
        ```
    """
    _check(model, inputs, named, loss)
    with side_effects_undone(model), torch.inference_mode(False):
        # Those made in inference mode cannot take part in a backward pass.
        inputs = tuple(map(_usable, inputs))
        named = {name: _usable(value) for name, value in named.items()}
        found = trace(model)
        with watching(model, found) as watch:
            value = _run(model, inputs, named, loss, watch)
        rows = _rows(watch.layers, found)
    return Report(rows, judge(watch.layers, value), _unreached(model, watch.layers))


def _usable(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def _run(
    model: nn.Module, inputs: Any, named: dict[str, Any], loss: Loss | None, watch: Watch
) -> float | None:
    """Run the model, and backward; return the loss."""
    with torch.set_grad_enabled(loss is not None):
        with Activations(watch), naming_the_layer(model):
            output = model(*inputs, **named)
        if not watch.layers:
            held = _unreached(model, []) or "a model without layers"
            raise ValueError(f"the batch must reach a layer; got {held}")
        for layer in watch.layers:
            layer.output_of_model = any(layer.result() is each for each in tensors(output))
        if loss is None:
            return None
        value = loss(output)
        if not isinstance(value, Tensor):
            raise TypeError(f"loss must return a tensor; got {type(value).__name__}")
        if value.numel() != 1:
            raise ValueError(f"loss must return a scalar; got shape {tuple(value.shape)}")
        if value.is_complex():
            raise ValueError(f"loss must return a real number; got {value.dtype}")
        # Gradients of weights are nobody's question: stop at the layers that nothing lies before.
        held = {id(p) for layer in watch.layers for p in layer.module.parameters()}
        others = [p for p in model.parameters() if p.requires_grad and id(p) not in held]
        leaves = [t for t in tensors([inputs, named]) if t.requires_grad]
        sources = [*watch.roots, *others, *leaves]
        if not (value.requires_grad and sources):
            raise ValueError(
                "loss must depend on a parameter that requires gradients; got one that does not"
            )
        torch.autograd.grad(value.reshape(()), sources, allow_unused=True)
        return value.item()


def _rows(layers: list[Layer], found: Trace) -> list[dict[str, Any]]:
    """Return the table; numbers still on a device come over here, where nothing waits for them."""
    for layer in layers:
        for key in ("output", "input", "stream", "equal", "zeros", "dead", "saturated", "gradient"):
            held = getattr(layer, key)
            if isinstance(held, Tensor):
                setattr(layer, key, tuple(held.tolist()) if held.ndim else held.item())
        layer.weights = weights_of(layer.name, layer.module, found)
    ups, downs = [None, *layers], [*layers[1:], None]
    return [_row(*triple) for triple in zip(ups, layers, downs, strict=False)]


def _row(before: Layer | None, layer: Layer, behind: Layer | None) -> dict[str, Any]:
    mean, std, rms = layer.output
    given = layer.input or (before.output if before else None)
    gradient, above = layer.gradient, behind.gradient if behind else None
    return {
        "layer": layer.name or "model",
        "kind": kind(layer.module),
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
        "signal_ratio": rms / given[2] if given and given[2] else None,
        "gradient_ratio": gradient / above if gradient is not None and above else None,
    }


def _check(
    model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], loss: Loss | None
) -> None:
    check_model(model)
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function of the model's output; got {loss!r}")
    check_memory(model)
    for index, tensor in argument_tensors(inputs, named):
        if not tensor.is_floating_point() or tensor.isfinite().all():
            continue
        # An additive mask holds minus infinity, and zeros.
        masked = tensor == -math.inf
        if not ((tensor == 0) | masked).all():
            bad = int((~tensor.isfinite()).sum())
            raise ValueError(f"inputs must be finite; got {bad} NaN or inf in input {index}")


def _unreached(model: nn.Module, layers: list[Layer]) -> list[str]:
    """Return the names of layers that did not run; attention never calls its own projection."""
    met = {id(layer.module) for layer in layers}
    own = {id(m.out_proj) for m in model.modules() if isinstance(m, nn.MultiheadAttention)}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (*LAYERS, *PACKED)) and id(module) not in met | own
    ]
