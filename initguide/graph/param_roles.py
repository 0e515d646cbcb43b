"""The role of a parameter, read from how the forward uses it: weight, table, scale or shift.

The forward tells the role of a parameter outside torch's own layers. For example, a weight is
multiplied as a matrix, and the axis that is summed over is its input axis. The forward may first
compute with the parameter: it may convert it, scale it by a constant, or add noise to it.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, fx

from initguide.fans import Fans, Layout
from initguide.fans import fans as fans_of_shape
from initguide.graph.constants import constant_factor, has_parameter, reads_shape
from initguide.graph.operations import (
    ADDS,
    FACTORS,
    JOINS,
    MATRIX_PRODUCTS,
    MOVES,
    SPLITS,
    SUMS,
    TRANSPOSES,
    Use,
    averages,
    depends_on,
    operation_name,
)
from initguide.graph.state_space import multiplies_decay, state_space_role
from initguide.graph.weight_fans import (
    call_fans,
    dot_fans,
    einsum_fans,
    is_kernel,
    is_weight_of,
    shape_after,
    tensordot_fans,
)

RoleKind = Literal[
    "weight",
    "table",
    "scale",
    "shift",
    "noise",
    "time step",
    "log time step",
    "decay",
    "kept",
    "unknown",
]

_JOINS = {*JOINS, "stack", "where", "setitem", "masked_fill", "embedding", "lerp"}
# Products of two matrices that are added to the first argument.
_ADDED = {"addmm", "baddbmm"}
# Functions of single numbers that a forward may apply to a parameter before it uses it.
_FUNCTIONS = {"exp", "softplus", "sigmoid", "tanh", "clamp", "square", "abs", "relu", "softmax"}
_FUNCTIONS |= {"pow", "sqrt", "rsqrt", "reciprocal", "log", "expm1", "log1p", "sin", "cos"}
# Functions that make one number of a parameter.
_SUMMARIES = {"sum", "mean", "prod", "dot"}
# Beside the matrix product, a linear layer may add its bias and move values.
LINEAR_LAYER_STEPS = {*MOVES, *TRANSPOSES, *ADDS} - {*SPLITS, "neg"}
# If a parameter is used in several ways, the first of these decides.
_PRIORITY: tuple[RoleKind, ...] = (
    "weight",
    "noise",
    "time step",
    "log time step",
    "decay",
    "table",
    "shift",
    "scale",
    "kept",
)


@dataclass(frozen=True)
class Role:
    """How the forward uses a parameter.

    Attributes:
        kind: A weight that is multiplied as a matrix, a table of vectors that are looked up, added
            or joined to the input, a scale that multiplies entry by entry, a shift that is added, a
            factor of noise, a parameter of a state-space layer, a scale that is kept, or unknown.
        layout: The order of a weight's last two axes.
        operation: The operation that uses the parameter; all of them if the kind is unknown.
        node: The node of that operation in the graph.
        factor: The constant that the forward multiplies the parameter by.
        fans: A weight's fans, if its shape and layout do not tell them.
        nodes: All operations that use the parameter in this role.
        product: The product with another parameter that gives the weight, if there is one.
    """

    kind: RoleKind
    layout: Layout = "out_in"
    operation: str = ""
    node: fx.Node | None = None
    factor: float = 1.0
    fans: Fans | None = None
    nodes: tuple[fx.Node, ...] = ()
    product: fx.Node | None = None


def input_dependent(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes that depend on an input or on a layer; the others depend on parameters."""
    starts = [node for node in graph.nodes if node.op in ("placeholder", "call_module")]
    return depends_on(starts, graph.nodes)


