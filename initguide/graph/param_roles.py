"""What a forward does with a parameter: which axis of a matrix it sums over, what it adds.

A parameter that no layer of torch's holds says nothing about itself; its use does.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, fx

Kind = Literal["weight", "table", "scale", "shift", "unknown"]

_MOVES = {"view", "reshape", "expand", "to", "float", "type", "type_as", "contiguous", "clone"}
_MOVES |= {"unsqueeze", "squeeze", "flatten", "detach", "repeat", "getattr", "getitem", "chunk"}
_MOVES |= {"interpolate", "split", "half", "bfloat16", "expand_as", "neg", "index_select"}
_TURNS = {"t", "T", "mT", "transpose", "swapaxes", "swapdims"}
_PRODUCTS = {"matmul", "mm", "bmm", "grouped_mm"}
_JOINS = {"cat", "concat", "stack", "where", "setitem", "masked_fill", "embedding"}
_SUMS = {"add", "iadd", "radd", "sub", "isub", "rsub"}
_FACTORS = {"mul", "imul", "rmul", "truediv", "div"}
# What leaves a product of matrices what it is.
PLAIN = {*_MOVES, *_TURNS, "add", "iadd", "radd"} - {"neg", "getitem", "chunk", "split"}
_ORDER: tuple[Kind, ...] = ("weight", "table", "shift", "scale")


@dataclass(frozen=True)
class Use:
    """What is done with a parameter.

    Attributes:
        kind: A weight that is summed over, a table of vectors, a factor, a summand, or unknown.
        flipped: Of a weight: whether it is `(in, out)`.
        label: The operation, for people.
        node: The operation in the graph.
    """

    kind: Kind
    flipped: bool = False
    label: str = ""
    node: fx.Node | None = None


def use_of(node: fx.Node, like: Tensor) -> Use:
    """Return what is done with a parameter.

    Args:
        node: Where the graph reads it.
        like: The parameter.
    """
    found: list[Use] = []
    queue: list[tuple[fx.Node, fx.Node, bool, bool]] = [(u, node, False, False) for u in node.users]
    seen: set[fx.Node] = set()
    while queue:
        user, source, turned, picked = queue.pop(0)
        name = name_of(user)
        place = next((i for i, each in enumerate(user.args) if each is source), None)
        signals = [each for each in user.all_input_nodes if each is not source]
        turns = name in _TURNS or (name == "getattr" and user.args[1] in _TURNS)
        moves = name in _MOVES or (name in (*_SUMS, *_FACTORS) and not signals)
        if moves or turns:
            if user not in seen:
                seen.add(user)
                # Rows that the input picks, as a lookup does.
                picks = picked or (place == 0 and bool(signals))
                queue += [(each, user, turned ^ turns, picks) for each in user.users]
            continue
        kind, flipped = _kind(name, user, source, place, turned)
        wide = sum(size > 1 for size in like.shape) > 1
        if kind == "shift" and (picked or wide):
            kind = "table"
        found.append(Use(kind, flipped, name, user))
    known = [use for kind in _ORDER for use in found if use.kind == kind]
    unknown = [use for use in found if use.kind == "unknown"]
    if known and (not unknown or known[0].kind == "weight"):
        return known[0]
    return Use("unknown", label=", ".join(dict.fromkeys(use.label for use in unknown)))


def _kind(
    name: str, user: fx.Node, source: fx.Node, place: int | None, turned: bool
) -> tuple[Kind, bool]:
    if name == "linear" or name.startswith("conv"):
        weight = place == 1 or user.kwargs.get("weight") is source
        return ("weight", turned) if weight else ("shift", False)
    if name in _PRODUCTS:
        return "weight", (not turned if place == 1 else turned)
    if name in ("addmm", "baddbmm"):
        return ("shift", False) if place == 0 else ("weight", not turned if place == 2 else turned)
    if name == "scaled_dot_product_attention":
        mask = place == 3 or user.kwargs.get("attn_mask") is source
        return ("shift" if mask else "unknown"), False
    if name in _JOINS:
        return "table", False
    if name in _SUMS:
        return "shift", False
    return ("scale" if name in _FACTORS else "unknown"), False


def name_of(node: fx.Node) -> str:
    """Return the name of a function or method, without underscores around it."""
    target: Any = node.target
    return str(getattr(target, "__name__", target)).strip("_")
