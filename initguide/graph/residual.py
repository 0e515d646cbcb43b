"""Find the residual branches in the graph of a forward pass: the layers that a skip goes around."""

import operator
from collections.abc import Iterator
from typing import NamedTuple

from torch import fx

from initguide.graph.classify import classify
from initguide.graph.constants import constant_factor
from initguide.graph.model_graph import ModelGraph
from initguide.graph.operations import ADDS, FACTORS, WITHOUT_SIGNAL, operation_name, value_inputs


class Branch(NamedTuple):
    """A residual branch.

    Attributes:
        members: The names of its layers and norms, in order.
        ends: The names of those that end it.
        source: The node where it starts.
        total: The node of the residual sum.
        is_normed: Whether a norm is the first thing that the branch computes.
        skips: The layers of the skip.
        factor: The constant that the forward multiplies the sum by.
    """

    members: list[str]
    ends: set[str]
    source: fx.Node
    total: fx.Node
    is_normed: bool
    skips: list[fx.Node]
    factor: float


class _Ancestors:
    """The nodes of a graph in order, and on which earlier nodes each depends."""

    def __init__(self, order: dict[fx.Node, int]) -> None:
        self.nodes, self.index = [*order], order
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
        skips: The layers that the skip holds.
    """

    source: fx.Node
    nodes: list[fx.Node]
    skips: list[fx.Node]


def find_branches(view: ModelGraph) -> Iterator[Branch]:
    """Yield the residual branches in the order of their sums: inner ones before outer ones."""
    ancestors = _Ancestors(view.order)
    sources: dict[fx.Node, fx.Node] = {}
    for node in ancestors.nodes:
        inputs = node.all_input_nodes
        if operation_name(node) not in ADDS or len(inputs) != 2:
            continue
        pairs = [(inputs[0], inputs[1]), (inputs[1], inputs[0])]
        sums = [(_residual_sum(end, skip, ancestors, sources, view), end) for end, skip in pairs]
        fitting = [(each, end) for each, end in sums if each is not None]
        if fitting:
            best, end = min(fitting, key=lambda pair: len(pair[0].skips))
            sources[node] = best.source
            members = [name for n in best.nodes for name in view.names(n)]
            ends = {name for n in _ends(end, {*best.nodes}, view) for name in view.names(n)}
            is_normed = _starts_with_norm(best, view)
            factor = _factor_after(node)
            yield Branch(members, ends, best.source, node, is_normed, best.skips, factor)


def _factor_after(total: fx.Node) -> float:
    """Return the constant that multiplies a sum wherever it is read, such as 1/sqrt(2), or 1."""
    factors = {
        constant_factor(user, total) if operation_name(user) in FACTORS else None
        for user in total.users
    }
    factor = factors.pop() if len(factors) == 1 else None
    return abs(factor or 1.0)


def _residual_sum(
    end: fx.Node,
    skip: fx.Node,
    ancestors: _Ancestors,
    sources: dict[fx.Node, fx.Node],
    view: ModelGraph,
) -> _ResidualSum | None:
    """Return the residual sum of a branch and a skip, or None if the two are something else."""
    source, skips = skip, []
    while not ancestors.is_ancestor(source, end):
        # The skip may go around an earlier residual sum as a whole.
        if source in sources:
            source = sources[source]
            continue
        skips += [source] if source in view.layers else []
        # A skip holds at most one layer, which changes the size. A part of a tuple is no skip, and
        # a tensor of zeros is none either.
        is_part = source.target is operator.getitem and isinstance(source.args[1], int)
        is_fresh = operation_name(source) in WITHOUT_SIGNAL
        if len(skips) > 1 or is_part or is_fresh or len(source.all_input_nodes) != 1:
            return None
        source = source.all_input_nodes[0]
    nodes = ancestors.between(source, end)
    inside = {*nodes, source}
    inner = ((node, start) for node, start in sources.items() if node is not source)
    # A branch contains an inner branch as a whole. Otherwise this is no residual sum.
    if any(node in inside and start not in inside for node, start in inner):
        return None
    if _holds_signal(end, _signal_before(source, sources, view), view):
        # The branch holds the signal itself, as in the coupling `x * exp(s) + t`.
        return None
    layers = sum(n in view.layers for n in nodes)
    return _ResidualSum(source, nodes, skips) if layers > len(skips) else None


def _starts_with_norm(found: _ResidualSum, view: ModelGraph) -> bool:
    """Return whether a norm is the first thing that a branch computes from its source."""
    nodes, queue = {*found.nodes}, [found.source]
    while queue:
        for user in queue.pop().users:
            if user in nodes:
                if view.is_norm(user):
                    return True
                queue += [user] if classify(user, view)[0] == "pass" else []
    return False


def _signal_before(
    source: fx.Node, sources: dict[fx.Node, fx.Node], view: ModelGraph
) -> set[fx.Node]:
    """Return a source and the nodes that its signal comes from, back to a residual sum."""
    found, queue = set(), [source]
    while queue:
        node = queue.pop()
        if node in found or node not in view.dynamic:
            continue
        found.add(node)
        given = [each for each in value_inputs(node) if each in view.dynamic]
        # A product of two signals, such as that with a gate, is a new signal.
        if not (node in sources or node in view.layers) and (
            len(given) == 1 or classify(node, view)[0] == "pass"
        ):
            queue += given
    return found


def _holds_signal(end: fx.Node, signal: set[fx.Node], view: ModelGraph) -> bool:
    """Return whether the signal before a branch reaches its end without a layer on the way."""
    seen, queue = {end}, [] if end in view.layers else [end]
    while queue:
        node = queue.pop()
        if node in signal:
            return True
        for each in value_inputs(node):
            if each in view.dynamic and each not in seen and each not in view.layers:
                seen.add(each)
                queue.append(each)
    return False


def _ends(end: fx.Node, nodes: set[fx.Node], view: ModelGraph) -> set[fx.Node]:
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
            if view.names(node):
                ends.add(node)
            if node not in view.layers and classify(node, view)[0] not in stops:
                queue += value_inputs(node)
        if any(node in view.layers for node in ends):
            return ends
    return set()