def role_of(node: fx.Node, parameter: Tensor, dynamic: Collection[fx.Node]) -> Role:
    """Return the role of a parameter.

    Args:
        node: The node at which the graph reads the parameter.
        parameter: The parameter, whose shape is needed.
        dynamic: The nodes that depend on an input.
    """
    roles: list[Role] = []
    queue = [Use(user, node, tuple(parameter.shape)) for user in node.users]
    seen: set[tuple[fx.Node, bool]] = set()
    while queue:
        use = queue.pop(0)
        if reads_shape(use.user):
            continue
        passed = _passed_on(use, parameter, dynamic)
        if passed is None:
            roles.append(_final_role(use, parameter, dynamic))
        elif (use.user, passed.noise) not in seen:
            seen.add((use.user, passed.noise))
            queue += [replace(passed, user=each, source=use.user) for each in use.user.users]
    known = [role for kind in _PRIORITY for role in roles if role.kind == kind]
    if len(known) > 1 and known[1].kind == known[0].kind == "weight":
        # The first use decides, as in a decoder that transposes the weight of its encoder.
        order = {each: i for i, each in enumerate(node.graph.nodes)}
        known = [role for role in known if role.kind == "weight"]
        known.sort(key=lambda role: order[role.node] if role.node is not None else 0)
    unknown = [role for role in roles if role.kind == "unknown"]
    if known and (not unknown or known[0].kind == "weight"):
        alike = (role.node for role in known if role.kind == known[0].kind)
        return replace(known[0], nodes=tuple(node for node in alike if node is not None))
    return Role("unknown", operation=", ".join(dict.fromkeys(role.operation for role in unknown)))


def _passed_on(use: Use, parameter: Tensor, dynamic: Collection[fx.Node]) -> Use | None:
    """Return the use with what its node changes, or None if the node is the final use."""
    name, others = operation_name(use.user), _others(use)
    if name in ("clamp", "clip") and _is_matrix(parameter):
        # A forward that bounds its weights.
        return use
    if name in {*MOVES, *TRANSPOSES}:
        use = replace(use, shape=shape_after(use))
    transposes = name in TRANSPOSES or (name == "getattr" and use.user.args[1] in TRANSPOSES)
    if transposes:
        return replace(use, transposed=not use.transposed)
    if name == "broadcast_tensors":
        return use
    if name in MOVES:
        # A lookup picks rows by the input.
        picks = bool(others) and _position(use) == 0
        negated = -use.factor if name == "neg" else use.factor
        return replace(use, picked=use.picked or picks, factor=negated)
    if name in _FUNCTIONS and not others:
        return replace(use, functions=(*use.functions, name), factor=1.0)
    if use.user in dynamic or use.user.op == "output":
        is_modulated = name in FACTORS and _is_matrix(parameter) and is_kernel(use.user)
        return use if is_modulated else None
    if name in SUMS:
        # The other summand is computed from parameters too.
        return replace(use, noise=use.noise or (use.by_values and has_parameter(others)))
    if name in ("matmul", "mm", "bmm", "kron") and has_parameter(others):
        if use.product is not None:
            return use
        turned, is_first = use.transposed, _position(use) == 0
        return replace(use, product=use.user, is_first=is_first, is_turned=turned)
    if name in FACTORS and not multiplies_decay(use):
        factor = constant_factor(use.user, use.source)
        # A constant that differs from entry to entry may be a mask, or noise. A vector scales the
        # other parameter.
        scales = has_parameter(others) and not _is_matrix(parameter)
        if factor is None or scales:
            return replace(use, by_values=True)
        return replace(use, factor=use.factor * factor)
    # The weight of a head whose logits are cosines.
    return use if name == "normalize" else None


def _others(use: Use) -> list[fx.Node]:
    return [each for each in use.user.all_input_nodes if each is not use.source]


def _position(use: Use) -> int | None:
    return next((i for i, each in enumerate(use.user.args) if each is use.source), None)


def _is_matrix(parameter: Tensor) -> bool:
    return sum(size > 1 for size in parameter.shape) > 1


