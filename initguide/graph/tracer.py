"""Trace a forward down to layers, norms and activations, torch's own or not."""

from typing import Any

from torch import fx, nn

from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER
from initguide.graph.next_activation import own_activation
from initguide.graph.proxies import SymbolTracer, calls

# How many ways to call a forward are tried in vain.
PATIENCE = 6


def graph_of(module: nn.Module) -> fx.Graph:
    """Return the graph of a module's forward: of the ways to call it, one that reaches all layers.

    Args:
        module: Any module.

    Raises:
        Exception: What its forward raises on symbols, however it is called.
    """
    wanted = _wanted(module)
    held = dict(module.named_parameters(remove_duplicate=False))
    best, most, failures, stale = None, -1, [], 0
    for given in calls(module):
        # Some layers no call reaches, and some forwards fail however they are called.
        stale += 1
        if stale > PATIENCE and (best is not None or given is not None):
            continue
        try:
            graph = Tracer(module, given).trace(module)
        except Exception as error:
            failures.append(error)
            continue
        targets = {(node.op, str(node.target)) for node in graph.nodes}
        # A layer may be called, or its weight read; one that shares its weight is reached as well.
        read = {id(p) for name, p in held.items() if ("get_attr", name) in targets}
        called = [m for name, m in wanted.items() if ("call_module", name) in targets]
        read |= {id(p) for m in called for p in m.parameters()}
        reached = sum(any(id(p) in read for p in m.parameters()) for m in wanted.values())
        if reached > most:
            best, most, stale = graph, reached, 0
        if reached == len(wanted):
            break
    if best is None:
        raise failures[0]
    return best


def _wanted(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers to reach; those of torch's own Transformer layers are known without."""
    modules = dict(module.named_modules())
    known = {
        m for each in modules.values() if isinstance(each, TRANSFORMER) for m in each.modules()
    }
    layers = {name: m for name, m in modules.items() if isinstance(m, (*LAYERS, *PACKED))}
    return {name: m for name, m in layers.items() if m not in known}


class Tracer(SymbolTracer):
    """Enter what the user wrote, down to torch's own layers and to activations."""

    def __init__(self, model: nn.Module, given: tuple[str, ...] | None = None) -> None:
        super().__init__(model, given)
        # Asked beforehand: while the tracer runs, to call a module is to record it.
        self.modules = set(model.modules())
        self.leaves = {m for m in self.modules if isinstance(m, (*LAYERS, *PACKED, *NORMS))}
        # torch's own are leaves anyhow.
        users = (m for m in self.modules if not type(m).__module__.startswith("torch."))
        self.leaves |= {m for m in users if own_activation(m)}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one step of the graph."""
        return m in self.leaves or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Record a call past the hooks: those of a sharded model would gather its parameters."""
        # What a forward makes for itself has no name to call it by.
        if m not in self.modules:
            return m.forward(*args, **kwargs)
        return super().call_module(m, m.forward, args, kwargs)
