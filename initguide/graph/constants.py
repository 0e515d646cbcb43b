"""Values in a graph that no input changes: constants, parameters and shapes."""

import math
from collections.abc import Iterable

from torch import Tensor, fx

from initguide.graph.operations import QUOTIENTS, operation_name


def constant_of(node: fx.Node) -> float | None:
    """Return the value of a constant tensor whose entries are equal, or None."""
    value = node.meta.get("value")
    if not isinstance(value, Tensor) or value.requires_grad or value.is_meta or not value.numel():
        return None
    if value.is_complex():
        return None
    first = value.flatten()[0]
    return float(first) if value.numel() == 1 or bool((value == first).all()) else None


def constant_factor(user: fx.Node, source: fx.Node) -> float | None:
    """Return what a product with constants multiplies a value by, or None if they differ."""
    is_quotient = operation_name(user) in QUOTIENTS
    if is_quotient and user.args[0] is not source:
        return None
    factor = 1.0
    for each in (*user.args, *user.kwargs.values()):
        value = constant_of(each) if isinstance(each, fx.Node) else each
        if isinstance(value, (int, float)) and each is not source:
            if not value or not math.isfinite(value):
                return None
            factor = factor / value if is_quotient else factor * value
        elif isinstance(each, fx.Node) and each is not source and not has_parameter([each]):
            return None
    return factor


def has_parameter(nodes: Iterable[fx.Node]) -> bool:
    """Return whether one of some values is computed from a parameter."""
    seen, queue = set(), list(nodes)
    while queue:
        node = queue.pop()
        if node.op == "get_attr" and getattr(node.meta.get("value"), "requires_grad", True):
            return True
        if node not in seen and not reads_shape(node):
            seen.add(node)
            queue += node.all_input_nodes
    return False


def reads_shape(node: fx.Node) -> bool:
    """Return whether a node makes a fresh tensor of another tensor's shape."""
    name = operation_name(node)
    return name.endswith("_like") or name.startswith("new_") or name in ("size", "dim", "numel")
