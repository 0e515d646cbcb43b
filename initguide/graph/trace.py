"""Trace a model: which activation follows each layer, and which residual branch holds it.

The forward runs once on proxies (torch.fx), which needs no data and changes nothing. Some forwards
cannot run so, for example one that branches on values. Then each submodule is traced by itself, and
the result notes what stays unknown.
"""

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

from torch import fx, nn

from initguide._state import unchanged
from initguide.activations import FUNCTIONS
from initguide.fans import Fans, fans, layer_fans
from initguide.graph.custom_layers import custom_layer
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER, LayerInfo
from initguide.graph.next_activation import classify_elementwise, layer_info
from initguide.graph.param_roles import Role, role_of
from initguide.graph.proxies import ProxyTracer, argument_choices
from initguide.graph.residual import find_branches

# After so many choices of arguments without progress, no further one is tried.
PATIENCE = 6
_UNREACHED = LayerInfo(label="unknown", note="the trace did not reach this layer")


@dataclass
class Trace:
    """What a trace of a model found.

    Attributes:
        layers: The layers and norms by name; a weight outside any layer by its own name.
        branch_count: The number of residual branches.
        roles: The roles of parameters that the forward reads itself, by their names.
        graphs: The graphs of the model or of its parts, each with the prefix of its names.
    """

    layers: dict[str, LayerInfo] = field(default_factory=dict)
    branch_count: int = 0
    roles: dict[str, Role] = field(default_factory=dict)
    graphs: list[tuple[str, fx.Graph]] = field(default_factory=list)

    def layer(self, name: str) -> LayerInfo:
        """Return the information on a layer."""
        return self.layers.get(name, _UNREACHED)

    def fans(self, name: str, module: nn.Module, key: str) -> Fans:
        """Return the fans of a parameter, by its layer or by its role in the forward.

        Args:
            name: The parameter's full name.
            module: The module that holds it.
            key: Its name in that module.
        """
        role, shape = self.roles.get(name), getattr(module, key).shape
        layout = custom_layer(module).layout
        if role is not None and role.kind == "weight" and not role.operation.startswith("conv"):
            layout = role.layout
        if layout is None:
            return layer_fans(module, key)
        # Several weights may be stacked along the leading axes.
        return fans(shape[-2:], layout)


def trace(model: nn.Module) -> Trace:
    """Trace a model.

    Args:
        model: Any module; it is not changed and needs no input.

    Returns:
        A [Trace][initguide.graph.trace.Trace].
    """
    result = Trace()
    with unchanged(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _trace(model, "", result)
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, TRANSFORMER):
            _add_transformer(module, prefix, result)
        elif isinstance(module, nn.MultiheadAttention) and f"{prefix}out_proj" not in result.layers:
            # The output of attention is that of its projection, which is a separate module.
            info = result.layer(name)
            result.layers[f"{prefix}out_proj"] = info
            result.layers[name] = LayerInfo(branch=info.branch)
    # A module with several names has the same information under each.
    first = {id(module): name for name, module in model.named_modules()}
    for name, module in model.named_modules(remove_duplicate=False):
        if first[id(module)] in result.layers:
            result.layers.setdefault(name, result.layers[first[id(module)]])
    return result


def _trace(module: nn.Module, name: str, result: Trace) -> None:
    """Add a module's layers to `result`."""
    if isinstance(module, (*LAYERS, *PACKED, *NORMS, *TRANSFORMER)):
        alone = LayerInfo(label="output")
        info = alone if not name else LayerInfo(note="the next operation is unknown")
        result.layers.setdefault(name, info)
        return
    prefix = f"{name}." if name else ""
    try:
        graph = forward_graph(module)
    except Exception as error:
        reason = f"forward of {name or 'the model'} cannot be traced: {type(error).__name__}"
        for child_name, child in module.named_children():
            _trace(child, prefix + child_name, result)
            if isinstance(child, (*LAYERS, *PACKED)):
                info = result.layers[prefix + child_name]
                result.layers[prefix + child_name] = replace(info, note=reason)
        return
    result.graphs.append((prefix, graph))
    modules = dict(module.named_modules())
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for node in graph.nodes:
        target = str(node.target)
        if node.op == "get_attr" and target in parameters:
            role = role_of(node, parameters[target])
            result.roles.setdefault(prefix + target, role)
            if role.kind == "weight" and role.node is not None:
                info = layer_info(role.node, modules, whole_model=not name)
                result.layers.setdefault(prefix + target, info)
        called = modules.get(target) if node.op == "call_module" else None
        if isinstance(called, (*LAYERS, *PACKED, *NORMS)):
            info = layer_info(node, modules, whole_model=not name)
            result.layers.setdefault(prefix + target, info)
    for branch in find_branches(graph, modules):
        # The members of an inner branch do not belong to the outer one.
        members = [m for m in branch.members if _is_outside_branches(prefix + m, result)]
        for member in members:
            info, ends = result.layers[prefix + member], member in branch.ends
            result.layers[prefix + member] = replace(info, branch=result.branch_count, ends=ends)
        result.branch_count += bool(members)


