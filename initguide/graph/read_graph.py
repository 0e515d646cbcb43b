"""Read the layers, the roles of parameters and the residual branches from a graph."""

from dataclasses import dataclass, field, replace

from torch import fx, nn

from initguide.graph.layer_info import LayerInfo
from initguide.graph.model_graph import ModelGraph, model_graph
from initguide.graph.next_activation import layer_info
from initguide.graph.param_roles import Role
from initguide.graph.residual import Branch, find_branches
from initguide.graph.stream_tables import tables_read_back


@dataclass
class GraphFacts:
    """The facts that the graph of one forward shows, with names as in its module.

    Attributes:
        layers: The layers and norms by name; a weight outside any layer by its own name.
        roles: The roles of the parameters that the forward reads itself.
        branches: The residual branches, inner ones before outer ones.
        tables_read_back: The tables whose vectors a tied head reads from the stream at full size.
    """

    layers: dict[str, LayerInfo] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    branches: list[Branch] = field(default_factory=list)
    tables_read_back: set[str] = field(default_factory=set)


def read_graph(graph: fx.Graph, root: nn.Module, *, whole_model: bool) -> GraphFacts:
    """Return the facts that the graph of a module's forward shows.

    Args:
        graph: The graph.
        root: The module.
        whole_model: Whether the module is the whole model.
    """
    view = model_graph(graph, root)
    result = GraphFacts(branches=list(find_branches(view)))
    view.sources |= {branch.source for branch in result.branches}
    view.normed_sources |= {branch.source for branch in result.branches if branch.is_normed}
    view.skips |= {node for branch in result.branches for node in branch.skips}
    view.sums |= {branch.total for branch in result.branches}
    result.tables_read_back = tables_read_back(view)
    called = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    for node in graph.nodes:
        names = [name for name in view.names(node) if not _has_own_use(name, called, view)]
        info = layer_info(node, view, whole_model=whole_model) if names else LayerInfo()
        for name in names:
            result.layers.setdefault(name, info)
    for name, role in view.roles.items():
        if role.kind == "time step" or not _has_own_use(name, called, view):
            result.roles[name] = role
        elif role.kind == "weight":
            owner = name.rpartition(".")[0]
            info = result.layers[owner]
            also = f"its weight is also used in {role.operation}"
            note = "; ".join(filter(None, (info.note, also)))
            result.layers[owner] = replace(info, note=note)
    return result


def _has_own_use(name: str, called: set[str], view: ModelGraph) -> bool:
    """Return whether a parameter belongs to a layer that the graph calls, which decides its role.

    A lookup in an embedding does not decide, because a table that is also multiplied is a head.
    """
    owner = name.rpartition(".")[0]
    is_table = isinstance(view.modules.get(owner), (nn.Embedding, nn.EmbeddingBag))
    return name in view.roles and owner in called and not is_table
