"""The role of a parameter, read from how the forward uses it: weight, table, scale or shift.

The forward tells the role of a parameter outside torch's own layers. For example, a weight is
multiplied as a matrix, and the axis that is summed over is its input axis.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, fx

from initguide.fans import Layout

RoleKind = Literal["weight", "table", "scale", "shift", "unknown"]

# Operations that move or convert values.
_MOVES = {"view", "reshape", "expand", "to", "float", "type", "type_as", "contiguous", "clone"}
_MOVES |= {"unsqueeze", "squeeze", "flatten", "detach", "repeat", "getattr", "getitem", "chunk"}
_MOVES |= {"interpolate", "split", "half", "bfloat16", "expand_as", "neg", "index_select"}
_TRANSPOSES = {"t", "T", "mT", "transpose", "swapaxes", "swapdims"}
_PRODUCTS = {"matmul", "mm", "bmm", "grouped_mm"}
_JOINS = {"cat", "concat", "stack", "where", "setitem", "masked_fill", "embedding"}
_SUMS = {"add", "iadd", "radd", "sub", "isub", "rsub"}
_FACTORS = {"mul", "imul", "rmul", "truediv", "div"}
# Beside the matrix product, a linear layer may add its bias and move values.
LINEAR_LAYER_STEPS = {*_MOVES, *_TRANSPOSES, "add", "iadd", "radd"}
LINEAR_LAYER_STEPS -= {"neg", "getitem", "chunk", "split"}
# If a parameter is used in several ways, the first of these decides.
_PRIORITY: tuple[RoleKind, ...] = ("weight", "table", "shift", "scale")


@dataclass(frozen=True)
class Role:
    """How the forward uses a parameter.

    Attributes:
        kind: A weight that is multiplied as a matrix, a table of vectors that are looked up or
            added, a scale that multiplies entry by entry, a shift that is added, or unknown.
        layout: The order of a weight's last two axes.
        operation: The operation that uses the parameter; all of them if the kind is unknown.
        node: The node of that operation in the graph.
    """

    kind: RoleKind
    layout: Layout = "out_in"
    operation: str = ""
    node: fx.Node | None = None


def role_of(node: fx.Node, parameter: Tensor) -> Role:
    """Return the role of a parameter.

    Args:
        node: The node at which the graph reads the parameter.
        parameter: The parameter, whose shape is needed.
    """
    roles: list[Role] = []
    # The user, the node that it reads, whether that is transposed, whether rows were picked.
    queue: list[tuple[fx.Node, fx.Node, bool, bool]] = [(u, node, False, False) for u in node.users]
    seen: set[fx.Node] = set()
    while queue:
        user, source, transposed, picked = queue.pop(0)
        name = operation_name(user)
        position = next((i for i, each in enumerate(user.args) if each is source), None)
        signals = [each for each in user.all_input_nodes if each is not source]
        transposes = name in _TRANSPOSES or (name == "getattr" and user.args[1] in _TRANSPOSES)
        moves = name in _MOVES or (name in (*_SUMS, *_FACTORS) and not signals)
        if moves or transposes:
            if user not in seen:
                seen.add(user)
                # A lookup picks rows by the input.
                picks = picked or (position == 0 and bool(signals))
                queue += [(each, user, transposed ^ transposes, picks) for each in user.users]
            continue
        kind, in_out = _role_in(name, user, source, position, transposed)
        is_matrix = sum(size > 1 for size in parameter.shape) > 1
        if kind == "shift" and (picked or is_matrix):
            kind = "table"
        roles.append(Role(kind, "in_out" if in_out else "out_in", name, user))
    known = [role for kind in _PRIORITY for role in roles if role.kind == kind]
    unknown = [role for role in roles if role.kind == "unknown"]
    if known and (not unknown or known[0].kind == "weight"):
        return known[0]
    return Role("unknown", operation=", ".join(dict.fromkeys(role.operation for role in unknown)))


def _role_in(
    name: str, user: fx.Node, source: fx.Node, position: int | None, transposed: bool
) -> tuple[RoleKind, bool]:
    """Return the role in one operation, and whether a weight is stored as (in, out)."""
    if name == "linear" or name.startswith("conv"):
        weight = position == 1 or user.kwargs.get("weight") is source
        return ("weight", transposed) if weight else ("shift", False)
    # In `x @ weight` the weight is (in, out), in `weight @ x` it is (out, in).
    if name in _PRODUCTS:
        return "weight", (not transposed if position == 1 else transposed)
    if name in ("addmm", "baddbmm"):
        in_out = not transposed if position == 2 else transposed
        return ("shift", False) if position == 0 else ("weight", in_out)
    if name == "scaled_dot_product_attention":
        mask = position == 3 or user.kwargs.get("attn_mask") is source
        return ("shift" if mask else "unknown"), False
    if name in _JOINS:
        return "table", False
    if name in _SUMS:
        return "shift", False
    return ("scale" if name in _FACTORS else "unknown"), False


def operation_name(node: fx.Node) -> str:
    """Return the name of the function or method that a node calls, without outer underscores."""
    target: Any = node.target
    return str(getattr(target, "__name__", target)).strip("_")
