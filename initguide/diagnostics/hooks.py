"""Record a model while it runs: each layer's output, its activation, and the gradient."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from initguide._tree import tensors
from initguide.diagnostics.flows import INPUTS, Flow, Flows
from initguide.diagnostics.layer import EMBEDDINGS, Layer
from initguide.diagnostics.statistics import equal_units, has_numbers, moments, norm, plain, size
from initguide.diagnostics.weights import is_zero
from initguide.graph.trace import LAYERS, NORMS, PACKED, LayerInfo, Trace
from initguide.layers.convolution import CONVOLUTIONS


@dataclass
class Recording:
    """The layers in the order of their first calls, and the state of the recording.

    Attributes:
        found: The activations that follow the layers.
        layers: The layers.
        flows: Which layer feeds which.
        seen: The layer of each module and of each parameter that has been used.
        met: The parameters outside layers that took part.
        unmeasured: The operations with a parameter whose effect was not measured.
        losses: The losses of a classification.
        decays: For each state-space layer the bias of its step, the layers that give the step, the
            mean step, and the share of the state that a step keeps.
        roots: Tensors whose gradients pass through all layers.
        waiting: Layers whose activation has not been called yet.
        in_vmap: The first layer whose output cannot be read.
        inside: How many calls of layers and norms are running.
        of_loss: Whether the loss is running.
        scratch: Memory for masks.
        handles: The hooks to remove.
    """

    found: Trace
    layers: list[Layer] = field(default_factory=list)
    flows: Flows = field(default_factory=Flows)
    seen: dict[Any, Layer] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    unmeasured: dict[str, str] = field(default_factory=dict)
    losses: list[Any] = field(default_factory=list)
    decays: list[tuple[str, int, Tensor, Tensor]] = field(default_factory=list)
    roots: list[Tensor] = field(default_factory=list)
    waiting: list[Layer] = field(default_factory=list)
    in_vmap: str = ""
    inside: int = 0
    of_loss: bool = False
    scratch: Tensor | None = None
    handles: ExitStack = field(default_factory=ExitStack)


@contextmanager
def recording(model: nn.Module, found: Trace) -> Iterator[Recording]:
    """Record the first call of each layer; remove all hooks afterwards, those of tensors too."""
    record = Recording(found)
    known = record.flows.known
    for tensor in model.buffers():
        known[tensor] = Flow()
    for name, tensor in model.named_parameters():
        known[tensor] = Flow(parameters=(name,))
    with record.handles as handles:
        for name, module in model.named_modules():
            if isinstance(module, (*LAYERS, *PACKED)):
                hook: Any = partial(_layer, record, name)
            elif isinstance(module, NORMS):
                hook = partial(_norm, record)
            else:
                continue
            enter = module.register_forward_pre_hook(partial(_enter, record))
            call = module.register_forward_hook(hook, prepend=True, with_kwargs=True)
            # A forward may catch an error of a layer and go on.
            leave = module.register_forward_hook(partial(_leave, record), always_call=True)
            for handle in (enter, call, leave):
                handles.callback(handle.remove)
        yield record


def _enter(record: Recording, *_: Any) -> None:
    record.inside += 1


def _leave(record: Recording, *_: Any) -> None:
    record.inside -= 1


def start_from(record: Recording, inputs: Any) -> None:
    """Mark the tensors among the arguments of the model as its inputs."""
    for tensor in tensors(inputs):
        record.flows.known[tensor] = Flow(INPUTS)


def _layer(
    record: Recording, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any
) -> None:
    made = [t for t in tensors(output) if has_numbers(t)]
    if not made:
        record.in_vmap = record.in_vmap or name
        return
    given = tensors([args, kwargs])
    flow = record.flows.join(given)
    # A parameter may be the input of a layer, such as the query of a pooling attention.
    record.met.update(name for each in given for name in record.flows.of(each).parameters)
    layer = record.seen.get(module)
    # A layer stands in the order at its first call, so a norm before a later call counts after it.
    is_fresh = layer is not None and flow.normed
    if layer is None:
        batch, axis = axes(module, plain(made[0]), output)
        place = record.found.layer(name)
        layer = add_layer(record, name, module, place, given, flow, made, batch, axis)
        record.seen[module] = layer
    else:
        record.flows.call_again(layer.bit, flow.sources)
    for tensor in tensors(output):
        record.flows.known[tensor] = Flow(1 << layer.bit, normed=is_fresh)


def add_layer(
    record: Recording,
    name: str,
    module: Any,
    place: LayerInfo,
    given: list[Tensor],
    flow: Flow,
    made: list[Tensor],
    batch: int | None,
    axis: int,
) -> Layer:
    """Measure a layer at its first call, and hook its gradient."""
    first = plain(made[0])
    if first.numel() == 0:
        raise ValueError(f"layer {name!r} must have outputs; got shape {tuple(first.shape)}")
    table = isinstance(module, EMBEDDINGS) or getattr(module, "role", "") == "table"
    layer = Layer(
        name=name,
        module=module,
        bit=record.flows.add_layer(flow.sources),
        place=place,
        output=moments(first, batch),
        input=None,
        read=None,
        units=first.shape[axis],
        entries=first.numel(),
        batched=batch is not None,
        equal=None if batch is None or table else equal_units(first, batch, axis),
        fresh=flow.normed,
    )
    real = [plain(t) for t in given if has_numbers(t)]
    if real and not isinstance(module, EMBEDDINGS):
        x = real[0]
        if layer.fresh or not record.layers or is_zero(module):
            same = batch is not None and x.ndim > batch and x.shape[batch] > 1
            layer.input = moments(x, batch if same else None)
        else:
            layer.read = size(x)
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
    return layer


def _gradient(layer: Layer, index: int, entries: int, gradient: Tensor | None) -> None:
    # An output that the loss does not use may have none.
    if gradient is not None and (layer.gradient is None or index == 0):
        layer.gradient, layer.entries = norm(gradient), entries


def _norm(record: Recording, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
    normalize(record, tensors([args, kwargs]), tensors(output))


def normalize(record: Recording, given: list[Tensor], made: list[Tensor]) -> None:
    """Record the call of a norm."""
    sources = record.flows.join(given).sources
    for layer in record.waiting:
        # The norm reads the output of this layer alone.
        layer.normed |= sources == 1 << layer.bit
    for tensor in made:
        record.flows.known[tensor] = Flow(sources, normed=True)


def axes(module: Any, y: Tensor, output: Any) -> tuple[int | None, int]:
    """Return the axis of the inputs, None if there is one input, and the axis of the units."""
    packed = isinstance(output, tuple) and isinstance(output[0], PackedSequence)
    least, batch, axis = 1, 0, y.ndim - 1
    if isinstance(module, CONVOLUTIONS) or getattr(module, "operation", "").startswith("conv"):
        least = module.weight.ndim - 1
        axis = y.ndim - least
    elif isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and not packed:
        least, batch = 2, 0 if module.batch_first else 1
    many = y.ndim > least and y.shape[batch] > 1
    return batch if many else None, axis


def place_in_branches(record: Recording, outputs: list[Tensor]) -> None:
    """Set the branches and the heads, which are known only when the run is over."""
    flows = record.flows
    returned = flows.join(outputs).sources
    members = Counter(flows.branches.values())
    for layer in record.layers:
        bit = 1 << layer.bit
        layer.branch, layer.ends = flows.branches.get(layer.bit), bool(flows.ends & bit)
        layer.alone = layer.ends and layer.branch is not None and members[layer.branch] == 1
        layer.head = bool(returned & bit) and not flows.followed & bit
        layer.passed_by = flows.is_passed_by(layer.bit)
        layer.without_inputs = not flows.ancestors[layer.bit] & INPUTS
