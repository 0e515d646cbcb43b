"""Functions of one signal that a forward writes out, such as `x * (x > 0)`, and gated ones.

The operations that depend on one signal alone, entry by entry, are run on numbers. So it does not
matter how a forward writes its activation. A gated function is one of two halves of the signal.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_arg

from initguide._copies import private_copy
from initguide._sharding import is_sharded
from initguide.activations import FUNCTIONS, Nonlinearity, key_of
from initguide.graph.classify import activation_of_call, is_elementwise
from initguide.graph.constants import constant_of
from initguide.graph.graph_function import (
    GraphFunction,
    Slot,
    recognize,
    recognize_gated,
)
from initguide.graph.model_graph import ModelGraph
from initguide.graph.operations import (
    CASTS,
    CONDITIONS,
    FACTORS,
    REDUCTIONS,
    SUMS,
    WITHOUT_SIGNAL,
    operation_name,
)

_ARITHMETIC = {*FACTORS, *SUMS, *CASTS, "neg", "zeros_like", "ones_like", "full_like"}
_CURVES = {"sin", "cos", "tan", "atan", "arctan", "asinh", "arcsinh", "sinh", "cosh", "sinc"}
_CURVES |= {"erf", "erfc", "expit", "exp", "exp2", "expm1", "log", "log2", "log1p", "logaddexp"}
_CURVES |= {"sqrt", "rsqrt", "square", "pow", "ipow", "reciprocal", "abs", "absolute", "sign"}
_CURVES |= {"sgn", "positive", "clamp", "clamp_min", "clamp_max", "clip", "maximum", "minimum"}
_CURVES |= {"max", "min", "where", "heaviside", "threshold", "masked_fill", "lerp", "addcmul"}
_SQUARES = {"pow", "square", "abs", "mul"}
# Reads and writes at the entries that a mask picks.
_BY_MASK = {"getitem", "setitem"}
_ELEMENTWISE = {*_ARITHMETIC, *CONDITIONS, *_CURVES, *FUNCTIONS, *_BY_MASK, "invert"}


@dataclass(frozen=True)
class Follower:
    """What follows a signal: the node with its value, its label, and the function.

    Attributes:
        node: The node after which the graph goes on.
        kind: "activation", "pass" for a function that is nearly linear, "size" for squares that
            are then summed, or "unknown".
        label: Its name in reports.
        value: The function.
        nodes: The nodes that compute it.
    """

    node: fx.Node
    kind: str
    label: str
    value: Nonlinearity
    nodes: tuple[fx.Node, ...]


def followers(signal: fx.Node, view: ModelGraph) -> list[Follower]:
    """Return the functions of one signal that start at a node."""
    found, halves = [], _halves(signal)
    for roots in filter(None, ([signal], halves)):
        members = _grown(roots, view)
        for end in members:
            outside = [user for user in end.users if user not in members]
            if end in roots or not outside or operation_name(end) in WITHOUT_SIGNAL:
                continue
            nodes = _needed(end, members, roots)
            read = {each for node in nodes for each in node.all_input_nodes}
            if not read.issuperset(roots):
                continue
            if _is_size(nodes, outside):
                found.append(Follower(end, "size", "", "linear", nodes))
            else:
                found.append(_follower(end, nodes, roots, view))
    return [each for each in found if each is not None]


def _is_size(nodes: tuple[fx.Node, ...], users: list[fx.Node]) -> bool:
    """Return whether the values are squares that are then summed, as in a norm."""
    are_squares = all(operation_name(node) in {*_SQUARES, *CASTS} for node in nodes)
    return are_squares and all(operation_name(user) in REDUCTIONS for user in users)


def _halves(signal: fx.Node) -> list[fx.Node]:
    """Return the two nodes that read the halves of a signal, or nothing."""
    for node in (*signal.users, signal):
        splits = node is not signal and operation_name(node) in ("chunk", "split", "tensor_split")
        if splits or node is signal:
            parts = [user for user in node.users if operation_name(user) == "getitem"]
            if node is signal:
                parts = [part for part in parts if "slice" in str(part.args[1])]
            if len(parts) == 2 and parts[0].args[1] != parts[1].args[1]:
                return parts
    return []


def _grown(roots: list[fx.Node], view: ModelGraph) -> dict[fx.Node, None]:
    """Return the nodes that depend, entry by entry, on these signals alone, in order."""
    members = set(roots)
    queue = [user for root in roots for user in root.users]
    while queue:
        node = queue.pop()
        if node not in members and _joins(node, members, view):
            members.add(node)
            queue += node.users
    return dict.fromkeys(sorted(members, key=view.order.__getitem__))


def _joins(node: fx.Node, members: set[fx.Node], view: ModelGraph) -> bool:
    module = node.meta.get("module")
    if module is not None:
        return is_elementwise(module) and all(each in members for each in node.all_input_nodes)
    if node.op not in ("call_function", "call_method") or node in view.layers:
        return False
    name = operation_name(node)
    if name not in _ELEMENTWISE:
        return False
    if name in _BY_MASK and not (isinstance(node.args[1], fx.Node) and node.args[1] in members):
        return False
    return all(
        each in members or _constant(each, view) is not None for each in node.all_input_nodes
    )


def _constant(node: fx.Node, view: ModelGraph) -> float | None:
    """Return the value that a parameter or a constant will have, if it is one number."""
    if node.op != "get_attr":
        return None
    parameter = view.parameters.get(str(node.target))
    if parameter is None:
        return constant_of(node)
    # Of a sharded number, only one process holds the value.
    if parameter.numel() == 1 and not (parameter.is_meta or is_sharded(parameter)):
        return float(parameter.detach())
    role = view.roles[str(node.target)]
    return {"scale": 1.0, "shift": 0.0}.get(role.kind)


def _needed(
    exit_: fx.Node, members: dict[fx.Node, None], roots: list[fx.Node]
) -> tuple[fx.Node, ...]:
    """Return the nodes that a value is computed from, in order."""
    needed, queue = set(), [exit_]
    while queue:
        node = queue.pop()
        if node in members and node not in needed and node not in roots:
            needed.add(node)
            queue += node.all_input_nodes
    return tuple(node for node in members if node in needed)


def _follower(
    exit_: fx.Node, nodes: tuple[fx.Node, ...], roots: list[fx.Node], view: ModelGraph
) -> Follower | None:
    function = _compiled(nodes, roots, view)
    found = _KNOWN.get(function.graph_key) if function.graph_key else None
    if found is None:
        found = recognize_gated(function) if len(roots) == 2 else recognize(function)
        if function.graph_key:
            _KNOWN[function.graph_key] = found
    kind, name, value = found
    if kind == "none":
        return None
    if len(roots) == 2:
        # The search must not follow each half again.
        label, splits = _label(nodes), [root.all_input_nodes[0] for root in roots]
        label = "glu" if label == "sigmoid" else label
        return Follower(exit_, kind, label, value, (*splits, *roots, *nodes))
    if len(nodes) == 1 and kind == "activation" and len(roots) == 1:
        return Follower(exit_, kind, *_single(nodes[0], name, value), nodes)
    return Follower(exit_, kind, name or _label(nodes), value, nodes)


_KNOWN: dict[str, tuple[str, str, Any]] = {}


def _single(node: fx.Node, name: str, value: Nonlinearity) -> tuple[str, Nonlinearity]:
    """Return the label and the function of one operation, under the name that it has."""
    module = node.meta.get("module")
    if isinstance(module, nn.PReLU):
        return "prelu", "prelu"
    if module is not None:
        return type(module).__name__.lower(), module
    own = operation_name(node)
    if own in FUNCTIONS:
        return own, activation_of_call(own, node)
    return name or own, value


def _label(nodes: tuple[fx.Node, ...]) -> str:
    """Return a name for a function: those of its curved operations, or of all if need be."""
    names = [
        type(node.meta["module"]).__name__.lower()
        if "module" in node.meta
        else operation_name(node)
        for node in nodes
    ]
    curved = [name for name in names if name not in {*_ARITHMETIC, *CONDITIONS}]
    label = "_".join(dict.fromkeys(curved or names))
    # Only a function of torch with factors before and after it may have its name.
    is_scaled = all(
        name in {*FACTORS, *CASTS, *curved} and len(node.all_input_nodes) == 1
        for name, node in zip(names, nodes, strict=True)
    )
    return label if is_scaled or label not in FUNCTIONS else "_".join(dict.fromkeys(names))


def _compiled(nodes: tuple[fx.Node, ...], roots: list[fx.Node], view: ModelGraph) -> GraphFunction:
    """Return the function that some nodes compute from the signals."""
    slots = {root: Slot(i) for i, root in enumerate(roots)}
    steps, keys = [], []

    def value(node: fx.Node) -> Any:
        number = None if node in slots else _constant(node, view)
        # Some operations take tensors only.
        return slots.get(node) if number is None else torch.tensor(number, device="cpu")

    for node in nodes:
        name, module = operation_name(node), node.meta.get("module")
        args = map_arg(node.args, value)
        kwargs: Any = map_arg(dict(node.kwargs), value)
        if name in CASTS and module is None:
            # The probe keeps its own type.
            slots[node] = next(slots[each] for each in node.all_input_nodes if each in slots)
            continue
        slots[node] = Slot(len(roots) + len(steps))
        key = key_of(module) if module is not None else f"{node.target}"
        keys.append(key and f"{key}{args}{kwargs}")
        target: Any = node.target
        if isinstance(module, nn.PReLU):
            target = FUNCTIONS["prelu"]
        elif module is not None:
            target = private_copy(module).double().eval()
        steps.append((target, args, kwargs))
    is_keyed = all(keys)
    return GraphFunction(len(roots), tuple(steps), "; ".join(map(str, keys)) if is_keyed else None)
