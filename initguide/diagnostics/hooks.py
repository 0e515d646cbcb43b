"""Record a model while it runs: each layer's output, its activation, and the gradient."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode

from initguide._tree import tensors
from initguide.activations import FUNCTIONS
from initguide.diagnostics.statistics import counts, equal_units, moments, norm
from initguide.graph.trace import LAYERS, NORMS, PACKED, LayerInfo, Trace
from initguide.layers.convolution import CONVOLUTIONS

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)

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


@dataclass(eq=False)
class Layer:
    """A layer at its first call. Numbers on another device are read when the run is over.

    Attributes:
        name: The name in `named_modules`.
        module: The layer itself.
        place: Its place in the model.
        output: Mean, std over the batch and rms of the output.
        input: The same of the input, for the first layer and for a layer after a norm.
        stream: The same of the input, for a layer that is a whole residual branch.
        units: The number of its units.
        batched: Whether there are several inputs, so that there is a std.
        equal: Whether all units give the same output.
        zeros: The share of zeros after a rectifier.
        dead: The number of units that a rectifier sets to zero for every input.
        saturated: The share of outputs where the slope of the activation is nearly zero.
        gradient: The norm of the gradient with respect to the output.
        entries: The number of entries of that output.
        normed: Whether a norm follows before the next layer.
        fresh: Whether a norm came between it and the layer before.
        shuffled: Whether its channels become pixels.
        output_of_model: Whether the model returns its output.
        result: A weak reference to the output.
        weights: Facts about its weights.
    """

    name: str
    module: Any
    place: LayerInfo
    output: Any
    input: Any
    units: int
    entries: int
    batched: bool
    equal: Any
    zeros: Any = None
    dead: Any = None
    saturated: Any = None
    stream: Any = None
    gradient: Any = None
    normed: bool = False
    fresh: bool = False
    shuffled: bool = False
    output_of_model: bool = False
    result: Any = field(default=None, repr=False)
    weights: Any = None


@dataclass
class Recording:
    """The layers in the order of their first calls, and the state of the recording.

    Attributes:
        found: The places of the layers.
        layers: The layers.
        roots: Tensors whose gradients pass through all layers.
        waiting: Layers whose activation has not been called yet.
        after_norm: Whether the last module called was a norm.
        scratch: Memory for masks.
        handles: The hooks to remove.
    """

    found: Trace
    layers: list[Layer] = field(default_factory=list)
    roots: list[Tensor] = field(default_factory=list)
    waiting: list[Layer] = field(default_factory=list)
    after_norm: bool = False
    scratch: Tensor | None = None
    handles: ExitStack = field(default_factory=ExitStack)


@contextmanager
def recording(model: nn.Module, found: Trace) -> Iterator[Recording]:
    """Record the first call of each layer; remove all hooks afterwards, those of tensors too."""
    record = Recording(found)
    with record.handles as handles:
        for name, module in model.named_modules():
            if isinstance(module, (*LAYERS, *PACKED)):
                hook = partial(_layer, record, name)
                handle = module.register_forward_hook(hook, prepend=True, with_kwargs=True)
                handles.callback(handle.remove)
            elif isinstance(module, NORMS):
                handles.callback(module.register_forward_hook(partial(_norm, record)).remove)
        yield record


def _layer(
    record: Recording, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any
) -> None:
    if any(layer.module is module for layer in record.layers):
        return
    made = [t for t in tensors(output) if t.is_floating_point()]
    if not made:
        return
    first = made[0]
    given = [t for t in tensors([args, kwargs]) if t.is_floating_point()]
    if first.numel() == 0:
        raise ValueError(f"layer {name!r} must have outputs; got shape {tuple(first.shape)}")
    batch, axis = axes(module, first, output)
    embedding = isinstance(module, EMBEDDINGS)
    layer = Layer(
        name=name,
        module=module,
        place=_place(record.found, name, module),
        output=moments(first, batch),
        input=None,
        units=first.shape[axis],
        entries=first.numel(),
        batched=batch is not None,
        equal=None if batch is None or embedding else equal_units(first, batch, axis),
        fresh=record.after_norm,
        result=ref(first),
    )
    first_or_fresh, alone = layer.fresh or not record.layers, _is_a_branch(record, layer.place)
    if given and not embedding and (first_or_fresh or alone):
        same = batch is not None and given[0].ndim > batch and given[0].shape[batch] > 1
        found = moments(given[0], batch if same else None)
        layer.input = found if first_or_fresh else None
        layer.stream = found if alone else None
    record.after_norm = False
    record.layers.append(layer)
    record.waiting.append(layer)
    if torch.is_grad_enabled():
        # A model may use the last state of a recurrent layer alone.
        reached = [t for t in made[:2] if t.requires_grad]
        for index, tensor in enumerate(reached):
            hook = tensor.register_hook(partial(_gradient, layer, index, tensor.numel()))
            record.handles.callback(hook.remove)
        if not any(t.requires_grad for t in given):
            record.roots += reached


def _place(found: Trace, name: str, module: nn.Module) -> LayerInfo:
    """Return the place of a layer; the output of attention is the output of its projection."""
    place = found.layer(name)
    if isinstance(module, nn.MultiheadAttention):
        last = found.layer(f"{name}.out_proj" if name else "out_proj")
        return replace(place, ends=place.ends or last.ends)
    return place


def _is_a_branch(record: Recording, place: LayerInfo) -> bool:
    return place.ends and all(place.branch != layer.place.branch for layer in record.layers)


def _gradient(layer: Layer, index: int, entries: int, gradient: Tensor) -> None:
    if layer.gradient is None or index == 0:
        layer.gradient, layer.entries = norm(gradient), entries


def _norm(record: Recording, *_: Any) -> None:
    record.after_norm = True
    if record.layers and record.layers[-1] in record.waiting:
        record.layers[-1].normed = True


def axes(module: Any, y: Tensor, output: Any) -> tuple[int | None, int]:
    """Return the axis of the inputs, None if there is one input, and the axis of the units."""
    packed = isinstance(output, tuple) and isinstance(output[0], PackedSequence)
    least, batch, axis = 1, 0, y.ndim - 1
    if isinstance(module, CONVOLUTIONS):
        least = module.weight.ndim - 1
        axis = y.ndim - least
    elif isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and not packed:
        least, batch = 2, 0 if module.batch_first else 1
    many = y.ndim > least and y.shape[batch] > 1
    return batch if many else None, axis


class Activations(TorchFunctionMode):
    """Record each activation, whether a module or a function calls it."""

    def __init__(self, record: Recording) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = getattr(func, "__name__", "").strip("_")
        if name in _RECORDED and isinstance(output, Tensor) and output.is_floating_point():
            _activation(self.record, name, kwargs, output.detach())
        elif name == "pixel_shuffle" and self.record.layers:
            self.record.layers[-1].shuffled = True
        return output


def _activation(record: Recording, name: str, kwargs: Any, a: Tensor) -> None:
    layers = [layer for layer in record.waiting if _is_followed_by(layer, name, record)]
    if not layers or a.numel() == 0:
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
    unknown = bool(layer.place.note) and label in ("linear", "unknown")
    own = layer.place.label not in FUNCTIONS and name in _RECTIFIERS
    return unknown or (own and label not in ("linear", "unknown", "output"))


def _scratch(record: Recording, like: Tensor) -> Tensor:
    """Return memory for a mask of zeros and ones; all layers share it."""
    held = record.scratch
    if held is None or held.numel() < like.numel() or held.device != like.device:
        held = record.scratch = torch.empty(like.numel(), device=like.device)
    return held[: like.numel()].view(like.shape)