def _final_role(use: Use, parameter: Tensor, dynamic: Collection[fx.Node]) -> Role:
    """Return the role of a parameter in its final use."""
    name = operation_name(use.user)
    if use.user.op == "output":
        # Such as the std of a policy: its module knows the right values.
        return Role("kept", operation=name, node=use.user)
    if name in _SUMMARIES and not _is_matrix(parameter):
        # One number that the parameter gives, as in the loss of a flow.
        return Role("kept", operation=name, node=use.user)
    special = state_space_role(use, parameter, dynamic)
    if special is not None:
        return Role(special, operation=name, node=use.user)
    if use.functions:
        # A scale in logarithms, or a decay of each channel: its module knows the right values.
        is_scale = (name in FACTORS or use.by_values) and not _is_matrix(parameter)
        return Role("kept" if is_scale else "unknown", operation=use.functions[0], node=use.user)
    if use.noise:
        return Role("noise", operation=name, node=use.user)
    kind = _role_in(name, use)
    may_be_dot = kind in ("scale", "weight") and not use.picked
    fans = dot_fans(use.user, parameter) if may_be_dot else None
    if fans is not None:
        return Role("weight", operation=name, node=use.user, factor=use.factor, fans=fans)
    is_vectors = use.picked or (kind == "shift" and _is_matrix(parameter))
    if is_vectors and kind in ("scale", "shift"):
        kind = "table"
    if kind == "weight" and use.by_values and not _is_matrix(parameter):
        # It scales another parameter, as the gain of a convolution that standardizes its weight.
        kind = "scale"
    in_out = _is_in_out(name, use)
    layout: Layout = "in_out" if in_out else "out_in"
    if kind == "weight" and name in ("einsum", "tensordot"):
        fans_of = einsum_fans if name == "einsum" else tensordot_fans
        fans = fans_of(use.user, use.source, parameter, use.transposed)
        kind = "weight" if fans is not None else "unknown"
    elif kind == "weight" and name.startswith("conv"):
        fans = call_fans(use.user, parameter)
    elif kind == "weight" and parameter.ndim > 2 and use.shape and len(use.shape) == 2:
        # The forward makes a matrix of it, as of a kernel with an axis of heads.
        fans = fans_of_shape(use.shape, "in_out" if in_out != use.transposed else "out_in")
    if kind == "weight" and averages(use.user):
        # A mean of vectors with weights from a softmax, which picks one of them in the end.
        fans = Fans(1, parameter.shape[-1])
    if kind == "weight" and use.product is not None:
        # The matrix that reads the input belongs to no activation.
        reads_input = use.is_first == (in_out ^ use.is_turned)
        node, factor = (use.product, 1.0) if reads_input else (use.user, use.factor)
        return Role(kind, layout, name, node, factor, product=use.product)
    return Role(kind, layout, name, use.user, use.factor, fans)


def _is_in_out(name: str, use: Use) -> bool:
    """Return whether a weight is stored as (in, out)."""
    # In `x @ weight` the weight is (in, out), in `weight @ x` it is (out, in).
    # `inner` sums over the last axis of both.
    position = _position(use)
    if name in MATRIX_PRODUCTS:
        is_second = position == 1 and name != "inner"
    else:
        is_second = position == 2 and name in _ADDED
    return is_second != use.transposed


def _role_in(name: str, use: Use) -> RoleKind:
    """Return the role in one operation."""
    user, source, position = use.user, use.source, _position(use)
    if name == "linear" or name.startswith("conv"):
        if is_weight_of(user, source):
            return "weight"
        return "table" if position == 0 else "shift"
    if name in MATRIX_PRODUCTS:
        return "weight"
    if name in _ADDED:
        return "shift" if position == 0 else "weight"
    if name in ("addcmul", "addcdiv"):
        # `addcmul(shift, scale, x)` is `shift + scale * x`.
        return "shift" if position == 0 else "scale"
    if name == "scaled_dot_product_attention":
        mask = position == 3 or user.kwargs.get("attn_mask") is source
        return "shift" if mask else "table"
    # A vector that goes into a layer joins the input.
    module = user.meta.get("module")
    if name in _JOINS or (module is not None and next(module.parameters(), None) is not None):
        return "table"
    if name in SUMS:
        return "shift"
    if name in FACTORS:
        return "table" if _replaces_tokens(use) else "scale"
    return "unknown"


def _replaces_tokens(use: Use) -> bool:
    """Return whether a vector fills masked places, as in `x * (1 - mask) + token * mask`."""
    masks = {_unmoved(each) for each in _others(use) if each.op != "get_attr"}
    for total in use.user.users:
        if operation_name(total) not in ADDS:
            continue
        for rest in total.all_input_nodes:
            keeps = [n for n in map(_unmoved, rest.all_input_nodes) if operation_name(n) in SUMS]
            if operation_name(rest) in FACTORS and rest is not use.user:
                kept_by = {_unmoved(each) for keep in keeps for each in keep.all_input_nodes}
                return bool(masks & kept_by)
    return False


def _unmoved(node: fx.Node) -> fx.Node:
    """Return the node before moves and conversions."""
    while operation_name(node) in MOVES and len(node.all_input_nodes) == 1:
        node = node.all_input_nodes[0]
    return node
