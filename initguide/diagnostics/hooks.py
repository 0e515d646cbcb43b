"""Watch a model while it runs: what each layer gives, and the gradient that comes back to it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from initguide._tree import tensors
from initguide.diagnostics.statistics import equal_units, moments, norm
from initguide.graph.trace import LAYERS, NORMS, PACKED, LayerInfo, Trace
from initguide.layers.convolution import CONVOLUTIONS

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(eq=False)
class Layer:
    """A layer at its first call; numbers are read from the device at the end.

    Attributes:
        name: As in `named_modules`.
        module: The layer itself.
        place: Where it stands.
        output: Mean, std over the batch and rms of the output.
        input: Those of the input, of the first layer and of one behind a norm.
        stream: Those of the input, of a layer that is a residual branch by itself.
        units: The number of its units.
        batched: Whether there are several inputs, so that there is a std.
        equal: Whether all units give the same output.
        zeros: The share of zeros behind a rectifier.
        dead: How many units it lets through for no input.
        saturated: The share where the slope of a saturating activation is nearly zero.
        gradient: The norm of the gradient with respect to the output.
        entries: The number of entries of the output that the gradient is of.
        normed: Whether a norm follows before the next layer.
        fresh: Whether a norm came between it and the layer before.
        shuffled: Whether its channels become pixels.
        output_of_model: Whether the model returns its output.
        result: A weak reference to the output.
        weights: What its weights are.
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
class Watch:
    """What was seen: the layers in order, and what to differentiate to reach them all."""

    found: Trace
    layers: list[Layer] = field(default_factory=list)
    roots: list[Tensor] = field(default_factory=list)
    # Layers whose activation is still to come.
    open: list[Layer] = field(default_factory=list)
    behind_norm: bool = False
    scratch: Tensor | None = None
    handles: ExitStack = field(default_factory=ExitStack)


@contextmanager
def watching(model: nn.Module, found: Trace) -> Iterator[Watch]:
    """Record the first call of each layer; leave no hook behind, on the tensors neither."""
    watch = Watch(found)
    with watch.handles as handles:
        for name, module in model.named_modules():
            if isinstance(module, (*LAYERS, *PACKED)):
                hook = partial(_layer, watch, name)
                handle = module.register_forward_hook(hook, prepend=True, with_kwargs=True)
                handles.callback(handle.remove)
            elif isinstance(module, NORMS):
                handles.callback(module.register_forward_hook(partial(_norm, watch)).remove)
        yield watch


def _layer(watch: Watch, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
    if any(layer.module is module for layer in watch.layers):
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
        place=_place(watch.found, name, module),
        output=moments(first, batch),
        input=None,
        units=first.shape[axis],
        entries=first.numel(),
        batched=batch is not None,
        equal=None if batch is None or embedding else equal_units(first, batch, axis),
        fresh=watch.behind_norm,
        result=ref(first),
    )
    first_or_fresh, alone = layer.fresh or not watch.layers, _is_a_branch(watch, layer.place)
    if given and not embedding and (first_or_fresh or alone):
        same = batch is not None and given[0].ndim > batch and given[0].shape[batch] > 1
        found = moments(given[0], batch if same else None)
        layer.input = found if first_or_fresh else None
        layer.stream = found if alone else None
    watch.behind_norm = False
    watch.layers.append(layer)
    watch.open.append(layer)
    if torch.is_grad_enabled():
        # A recurrent layer may be used through its last state alone.
        reached = [t for t in made[:2] if t.requires_grad]
        for index, tensor in enumerate(reached):
            hook = tensor.register_hook(partial(_gradient, layer, index, tensor.numel()))
            watch.handles.callback(hook.remove)
        if not any(t.requires_grad for t in given):
            watch.roots += reached


def _place(found: Trace, name: str, module: nn.Module) -> LayerInfo:
    """Return the place of a layer; the output of attention is that of its projection."""
    place = found.layer(name)
    if isinstance(module, nn.MultiheadAttention):
        last = found.layer(f"{name}.out_proj" if name else "out_proj")
        return replace(place, ends=place.ends or last.ends)
    return place


def _is_a_branch(watch: Watch, place: LayerInfo) -> bool:
    return place.ends and all(place.branch != layer.place.branch for layer in watch.layers)


def _gradient(layer: Layer, index: int, entries: int, gradient: Tensor) -> None:
    if layer.gradient is None or index == 0:
        layer.gradient, layer.entries = norm(gradient), entries


def _norm(watch: Watch, *_: Any) -> None:
    watch.behind_norm = True
    if watch.layers and watch.layers[-1] in watch.open:
        watch.layers[-1].normed = True


def axes(module: Any, y: Tensor, output: Any) -> tuple[int | None, int]:
    """Return the axis of the inputs, None where there is but one input, and that of the units."""
    packed = isinstance(output, tuple) and isinstance(output[0], PackedSequence)
    least, batch, axis = 1, 0, y.ndim - 1
    if isinstance(module, CONVOLUTIONS):
        least = module.weight.ndim - 1
        axis = y.ndim - least
    elif isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and not packed:
        least, batch = 2, 0 if module.batch_first else 1
    many = y.ndim > least and y.shape[batch] > 1
    return batch if many else None, axis
