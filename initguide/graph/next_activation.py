"""Find the activation that follows a layer in the graph of a forward pass."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn

from initguide._torch_internals import PASSING_MODULES, without_hooks
from initguide.activations import FUNCTIONS, Nonlinearity, function_of, key_of
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER, LayerInfo
from initguide.graph.param_roles import operation_name

Modules = dict[str, nn.Module]

# Operations that pass the signal on to the activation: sums, norms, dropout, pooling, reshapes.
_PASSING = re.compile(
    r"i?add|i?sub|neg|view|reshape|(un)?flatten|permute|transpose|movedim|contiguous|(un)?squeeze|"
    r"chunk|split|cat|concat|stack|getitem|mean|sum|amax|\w+_pool\dd|(alpha_)?dropout(\dd)?|"
    r"\w+_norm|to|float|type|clone|detach|expand(_as)?|repeat(_interleave)?|interpolate|pad|"
    r"pixel_shuffle|unbind|roll|flip|m?T"
)
_PRODUCTS = {"mul", "imul", "multiply", "div", "truediv", "itruediv"}
_ATTENTION = {"scaled_dot_product_attention", "softmax", "matmul", "bmm", "baddbmm", "einsum"}
_ATTENTION |= {"log_softmax", "size", "getattr", "mm", "grouped_mm"}
# Activations that torch has and `FUNCTIONS` has not.
_TORCH_ACTIVATIONS = ("sin", "cos", "erf", "abs")


def layer_info(node: fx.Node, modules: Modules, *, whole_model: bool) -> LayerInfo:
    """Return the activation that follows a layer in the graph, and a note on unknown operations.

    Args:
        node: The node that calls the layer.
        modules: The modules that the graph calls, by name.
        whole_model: Whether the graph is that of the whole model. In the graph of a submodule, the
            operation after its output is unknown.
    """
    activations: dict[str, Nonlinearity] = {}
    between: tuple[str, ...] = ()
    unknown: list[str] = []
    products: list[str] = []
    for user, path in _downstream(node, modules):
        kind, label, value = classify(user, modules)
        if kind == "activation":
            between = between if activations else path
            activations[label] = value
        elif kind == "unknown":
            unknown.append(label)
        elif kind == "product":
            products.append(label)
        elif kind == "output" and not whole_model:
            unknown.append("the operation after the submodule")
    last = whole_model and not any(is_layer(user, modules) for user in _all_downstream(node))
    if activations:
        (label, value), *others = activations.items()
        also = [name for name in (*dict(others), *products, *unknown) if " " not in name]
        note = f"also followed by {', '.join(dict.fromkeys(also))}" if also else ""
        return LayerInfo(value, label, last=last, note=note, between=between)
    names = ", ".join(dict.fromkeys(unknown))
    note = f"{names} is unknown and treated as linear" if unknown else ""
    if products and not unknown:
        note = "multiplied by another signal and treated as linear"
    return LayerInfo(last=last, note=note)


def is_layer(node: fx.Node, modules: Modules) -> bool:
    """Return whether a node calls a layer with weights that sum inputs."""
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    return isinstance(module, (*LAYERS, *PACKED, *TRANSFORMER))


def _downstream(node: fx.Node, modules: Modules) -> Iterator[tuple[fx.Node, tuple[str, ...]]]:
    """Yield the first nodes after a layer that do more than pass the signal on, with the path."""
    seen: set[fx.Node] = set()
    queue: list[tuple[fx.Node, tuple[str, ...]]] = [(user, ()) for user in node.users]
    while queue:
        user, path = queue.pop(0)
        if user in seen:
            continue
        seen.add(user)
        kind, label, _ = classify(user, modules)
        if kind == "pass":
            module = modules.get(str(user.target)) if user.op == "call_module" else None
            step = label if module is None else type(module).__name__
            queue += [(each, (*path, step)) for each in user.users]
        else:
            yield user, path


def _all_downstream(node: fx.Node) -> Iterator[fx.Node]:
    """Yield every node that depends on a node."""
    seen, queue = set(), list(node.users)
    while queue:
        user = queue.pop()
        if user not in seen:
            seen.add(user)
            yield user
            queue += user.users


def classify(node: fx.Node, modules: Modules) -> tuple[str, str, Any]:
    """Return the kind of a node, its name in reports, and the function if it is an activation.

    The kind is "layer", "pass", "activation", "attention", "product", "output" or "unknown".
    """
    if node.op == "output":
        return "output", "output", None
    if node.op == "call_module":
        return _classify_module(modules[str(node.target)])
    name = operation_name(node)
    signals = [each for each in node.all_input_nodes if each.op != "get_attr"]
    if _PASSING.fullmatch(name) or (name in _PRODUCTS and len(signals) == 1):
        return "pass", name, None
    if name in _ATTENTION:
        return "attention", name, None
    if _is_silu(node) or (name == "sigmoid" and all(_is_silu(user) for user in node.users)):
        return "activation", "silu", "silu"
    if name in _PRODUCTS:
        return "product", name, None
    if name in FUNCTIONS or name in _TORCH_ACTIVATIONS:
        return "activation", name, _activation_of_call(name, node)
    return "unknown", name, None


def _classify_module(module: nn.Module) -> tuple[str, str, Any]:
    file, name = type(module).__module__.rpartition(".")[2], type(module).__name__
    if isinstance(module, (*LAYERS, *PACKED, *TRANSFORMER)):
        return "layer", name, None
    if file in PASSING_MODULES or isinstance(module, (nn.Identity, *NORMS)):
        return "pass", file, None
    if isinstance(module, (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)):
        return "attention", "softmax", None
    if isinstance(module, nn.PReLU):
        # Every recipe sets the slope to torch's default, so its present value does not matter.
        return "activation", "prelu", "prelu"
    return classify_elementwise(module) or "unknown", name.lower(), without_hooks(module)


def classify_elementwise(module: nn.Module) -> str | None:
    """Return "pass" for a module that scales its input, "activation" for another function.

    A module that is not elementwise, or that holds more than scalars, gives None.
    """
    key = key_of(module)
    if key is None:
        return _classify_elementwise(module)
    kind = _ELEMENTWISE.get(key) or _classify_elementwise(module)
    # None may be a failure of this one call, so it is not kept.
    if kind is not None:
        _ELEMENTWISE[key] = kind
    return kind


_ELEMENTWISE: dict[str, str] = {}


def _classify_elementwise(module: nn.Module) -> str | None:
    state = [*module.parameters(), *module.buffers()]
    only_scalars = all(tensor.numel() == 1 and not tensor.is_meta for tensor in state)
    if next(module.children(), None) is not None or not only_scalars:
        return None
    probe = torch.linspace(-3, 3, 31, dtype=torch.float64, device="cpu")
    try:
        value = function_of(without_hooks(module))(probe)
    except Exception:
        # A forward of other people may raise anything on an input that it is not made for.
        return None
    scale = value[-1] / probe[-1]
    return "pass" if torch.allclose(value, scale * probe) else "activation"


def _is_silu(node: fx.Node) -> bool:
    """Return whether a node multiplies a signal by its own sigmoid."""
    if operation_name(node) != "mul" or len(node.all_input_nodes) != 2:
        return False
    pairs = (node.all_input_nodes, node.all_input_nodes[::-1])
    return any(
        operation_name(gate) == "sigmoid" and gate.all_input_nodes == [z] for z, gate in pairs
    )


def _activation_of_call(name: str, node: fx.Node) -> Nonlinearity:
    """Return the activation that a function or method call computes, with its options."""
    options = {k: v for k, v in node.kwargs.items() if k not in ("input", "inplace")}
    values = [*node.args[1:], *options.values()]
    # Options that the model computes, such as the slope of a PReLU, are not known here.
    if not values or any(isinstance(value, fx.Node) for value in values):
        return name if name in FUNCTIONS else getattr(torch, name)
    function = FUNCTIONS[name] if node.op == "call_method" else node.target
    return functools.partial(_call, function, node.args[1:], options)


def _call(function: Any, numbers: tuple[Any, ...], options: dict[str, Any], z: Any) -> Any:
    return function(z, *numbers, **options)
