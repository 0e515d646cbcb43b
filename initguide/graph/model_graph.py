"""The graph of a forward pass, with the layers that its nodes compute."""

from dataclasses import dataclass, field

from torch import fx, nn

from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER
from initguide.graph.operations import depends_on, is_norm_call, is_own_norm, leads_to
from initguide.graph.param_roles import Role, input_dependent, role_of
from initguide.graph.state_space import reaches


@dataclass
class ModelGraph:
    """The graph of a forward pass, and what its nodes mean.

    Attributes:
        graph: The graph.
        modules: The modules of the model by name.
        parameters: Its parameters by name.
        roles: The roles of the parameters that the forward reads itself, by name.
        layers: For each node that computes a layer, the layer's names: of the module, or of the
            weights that are not in a module that the graph calls.
        sums: The residual sums.
        sources: The nodes where residual branches start.
        normed_sources: Those where the branch starts with a norm.
        skips: The layers that a skip holds.
        after_layers: The layers, and the nodes that depend on one.
        before_layers: The nodes on which a layer depends.
        order: The position of each node in the graph.
        dynamic: The nodes that depend on an input.
        own_norms: The nodes that divide a signal by its own size.
    """

    graph: fx.Graph
    modules: dict[str, nn.Module]
    parameters: dict[str, nn.Parameter]
    roles: dict[str, Role] = field(default_factory=dict)
    layers: dict[fx.Node, list[str]] = field(default_factory=dict)
    sums: set[fx.Node] = field(default_factory=set)
    sources: set[fx.Node] = field(default_factory=set)
    normed_sources: set[fx.Node] = field(default_factory=set)
    skips: set[fx.Node] = field(default_factory=set)
    after_layers: set[fx.Node] = field(default_factory=set)
    before_layers: set[fx.Node] = field(default_factory=set)
    order: dict[fx.Node, int] = field(default_factory=dict)
    dynamic: set[fx.Node] = field(default_factory=set)
    own_norms: set[fx.Node] = field(default_factory=set)

    def is_norm(self, node: fx.Node) -> bool:
        """Return whether a node computes a norm."""
        is_own = node in self.own_norms or is_norm_call(node)
        return is_own or isinstance(node.meta.get("module"), NORMS)

    def names(self, node: fx.Node) -> list[str]:
        """Return the names of the layers or of the norm that a node computes."""
        own = [str(node.target)] if isinstance(node.meta.get("module"), NORMS) else []
        return own or self.layers.get(node, [])


def model_graph(graph: fx.Graph, root: nn.Module) -> ModelGraph:
    """Return the graph of a module's forward with its layers and the roles of its parameters."""
    parameters = dict(root.named_parameters(remove_duplicate=False))
    result = ModelGraph(graph, dict(root.named_modules()), parameters)
    result.order = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if node.op == "call_module":
            module = node.meta["module"] = result.modules[str(node.target)]
            if isinstance(module, (*LAYERS, *PACKED, *TRANSFORMER)):
                result.layers[node] = [str(node.target)]
    dynamic = result.dynamic = input_dependent(graph)
    for node in graph.nodes:
        name = str(node.target)
        if node.op == "get_attr" and node.users and name in parameters and name not in result.roles:
            role = result.roles[name] = role_of(node, parameters[name], dynamic)
            for user in role.nodes if role.kind == "weight" else ():
                result.layers.setdefault(user, []).append(name)
    if any(role.kind == "decay" for role in result.roles.values()):
        # A layer may add the bias of the step size.
        for node, names in result.layers.items():
            if node.op == "call_module" and reaches(node, "softplus"):
                role = Role("time step", operation="softplus", node=node)
                result.roles.setdefault(f"{names[0]}.bias", role)
    result.own_norms = {node for node in graph.nodes if is_own_norm(node)}
    result.after_layers = depends_on(result.layers, graph.nodes)
    read = (each for node in result.layers for each in node.all_input_nodes)
    result.before_layers = leads_to(read, graph.nodes)
    return result
