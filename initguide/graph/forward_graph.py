"""The graph of a forward on proxies, down to single layers, with the best choice of arguments."""

from typing import Any

from torch import fx, nn

from initguide.graph.classify import classify_elementwise
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER
from initguide.graph.proxies import ProxyTracer, argument_choices

# After so many choices of arguments without progress, no further one is tried.
PATIENCE = 6


def forward_graph(module: nn.Module) -> fx.Graph:
    """Return the graph of a module's forward, with the arguments that reach the most layers.

    Args:
        module: Any module.

    Raises:
        Exception: The forward raises on proxies with every choice of arguments.
        EndlessError: It seems not to end on proxies.
    """
    layers = _layers_to_reach(module)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    own = _own_parameters(module)
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
        called = {name for name in layers if ("call_module", name) in targets}
        reached = len(called)
        read = {id(p) for name, p in parameters.items() if ("get_attr", name) in targets}
        reached += len(own & read)
        if len(called) < len(layers):
            read |= {id(p) for name in called for p in layers[name].parameters()}
            others = (m for name, m in layers.items() if name not in called)
            reached += sum(any(id(p) in read for p in m.parameters()) for m in others)
        if reached > most:
            best, most, without_progress = graph, reached, 0
        if reached == len(layers) + len(own):
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


def _own_parameters(module: nn.Module) -> set[int]:
    """Return the identities of the parameters outside torch's layers, such as a mask token."""
    holders = (m for m in module.modules() if not type(m).__module__.startswith("torch."))
    return {
        id(parameter)
        for holder in holders
        if not isinstance(holder, (*LAYERS, *PACKED, *NORMS))
        for parameter in holder.parameters(recurse=False)
    }


class LayerTracer(ProxyTracer):
    """Trace a forward down to single layers, norms and activations."""

    def __init__(self, model: nn.Module, arguments: tuple[str, ...] | None = None) -> None:
        super().__init__(model, arguments)
        # Classified in advance: during a trace, a call of a module is recorded, not run.
        self.modules = set(model.modules())
        self.leaves = {m for m in self.modules if isinstance(m, (*LAYERS, *PACKED, *NORMS))}
        # torch.fx treats torch's own modules as leaves already.
        single = (m for m in self.modules if next(m.children(), None) is None)
        users = (m for m in single if not type(m).__module__.startswith("torch."))
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
