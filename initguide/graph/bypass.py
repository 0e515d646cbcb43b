"""Which parameters may start at zero: those that the signal goes around, and that can learn.

A weight of zeros blocks the signal. Nothing is lost where another path leads around the weight, as
in a residual branch, or where no layer follows. But two weights of zeros in one branch hide each
other: neither gets a gradient.
"""

from collections.abc import Iterable

from torch import fx

from initguide.graph.operations import (
    FACTORS,
    JOINS,
    MOVES,
    SUMS,
    TRANSPOSES,
    depends_on,
    leads_to,
    operation_name,
)
from initguide.graph.trace import Trace

Blocked = dict[str, set[fx.Node]]
# Activations whose slope at zero is zero.
_FLAT_AT_ZERO = {"relu", "relu6"}


def may_be_zero(zeros: Iterable[str], trace: Trace) -> dict[str, bool | None]:
    """Return whether each of some parameters may be zero everywhere at the start.

    Args:
        zeros: The names of all parameters that are zero.
        trace: The trace of the model.

    Returns:
        By name: None if the trace did not reach the parameter.
    """
    names = set(zeros)
    found: dict[str, bool | None] = dict.fromkeys(names)
    for prefix, graph in trace.graphs:
        blocked = _blocked(graph, prefix, names, trace)
        stuck = _stuck(graph, blocked, {name.removeprefix(prefix) for name in names})
        for name, nodes in blocked.items():
            is_fine = name not in stuck and not _is_dead(name, trace)
            # What leads around a part of a model is not known.
            if is_fine and not prefix:
                is_fine = _leads_around(graph, nodes) or _is_last(graph, nodes, trace)
            found[name] = is_fine and found[name] is not False
    return found


def _is_dead(name: str, trace: Trace) -> bool:
    """Return whether an activation without a slope at zero follows alone."""
    role = trace.roles.get(name)
    if role is not None and role.product is not None and _is_added(role.product):
        return False
    info = trace.layers.get(name) or trace.layer(name.rpartition(".")[0])
    return info.label in _FLAT_AT_ZERO and {*SUMS, *JOINS}.isdisjoint(info.between)


def _is_added(node: fx.Node) -> bool:
    """Return whether a product of two parameters is added to another parameter."""
    names = {operation_name(user) for user in node.users}
    if names & SUMS:
        return True
    moves = {*MOVES, *TRANSPOSES, *FACTORS}
    return any(_is_added(user) for user in node.users if operation_name(user) in moves)


def _blocked(graph: fx.Graph, prefix: str, zeros: set[str], trace: Trace) -> Blocked:
    """Return the operations of a graph whose output each parameter makes zero."""
    found: Blocked = {}
    inside = {prefix for prefix, _ in trace.graphs}
    for node in graph.nodes:
        name = prefix + str(node.target)
        if node.op == "call_module":
            for zero in zeros:
                # A layer with a forward of its own has a graph, which shows its other parameters.
                is_inside = f"{name}." in inside and zero != f"{name}.weight"
                if zero.startswith(f"{name}.") and not is_inside:
                    found.setdefault(zero, set()).add(node)
        role = trace.roles.get(name) if node.op == "get_attr" and name in zeros else None
        if role is not None and role.node is not None and role.kind in ("weight", "scale"):
            found.setdefault(name, set()).add(role.product or role.node)
    return found


def _stuck(graph: fx.Graph, blocked: Blocked, zeros: set[str]) -> set[str]:
    """Return the parameters that stay at zero, because other zeros take signal or gradient."""
    left = dict(blocked)
    dynamic = depends_on(_of_kind("placeholder", graph), graph.nodes)
    # A product of two parameters needs the other parameter in place of a signal.
    others = [node for node in _of_kind("get_attr", graph) if str(node.target) not in zeros]
    values = depends_on(others, graph.nodes)
    while True:
        zero = set().union(*left.values())
        signal = depends_on(_of_kind("placeholder", graph), graph.nodes, zero)
        gradient = leads_to(_of_kind("output", graph), graph.nodes, zero)
        learns = {
            name
            for name, nodes in left.items()
            if any(
                (signal if node in dynamic else values).intersection(node.all_input_nodes)
                and gradient.intersection(node.users)
                for node in nodes
            )
        }
        if not learns:
            return set(left)
        left = {name: nodes for name, nodes in left.items() if name not in learns}


def _leads_around(graph: fx.Graph, nodes: set[fx.Node]) -> bool:
    reached = depends_on(_of_kind("placeholder", graph), graph.nodes, nodes)
    return not reached.isdisjoint(_of_kind("output", graph))


def _is_last(graph: fx.Graph, nodes: set[fx.Node], trace: Trace) -> bool:
    """Return whether no operation with weights follows."""
    after = depends_on(nodes, graph.nodes) - nodes
    layers = {trace.layers.get(str(node.target)) for node in after}
    return layers <= {None} and not any(role.node in after for role in trace.roles.values())


def _of_kind(op: str, graph: fx.Graph) -> list[fx.Node]:
    return [node for node in graph.nodes if node.op == op]
