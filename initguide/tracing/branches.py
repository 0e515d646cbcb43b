"""Residual branches in the graph of a forward pass: what a skip goes around."""

import operator
from collections.abc import Iterator
from typing import NamedTuple

from torch import fx, nn

from initguide.tracing.followers import classify, is_layer
from initguide.tracing.places import NORMS
from initguide.tracing.uses import name_of

_ADD = {"add", "iadd"}

Modules = dict[str, nn.Module]
Graph = dict[fx.Node, set[fx.Node]]


class Branch(NamedTuple):
    """The layers and norms of a branch, in order, and which of them end it."""

    members: list[str]
    ends: set[str]


class _Sum(NamedTuple):
    """A sum of a branch and a skip, which both start at the source."""

    source: fx.Node
    nodes: set[fx.Node]
    crossed: int


def branches(graph: fx.Graph, modules: Modules) -> Iterator[Branch]:
    """Yield the residual branches, in the order of their sums: an inner one before the outer."""
    above: Graph = {}
    found: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        inputs = node.all_input_nodes
        above[node] = set(inputs).union(*(above[each] for each in inputs))
        if name_of(node) not in _ADD or len(inputs) != 2:
            continue
        pairs = [(inputs[0], inputs[1]), (inputs[1], inputs[0])]
        sums = [(_sum(end, skip, above, found, modules), end) for end, skip in pairs]
        fitting = [(each, end) for each, end in sums if each is not None]
        if fitting:
            best, end = min(fitting, key=lambda pair: pair[0].crossed)
            found[node] = best.source
            held = [n for n in graph.nodes if n in best.nodes and _is_held(n, modules)]
            ends = _ends(end, best.nodes, modules)
            yield Branch([str(n.target) for n in held], {str(n.target) for n in ends})


def _sum(
    end: fx.Node, skip: fx.Node, above: Graph, found: dict[fx.Node, fx.Node], modules: Modules
) -> _Sum | None:
    """Return what a sum is, if one side is a branch and the other its skip."""
    source, crossed = skip, 0
    while source not in above[end]:
        if source in found:
            source = found[source]
            continue
        crossed += is_layer(source, modules)
        # A skip holds no layer, or the one that changes its size; a part of a tuple is no skip.
        part = source.target is operator.getitem and isinstance(source.args[1], int)
        if crossed > 1 or part or len(source.all_input_nodes) != 1:
            return None
        source = source.all_input_nodes[0]
    nodes = {n for n in (*above[end], end) if source in above[n]}
    inside = {*nodes, source}
    # A branch holds an inner one whole: else this is a sum of something else.
    if any(node in nodes and start not in inside for node, start in found.items()):
        return None
    layers = sum(is_layer(n, modules) for n in nodes)
    return _Sum(source, nodes, crossed) if layers > crossed else None


def _ends(end: fx.Node, nodes: set[fx.Node], modules: Modules) -> set[fx.Node]:
    """Return the layers whose output is the branch's, and the norms between."""
    # A gate, as in squeeze-and-excitation, scales the end; it is the end only if nothing else is.
    for stops in ({"activation", "attention"}, set()):
        ends, seen, queue = set(), set(), [end]
        while queue:
            node = queue.pop()
            if node in seen or node not in nodes:
                continue
            seen.add(node)
            if _is_held(node, modules):
                ends.add(node)
            if not is_layer(node, modules) and classify(node, modules)[0] not in stops:
                queue += node.all_input_nodes
        if any(is_layer(node, modules) for node in ends):
            return ends
    return set()


def _is_held(node: fx.Node, modules: Modules) -> bool:
    owner = modules.get(str(node.target)) if node.op == "call_module" else None
    return is_layer(node, modules) or isinstance(owner, NORMS)
