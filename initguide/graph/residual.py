"""Find the residual branches in the graph of a forward pass: the layers that a skip goes around."""

import operator
from collections.abc import Iterator
from typing import NamedTuple

from torch import fx

from initguide.graph.layer_info import NORMS
from initguide.graph.next_activation import Modules, classify, is_layer
from initguide.graph.param_roles import operation_name

_ADD = {"add", "iadd"}


class Branch(NamedTuple):
    """The names of a branch's layers and norms, in order, and of those that end it."""

    members: list[str]
    ends: set[str]


class _Ancestors:
    """The nodes of a graph in order, and on which earlier nodes each depends."""

    def __init__(self, graph: fx.Graph) -> None:
        self.nodes = list(graph.nodes)
        self.index = {node: i for i, node in enumerate(self.nodes)}
        # Bitmask of each node's ancestors: sets would grow with the square of the depth.
        self.masks: list[int] = []
        for node in self.nodes:
            mask = 0
            for each in node.all_input_nodes:
                mask |= self.masks[self.index[each]] | 1 << self.index[each]
            self.masks.append(mask)

    def is_ancestor(self, node: fx.Node, other: fx.Node) -> bool:
        """Return whether `other` depends on `node`."""
        return bool(self.masks[self.index[other]] >> self.index[node] & 1)

    def between(self, source: fx.Node, end: fx.Node) -> list[fx.Node]:
        """Return the nodes on the way from the source, without it, to the end, with it."""
        some = self.nodes[self.index[source] + 1 : self.index[end]]
        return [n for n in some if self.is_ancestor(source, n) and self.is_ancestor(n, end)] + [end]


class _ResidualSum(NamedTuple):
    """A sum of a branch and a skip that start at the same node.

    Attributes:
        source: The node where both start.
        nodes: The nodes of the branch.
        skip_layers: How many layers the skip holds.
    """

    source: fx.Node
    nodes: list[fx.Node]
    skip_layers: int


def find_branches(graph: fx.Graph, modules: Modules) -> Iterator[Branch]:
    """Yield the residual branches in the order of their sums: inner ones before outer ones."""
    ancestors = _Ancestors(graph)
    sources: dict[fx.Node, fx.Node] = {}
    for node in ancestors.nodes:
        inputs = node.all_input_nodes
        if operation_name(node) not in _ADD or len(inputs) != 2:
            continue
        pairs = [(inputs[0], inputs[1]), (inputs[1], inputs[0])]
        sums = [(_residual_sum(end, skip, ancestors, sources, modules), end) for end, skip in pairs]
        fitting = [(each, end) for each, end in sums if each is not None]
        if fitting:
            best, end = min(fitting, key=lambda pair: pair[0].skip_layers)
            sources[node] = best.source
            members = [n for n in best.nodes if _is_layer_or_norm(n, modules)]
            ends = _ends(end, {*best.nodes}, modules)
            yield Branch([str(n.target) for n in members], {str(n.target) for n in ends})


def _residual_sum(
    end: fx.Node,
    skip: fx.Node,
    ancestors: _Ancestors,
    sources: dict[fx.Node, fx.Node],
    modules: Modules,
) -> _ResidualSum | None:
    """Return the residual sum of a branch and a skip, or None if the two are something else."""
    source, skip_layers = skip, 0
    while not ancestors.is_ancestor(source, end):
        # The skip may go around an earlier residual sum as a whole.
        if source in sources:
            source = sources[source]
            continue
        skip_layers += is_layer(source, modules)
        # A skip holds at most one layer, which changes the size. A part of a tuple is no skip.
        is_part = source.target is operator.getitem and isinstance(source.args[1], int)
        if skip_layers > 1 or is_part or len(source.all_input_nodes) != 1:
            return None
        source = source.all_input_nodes[0]
    nodes = ancestors.between(source, end)
    inside = {*nodes, source}
    inner = ((node, start) for node, start in sources.items() if node is not source)
    # A branch contains an inner branch as a whole. Otherwise this is no residual sum.
    if any(node in inside and start not in inside for node, start in inner):
        return None
    layers = sum(is_layer(n, modules) for n in nodes)
    return _ResidualSum(source, nodes, skip_layers) if layers > skip_layers else None


def _ends(end: fx.Node, nodes: set[fx.Node], modules: Modules) -> set[fx.Node]:
    """Return the last layers of a branch, and the norms after them."""
    # A gate, as in squeeze-and-excitation, scales the output of the last layer. It counts as the
    # end only if no other layer does.
    for stops in ({"activation", "attention"}, set()):
        ends, seen, queue = set(), set(), [end]
        while queue:
            node = queue.pop()
            if node in seen or node not in nodes:
                continue
            seen.add(node)
            if _is_layer_or_norm(node, modules):
                ends.add(node)
            if not is_layer(node, modules) and classify(node, modules)[0] not in stops:
                queue += node.all_input_nodes
        if any(is_layer(node, modules) for node in ends):
            return ends
    return set()


def _is_layer_or_norm(node: fx.Node, modules: Modules) -> bool:
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    return is_layer(node, modules) or isinstance(module, NORMS)
