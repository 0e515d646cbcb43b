"""Watch the functions that run between layers: activations, own parameters, the loss.

A `TorchFunctionMode` sees each function of torch that the forward calls, in modules of torch and
in those of other libraries. Calls inside a layer or a norm are left out, because the layer is
measured as a whole.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from initguide._tree import tensors
from initguide.activations import FUNCTIONS
from initguide.diagnostics.flows import Flow
from initguide.diagnostics.hooks import Recording, add_layer, axes, normalize
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.statistics import counts, has_numbers, plain, size
from initguide.diagnostics.weights import OwnWeight, fan_in_of
from initguide.graph.operations import (
    FACTORS,
    MATRIX_PRODUCTS,
    MOVES,
    TRANSPOSES,
    function_name,
)

# The outputs between which the slope is above a twentieth of its largest value. A piecewise linear
# activation has no slope beyond its ends.
_STEEP = {
    "tanh": (-0.9747, 0.9747),
    "sigmoid": (0.01266, 0.98734),
    "softsign": (-0.7764, 0.7764),
    "hardsigmoid": (0.0, 1.0),
}
_RECTIFIERS = ("relu", "relu6")
_RECORDED = {*_STEEP, *_RECTIFIERS, "hardtanh"}
_SUMS = {"add", "iadd", "radd"}
_PRODUCTS = {*MATRIX_PRODUCTS, "linear", "rmatmul", "imatmul", "mv", "addmm", "baddbmm"}
_PRODUCTS |= {"tensordot", "bilinear"}
_LOOKUPS = {"embedding", "embedding_bag", "getitem", "index_select", "gather", "take_along_dim"}
_JOINS = {"cat", "concat", "stack", "where", "setitem", "masked_fill", "index_put"}
# A parameter may also shift the signal, join it, or be the slope of an activation.
_HARMLESS = {"sub", "isub", "rsub", "prelu", "scaled_dot_product_attention", "pad"}
_NORMS = {"layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "normalize"}
_SIZES = {"rsqrt", "sqrt", "std", "norm", "vector_norm"}
_FACTORIES = {f"{name}_like" for name in ("zeros", "ones", "empty", "full", "rand", "randn")}
_FACTORIES |= {f"new_{name}" for name in ("zeros", "ones", "empty", "full", "tensor")}
# LayerScale starts at 0.1 and below.
SMALL = 0.2
# The factor of logits that are cosines ends at 100, as published.
LARGE = 101.0
# Operations that keep the meaning of a step or an exponent. A scan sums the exponents of its steps.
_KEEPING = {*MOVES, *TRANSPOSES, "clamp", "cumsum", "masked_fill", "tril"}


class ClassLoss(NamedTuple):
    """The loss of a classification, and the loss of a uniform guess.

    Attributes:
        sources: The layers that give the logits.
        value: The loss; a tensor, so that the device need not be waited for.
        guess: The loss of a uniform guess.
        rms: The root mean square of the logits; a tensor. Log-probabilities have none.
    """

    sources: int
    value: Tensor
    guess: float
    rms: Tensor | None = None


class Watch(TorchFunctionMode):
    """Record each function that the forward and the loss call."""

    def __init__(self, record: Recording) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if not self.record.inside:
            _record(self.record, function_name(func), args, kwargs, output)
        return output


def _record(record: Recording, name: str, args: Any, kwargs: Any, output: Any) -> None:
    # An item is set in place, and nothing is returned.
    result = args[0] if name == "setitem" else output
    if isinstance(result, torch.Size) or not isinstance(result, (Tensor, tuple, list)):
        return
    made = tensors(result)
    # Of the second tensor in `x.type_as(y)`, no values are read.
    given = tensors([args, kwargs])[: 1 if name.endswith("_as") else None]
    flow = record.flows.join(given)
    if record.of_loss or name in ("cross_entropy", "nll_loss"):
        _loss(record, name, args, kwargs, made, flow)
    if name in _FACTORIES:
        flow = Flow()
    elif made and not record.of_loss:
        divides = name in FACTORS and any(record.flows.of(t).meaning == "size" for t in given)
        if name in _NORMS or divides:
            normalize(record, given, made)
            record.met.update(name for name, _ in _own(record, given))
            return
        if name in _RECORDED and isinstance(output, Tensor) and has_numbers(output):
            _activation(record, name, kwargs, output.detach())
        elif name == "pixel_shuffle" and record.layers:
            record.layers[-1].shuffled = True
        elif name in _SUMS and len(given) == 2:
            record.flows.add_sum(*(record.flows.of(each).sources for each in given))
        elif name in _SUMS and len(given) == 1:
            numbers = [abs(each) for each in args if isinstance(each, (int, float))]
            for layer in record.layers if numbers else ():
                if flow.sources >> layer.bit & 1:
                    layer.added = max(layer.added, *numbers)
        if flow.sources and (held := _own(record, given)):
            flow = _use(record, name, args, held, given, made, flow)
        flow = _meaning(record, name, flow, given, made[0])
    for tensor in made:
        record.flows.known[tensor] = flow


def _own(record: Recording, given: list[Tensor]) -> list[tuple[str, Tensor]]:
    """Return the arguments that are parameters or were computed from parameters alone."""
    return [(name, each) for each in given for name in record.flows.of(each).parameters]


def _use(
    record: Recording,
    name: str,
    args: Any,
    held: list[tuple[str, Tensor]],
    given: list[Tensor],
    made: list[Tensor],
    flow: Flow,
) -> Flow:
    """Measure an operation of the signal with a parameter; return the flow of its output."""
    # Of a weight and its bias, the weight.
    own, tensor = max(held, key=lambda pair: pair[1].ndim)
    role = _role(name, tensor)
    if role is None or not has_numbers(made[0]) or not made[0].ndim:
        record.unmeasured.setdefault(own, name)
        return flow
    record.met.update(each for each, _ in held)
    if role == "scale" and flow.meaning == "step":
        # A step times a decay rate is an exponent, and may be large.
        role = "rate"
    # A norm may have its own factor, near one. A far smaller one scales a branch, and a far larger
    # one sets the scale of the logits.
    factor = float(size(tensor)) if role == "scale" and flow.normed else math.nan
    of_norm = factor == 0 or SMALL <= factor <= LARGE
    if role == "shift" or of_norm:
        return replace(flow, shift=own) if name in _SUMS else flow
    layer = record.seen.get(own)
    if layer is None:
        weight = OwnWeight(own, tensor.detach(), name, role, fan_in_of(name, tensor, args))
        batch, axis = axes(weight, plain(made[0]), None)
        signals = [t for t in given if not record.flows.of(t).parameters]
        place = record.found.layer(own)
        layer = add_layer(record, own, weight, place, signals, flow, made, batch, axis)
        record.seen[own] = layer
    else:
        record.flows.call_again(layer.bit, flow.sources)
    return replace(flow, sources=1 << layer.bit, parameters=(), normed=False)


def _role(name: str, tensor: Tensor) -> str | None:
    """Return whether a parameter is a weight, a table, a scale or a shift; None if not known."""
    if name in _PRODUCTS or name.startswith("conv"):
        return "weight"
    if name in _LOOKUPS:
        return "table"
    if name in FACTORS:
        return "scale"
    if name in _SUMS:
        # A matrix that is added is a table, such as that of the positions; a vector is a bias.
        return "table" if sum(size > 1 for size in tensor.shape) > 1 else "shift"
    return "shift" if name in _HARMLESS or name in _JOINS else None


def _meaning(record: Recording, name: str, flow: Flow, given: list[Tensor], made: Tensor) -> Flow:
    """Follow sizes and the steps of a state-space model, and measure its decays."""
    if not flow.sources:
        return flow
    if name in _SIZES:
        return replace(flow, meaning="size")
    if name == "softplus":
        return replace(flow, meaning="step", step=(flow.sources, made.detach().mean()))
    if name in FACTORS:
        scaled = flow.meaning == "step" and any(record.flows.of(t).parameters for t in given)
        if not scaled:
            return replace(flow, meaning="")
        return replace(flow, meaning="exponent", kept=made.detach().flatten().median().exp())
    if name == "exp" and flow.meaning == "exponent" and flow.step and flow.kept is not None:
        record.decays.append((flow.shift, *flow.step, flow.kept))
    is_sum = name in _SUMS and flow.meaning == "size"
    return flow if name in _KEEPING or is_sum else replace(flow, meaning="")


def _loss(
    record: Recording, name: str, args: Any, kwargs: Any, made: list[Tensor], flow: Flow
) -> None:
    """Record the loss of a classification, and that of a uniform guess."""
    logits = args[0] if args else kwargs.get("input")
    if not made or not isinstance(logits, Tensor) or not logits.ndim or not flow.sources:
        return
    value = made[0].detach()
    if name in ("cross_entropy", "nll_loss"):
        axis = 1 if logits.ndim > 1 else 0
        if kwargs.get("reduction", "mean") == "sum":
            target = args[1] if len(args) > 1 else kwargs["target"]
            counted = target != kwargs.get("ignore_index", -100)
            value = value / (len(logits) if target.is_floating_point() else counted.sum())
    elif name in ("log_softmax", "logsumexp"):
        axis = args[1] if len(args) > 1 else kwargs.get("dim", -1)
        if not isinstance(axis, int):
            return
        # The mean loss of a class drawn at random. The targets are not known here.
        of_class = logits.detach().float().mean() if name == "logsumexp" else 0.0
        value = value.float().mean().abs() if name == "log_softmax" else value.mean() - of_class
    elif name == "binary_cross_entropy_with_logits" and kwargs.get("reduction") != "sum":
        axis = None
    else:
        return
    rms = None if name == "nll_loss" else logits.detach().float().square().mean().sqrt()
    guess = math.log(2 if axis is None else logits.shape[axis])
    record.losses.append(ClassLoss(flow.sources, value.mean(), guess, rms))


def _activation(record: Recording, name: str, kwargs: Any, a: Tensor) -> None:
    layers = [layer for layer in record.waiting if _is_followed_by(layer, name, record)]
    if not layers or a.numel() == 0 or a.is_nested or a.is_complex():
        return
    record.waiting = [layer for layer in record.waiting if layer not in layers]
    low, high = _STEEP.get(name, (0.0, 6.0))
    if name == "hardtanh":
        low, high = kwargs.get("min_val", -1.0), kwargs.get("max_val", 1.0)
    mask = _scratch(record, a)
    if name in _RECTIFIERS or (low == 0 and name == "hardtanh"):
        torch.gt(a, 0, out=mask)
        for layer in layers:
            axis = axes(layer.module, a, None)[1]
            active = counts(mask, axis)
            layer.zeros = 1 - active.sum() / a.numel()
            layer.dead = (active == 0).sum() if len(active) == layer.units else None
        return
    torch.sub(a, (low + high) / 2, out=mask)
    share = mask.abs_().ge_((high - low) / 2).sum() / a.numel()
    for layer in layers:
        layer.saturated = share


def _is_followed_by(layer: Layer, name: str, record: Recording) -> bool:
    """Return whether this call is of the activation that follows the layer."""
    label = layer.place.label.replace("_", "")
    if label == name or (label == "relu6" and name == "hardtanh"):
        return True
    if layer is not record.layers[-1]:
        return False
    # If the trace does not know the activation, it is the next call. An activation that somebody
    # else wrote may call a rectifier.
    unknown = bool(layer.place.note) and label in ("linear", "not known")
    own = layer.place.label not in FUNCTIONS and name in _RECTIFIERS
    return unknown or (own and label not in ("linear", "not known", "output"))


def _scratch(record: Recording, like: Tensor) -> Tensor:
    """Return memory for a mask of zeros and ones; all layers share it."""
    held = record.scratch
    if held is None or held.numel() < like.numel() or held.device != like.device:
        held = record.scratch = torch.empty(like.numel(), device=like.device)
    return held[: like.numel()].view(like.shape)
