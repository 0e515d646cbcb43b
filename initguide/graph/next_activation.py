"""Find the activation that follows a layer in the graph of a forward pass."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from initguide.activations import Nonlinearity, function_of
from initguide.graph.classify import classify
from initguide.graph.layer_info import LayerInfo
from initguide.graph.model_graph import ModelGraph
from initguide.graph.operations import (
    MATRIX_PRODUCTS,
    SPLITS,
    computes_with_weight,
    operation_name,
    value_inputs,
)
from initguide.graph.probe import followers

# Functions that turn a model's last layer into its output, such as a probability.
_OUTPUTS = {"sigmoid", "tanh", "softsign", "hardsigmoid", "logsigmoid", "softplus", "exp"}
# Operations that cut a vector into a matrix.
_CUTS = {"view", "reshape", "unflatten", "view_as", "reshape_as"}
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class _Place:
    """A signal downstream of a layer.

    Attributes:
        node: The node of the signal.
        path: The operations on the way to it.
        summed: Whether the way leads through a residual sum.
    """

    node: fx.Node
    path: tuple[str, ...] = ()
    summed: bool = False


def layer_info(node: fx.Node, view: ModelGraph, *, whole_model: bool) -> LayerInfo:
    """Return the activation that follows a layer in the graph, and a note on unknown operations.

    Args:
        node: The node that computes the layer.
        view: The graph.
        whole_model: Whether the graph is that of the whole model. In the graph of a submodule, the
            operation after its output is unknown.
    """
    activations: dict[str, Nonlinearity] = {}
    between: tuple[str, ...] = ()
    unknown: list[str] = []
    products: list[str] = []
    parts: list[str] = []
    is_weight = False
    for path, kind, label, value in _downstream(node, view):
        if kind == "activation":
            between = between if activations else path
            activations.setdefault(label, value)
        elif kind in ("layer", "attention") and SPLITS & {*path}:
            parts.append(label)
        elif kind == "weight":
            is_weight = True
        elif kind == "unknown":
            unknown.append(label)
        elif kind == "product":
            products.append(label)
        elif kind == "output" and not whole_model:
            unknown.append("the operation after the submodule")
    last = whole_model and node not in view.before_layers
    if is_weight:
        note = "its output is the weight of a product, whose number of terms is not known"
        return LayerInfo(label=NOT_KNOWN, last=last, note=note)
    if activations:
        (label, value), *others = activations.items()
        if last and _is_output(label, value):
            return LayerInfo(label="output", last=last)
        if parts and SPLITS & {*between}:
            # One part goes to an activation and another does not, so that no gain fits both.
            names = ", ".join(dict.fromkeys((*activations, *parts)))
            return LayerInfo(last=last, note=f"its parts are followed by {names}")
        also = [name for name in (*dict(others), *products, *unknown) if " " not in name]
        note = f"also followed by {', '.join(dict.fromkeys(also))}" if also else ""
        return LayerInfo(value, label, last=last, note=note, between=between)
    if unknown:
        note = f"{', '.join(dict.fromkeys(unknown))} is unknown and treated as linear"
        return LayerInfo(label=NOT_KNOWN, last=last, note=note)
    note = "multiplied by another signal and treated as linear" if products else ""
    return LayerInfo(last=last, note=note)


def _is_output(label: str, value: Any) -> bool:
    """Return whether a function after the last layer makes the output: it is bounded, or a link."""
    if label in _OUTPUTS:
        return True
    if label == "relu6":
        return False
    far = torch.tensor([-1e4, 1e4], dtype=torch.float64, device="cpu")
    try:
        return bool((function_of(value)(far).abs() < 100).all())
    except ValueError:
        return False


def _downstream(node: fx.Node, view: ModelGraph) -> Iterator[tuple[tuple[str, ...], str, str, Any]]:
    """Yield path, kind, label and function of the operations that read a layer's output first.

    What passes the signal on is followed. The search ends where a residual branch starts with a
    norm, and at a norm after a residual sum: that signal is the residual stream, which needs no
    gain. From the layer of a skip it ends where any branch starts.
    """
    stream = view.sources if node in view.skips else view.normed_sources
    seen: set[fx.Node] = set()
    queue = [_Place(node)]
    while queue:
        place = queue.pop(0)
        if place.node in stream:
            continue
        found = followers(place.node, view)
        inside = {each for follower in found for each in follower.nodes}
        for follower in found:
            if follower.node in seen:
                continue
            seen.add(follower.node)
            if follower.kind == "pass":
                path = (*place.path, *(_step(each) for each in follower.nodes))
                queue.append(_Place(follower.node, path, place.summed))
            elif follower.kind != "size":
                yield place.path, follower.kind, follower.label, follower.value
        for user in place.node.users:
            if user in seen or user in inside:
                continue
            seen.add(user)
            kind, label, value = classify(user, view)
            kind = _kind_as_argument(user, place, view) or kind
            if kind != "pass":
                yield place.path, kind, label, value
            elif not (place.summed and view.is_norm(user)):
                summed = place.summed or user in view.sums
                queue.append(_Place(user, (*place.path, _step(user)), summed))


def _kind_as_argument(user: fx.Node, place: _Place, view: ModelGraph) -> str:
    """Return "weight" or "pass" if an operation uses a signal as its weight or its bias.

    A hypernetwork computes them. Other uses give an empty text.
    """
    if place.node not in view.dynamic:
        return ""
    if computes_with_weight(user):
        _, weight, bias = (*user.args, None, None, None)[:3]
        if place.node in (weight, user.kwargs.get("weight")):
            return "weight"
        return "pass" if place.node in (bias, user.kwargs.get("bias")) else ""
    # A matrix that was cut from a vector. Attention cuts both of its operands into heads.
    if operation_name(user) not in MATRIX_PRODUCTS or _CUTS.isdisjoint(place.path):
        return ""
    others = [each for each in user.all_input_nodes if each is not place.node]
    return "weight" if len(others) == 1 and _is_uncut_signal(others[0], view) else ""


def _is_uncut_signal(node: fx.Node, view: ModelGraph) -> bool:
    """Return whether a value is that of an input or a layer, through functions and moves alone."""
    while node not in view.layers and node.op != "placeholder":
        kind, before = classify(node, view)[0], value_inputs(node)
        if kind not in ("pass", "activation") or len(before) != 1 or operation_name(node) in _CUTS:
            return False
        node = before[0]
    return True


def _step(node: fx.Node) -> str:
    module = node.meta.get("module")
    return operation_name(node) if module is None else type(module).__name__