def _is_outside_branches(name: str, result: Trace) -> bool:
    return name in result.layers and result.layers[name].branch is None


def _add_transformer(module: Any, prefix: str, result: Trace) -> None:
    """Add the layers of torch's own Transformer layer, whose forward cannot be traced."""
    activation = module.activation
    label = getattr(activation, "__name__", type(activation).__name__.lower())
    value = label if label in FUNCTIONS else activation
    attentions = [name for name in ("self_attn", "multihead_attn") if hasattr(module, name)]
    for attention in attentions:
        for part, ends in ((attention, False), (f"{attention}.out_proj", True)):
            result.layers[prefix + part] = LayerInfo(branch=result.branch_count, ends=ends)
        result.branch_count += 1
    result.layers[f"{prefix}linear1"] = LayerInfo(value, label, branch=result.branch_count)
    result.layers[f"{prefix}linear2"] = LayerInfo(branch=result.branch_count, ends=True)
    result.branch_count += 1


def forward_graph(module: nn.Module) -> fx.Graph:
    """Return the graph of a module's forward, with the arguments that reach the most layers.

    Args:
        module: Any module.

    Raises:
        Exception: The forward raises on proxies with every choice of arguments.
    """
    layers = _layers_to_reach(module)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    best, most, failures, without_progress = None, -1, [], 0
    for arguments in argument_choices(module):
        # Some layers are reached by no call, and some forwards fail for all arguments.
        without_progress += 1
        if without_progress > PATIENCE and (best is not None or arguments is not None):
            continue
        try:
            graph = LayerTracer(module, arguments).trace(module)
        except Exception as error:
            failures.append(error)
            continue
        targets = {(node.op, str(node.target)) for node in graph.nodes}
        # A layer is reached if it is called, if its weight is read, or if it shares such a weight.
        read = {id(p) for name, p in parameters.items() if ("get_attr", name) in targets}
        called = [m for name, m in layers.items() if ("call_module", name) in targets]
        read |= {id(p) for m in called for p in m.parameters()}
        reached = sum(any(id(p) in read for p in m.parameters()) for m in layers.values())
        if reached > most:
            best, most, without_progress = graph, reached, 0
        if reached == len(layers):
            break
    if best is None:
        raise failures[0]
    return best


def _layers_to_reach(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers by name, without those inside torch's own Transformer layers."""
    modules = dict(module.named_modules())
    known = {
        m for each in modules.values() if isinstance(each, TRANSFORMER) for m in each.modules()
    }
    layers = {name: m for name, m in modules.items() if isinstance(m, (*LAYERS, *PACKED))}
    return {name: m for name, m in layers.items() if m not in known}


class LayerTracer(ProxyTracer):
    """Trace a forward down to single layers, norms and activations."""

    def __init__(self, model: nn.Module, arguments: tuple[str, ...] | None = None) -> None:
        super().__init__(model, arguments)
        # Classified in advance: during a trace, a call of a module is recorded, not run.
        self.modules = set(model.modules())
        self.leaves = {m for m in self.modules if isinstance(m, (*LAYERS, *PACKED, *NORMS))}
        # torch.fx treats torch's own modules as leaves already.
        users = (m for m in self.modules if not type(m).__module__.startswith("torch."))
        self.leaves |= {m for m in users if classify_elementwise(m)}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one node of the graph."""
        return m in self.leaves or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Record a call without its hooks, which would gather the weights of a sharded model."""
        # A module that the forward creates itself has no name in the graph, so its forward runs.
        if m not in self.modules:
            return m.forward(*args, **kwargs)
        return super().call_module(m, m.forward, args, kwargs)
