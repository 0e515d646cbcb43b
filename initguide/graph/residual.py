"""Residual branches in the graph of a forward pass: what a skip goes around."""

import operator
from collections.abc import Iterator
from typing import NamedTuple

from torch import fx, nn

from initguide.graph.layer_info import NORMS
from initguide.graph.next_activation import classify, is_layer
from initguide.graph.param_roles import name_of

_ADD = {"add", "iadd"}

Modules = dict[str, nn.Module]


class Branch(NamedTuple):
    """The layers and norms of a branch, in order, and which of them end it."""

    members: list[str]
    ends: set[str]


class _Order:
    """The nodes of a graph in order, and which lie above which."""

    def __init__(self, graph: fx.Graph) -> None:
        self.nodes = list(graph.nodes)
        self.index = {node: i for i, node in enumerate(self.nodes)}
        # A bit for each node above: sets would grow with the square of the depth.
        self.above: list[int] = []
        for node in self.nodes:
            bits = 0
            for each in node.all_input_nodes:
                bits |= self.above[self.index[each]] | 1 << self.index[each]
            self.above.append(bits)

    def is_above(self, node: fx.Node, other: fx.Node) -> bool:
        """Return whether `other` depends on `node`."""
        return bool(self.above[self.index[other]] >> self.index[node] & 1)

    def between(self, source: fx.Node, end: fx.Node) -> list[fx.Node]:
        """Return what depends on the source and leads to the end, or is it."""
        some = self.nodes[self.index[source] + 1 : self.index[end]]
        return [n for n in some if self.is_above(source, n) and self.is_above(n, end)] + [end]


class _Sum(NamedTuple):
    """A sum of a branch and a skip, which both start at the source."""

    source: fx.Node
    nodes: list[fx.Node]
    crossed: int


def branches(graph: fx.Graph, modules: Modules) -> Iterator[Branch]:
    """Yield the residual branches, in the order of their sums: an inner one before the outer."""
    order = _Order(graph)
    found: dict[fx.Node, fx.Node] = {}
    for node in order.nodes:
        inputs = node.all_input_nodes
        if name_of(node) not in _ADD or len(inputs) != 2:
            continue
        pairs = [(inputs[0], inputs[1]), (inputs[1], inputs[0])]
        sums = [(_sum(end, skip, order, found, modules), end) for end, skip in pairs]
        fitting = [(each, end) for each, end in sums if each is not None]
        if fitting:
            best, end = min(fitting, key=lambda pair: pair[0].crossed)
            found[node] = best.source
            held = [n for n in best.nodes if _is_held(n, modules)]
            ends = _ends(end, {*best.nodes}, modules)
            yield Branch([str(n.target) for n in held], {str(n.target) for n in ends})


def _sum(
    end: fx.Node, skip: fx.Node, order: _Order, found: dict[fx.Node, fx.Node], modules: Modules
) -> _Sum | None:
    """Return what a sum is, if one side is a branch and the other its skip."""
    source, crossed = skip, 0
    while not order.is_above(source, end):
        if source in found:
            source = found[source]
            continue
        crossed += is_layer(source, modules)
        # A skip holds no layer, or the one that changes its size; a part of a tuple is no skip.
        part = source.target is operator.getitem and isinstance(source.args[1], int)
        if crossed > 1 or part or len(source.all_input_nodes) != 1:
            return None
        source = source.all_input_nodes[0]
    nodes = order.between(source, end)
    inside = {*nodes, source}
    inner = ((node, start) for node, start in found.items() if node is not source)
    # A branch holds an inner one whole: else this is a sum of something else.
    if any(node in inside and start not in inside for node, start in inner):
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
