"""Find the heads that read a token's own vector back from the residual stream.

A tied head multiplies the stream by the vectors of its table. If the stream starts with such a
vector at full size, the logit of the token itself is large: the vector times itself.
"""

from collections.abc import Iterable

import torch
from torch import fx, nn
from torch.func import functional_call

from initguide._torch_internals import without_hooks
from initguide.graph.classify import classify
from initguide.graph.constants import constant_factor
from initguide.graph.model_graph import ModelGraph
from initguide.graph.operations import FACTORS, LOOKUPS, operation_name


def tables_read_back(view: ModelGraph) -> set[str]:
    """Return the names of the tables that a head reads back from the stream at full size."""
    read = {id(weight) for node in view.layers for weight in _heads(node, view)}
    if not read:
        return set()
    found = set()
    for node in view.graph.nodes:
        module = node.meta.get("module")
        is_read = isinstance(module, nn.Embedding) and id(module.weight) in read
        if is_read and _starts_stream(node, view, _factor_of(module) > 1):
            found.add(f"{node.target}.weight")
        # A forward may look the vectors up in one of its parameters.
        own = view.parameters.get(str(node.target)) if node.op == "get_attr" else None
        if id(own) in read and any(_starts_stream(user, view, False) for user in _lookups(node)):
            found.add(str(node.target))
    return found


def _lookups(table: fx.Node) -> list[fx.Node]:
    return [user for user in table.users if operation_name(user) in LOOKUPS]


def _heads(node: fx.Node, view: ModelGraph) -> Iterable[nn.Parameter]:
    """Yield the weights that a node multiplies the stream by, with no layer between."""
    weights = [view.parameters.get(name) for name in view.layers[node]]
    weights += [getattr(node.meta.get("module"), "weight", None)]
    # The parameter's own node is an input too, but depends on no layer.
    inputs = [each for each in node.all_input_nodes if each in view.after_layers]
    if any(_is_stream(each, view) for each in inputs):
        yield from (weight for weight in weights if isinstance(weight, nn.Parameter))


def _is_stream(node: fx.Node, view: ModelGraph) -> bool:
    """Return whether a signal is the sum of branches, possibly after a norm."""
    while node not in view.sums:
        inputs = [each for each in node.all_input_nodes if each in view.after_layers]
        if node in view.layers or classify(node, view)[0] != "pass" or not inputs:
            return False
        node = inputs[0]
    return True


def _starts_stream(table: fx.Node, view: ModelGraph, is_full: bool) -> bool:
    """Return whether the first branch starts after a norm of the vectors, or a factor above one."""
    seen, queue = set(), [(table, is_full)]
    while queue:
        node, is_full = queue.pop()
        if (node, is_full) in seen:
            continue
        seen.add((node, is_full))
        if node in view.sources:
            if is_full:
                return True
            if node in view.normed_sources:
                continue
        for user in node.users:
            factor = constant_factor(user, node) if operation_name(user) in FACTORS else None
            passes = factor is not None or classify(user, view)[0] == "pass"
            if user not in view.layers and passes:
                grows = view.is_norm(user) or (factor or 0.0) > 1
                queue.append((user, is_full or grows))
    return False


def _factor_of(module: nn.Embedding) -> float:
    """Return the factor that an embedding with a forward of its own multiplies its vectors by."""
    if type(module).forward is nn.Embedding.forward:
        return 1.0
    ones = torch.ones(1, 1, device="cpu").expand(module.weight.shape)
    place = torch.zeros(1, dtype=torch.long, device="cpu")
    try:
        with torch.no_grad(), torch.device("cpu"):
            return float(functional_call(without_hooks(module), {"weight": ones}, (place,)).max())
    except Exception:
        # A forward of other people may need more than positions.
        return 1.0
