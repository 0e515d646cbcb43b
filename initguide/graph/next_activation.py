"""What a layer's output meets in the graph of a forward pass."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn

from initguide._state import without_hooks
from initguide.activations import FUNCTIONS, Nonlinearity, function_of, key_of
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER, Place
from initguide.graph.param_roles import name_of

# What hands the signal on to the activation: norms, dropout, pooling, anything that moves values.
_PASS_MODULES = {"batchnorm", "normalization", "instancenorm", "dropout", "pooling", "padding"}
_PASS_MODULES |= {"flatten", "fold", "pixelshuffle", "upsampling", "channelshuffle"}
_PASS = re.compile(
    r"i?add|i?sub|neg|view|reshape|(un)?flatten|permute|transpose|movedim|contiguous|(un)?squeeze|"
    r"chunk|split|cat|concat|stack|getitem|mean|sum|amax|\w+_pool\dd|(alpha_)?dropout(\dd)?|"
    r"\w+_norm|to|float|type|clone|detach|expand(_as)?|repeat(_interleave)?|interpolate|pad|"
    r"pixel_shuffle|unbind|roll|flip|m?T"
)
_PRODUCT = {"mul", "imul", "multiply", "div", "truediv", "itruediv"}
_ATTENTION = {"scaled_dot_product_attention", "softmax", "matmul", "bmm", "baddbmm", "einsum"}
_ATTENTION |= {"log_softmax", "size", "getattr", "mm", "grouped_mm"}
_PLAIN = ("sin", "cos", "erf", "abs")


def following(node: fx.Node, modules: dict[str, nn.Module], *, whole: bool) -> Place:
    """Return the place of a layer from what its output meets.

    Args:
        node: The layer's call.
        modules: What is called, by name.
        whole: Whether the graph is that of the whole model; else what follows its output is not
            known.
    """
    met: dict[str, Nonlinearity] = {}
    unknown: list[str] = []
    products: list[str] = []
    for user in _downstream(node, modules):
        kind, label, value = classify(user, modules)
        if kind == "activation":
            met[label] = value
        elif kind == "unknown":
            unknown.append(label)
        elif kind == "product":
            products.append(label)
        elif kind == "output" and not whole:
            unknown.append("what follows the submodule")
    last = whole and not any(is_layer(user, modules) for user in _reached(node))
    if met:
        (label, value), *others = met.items()
        also = [name for name in (*dict(others), *products, *unknown) if " " not in name]
        note = f"also followed by {', '.join(dict.fromkeys(also))}" if also else ""
        return Place(value, label, last=last, note=note)
    names = ", ".join(dict.fromkeys(unknown))
    note = "multiplied by another signal, and taken as linear" if products else ""
    return Place(last=last, note=f"{names} is not known, and taken as linear" if unknown else note)


def is_layer(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Return whether a node calls what holds weights that sum inputs."""
    owner = modules.get(str(node.target)) if node.op == "call_module" else None
    return isinstance(owner, (*LAYERS, *PACKED, *TRANSFORMER))


def _downstream(node: fx.Node, modules: dict[str, nn.Module]) -> Iterator[fx.Node]:
    """Yield what a node's output reaches through what only hands it on."""
    seen, queue = set(), list(node.users)
    while queue:
        user = queue.pop(0)
        if user in seen:
            continue
        seen.add(user)
        if classify(user, modules)[0] == "pass":
            queue += user.users
        else:
            yield user


def _reached(node: fx.Node) -> Iterator[fx.Node]:
    seen, queue = set(), list(node.users)
    while queue:
        user = queue.pop()
        if user not in seen:
            seen.add(user)
            yield user
            queue += user.users


def classify(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[str, str, Any]:
    """Return a node's kind, its name for people, and an activation's function."""
    if node.op == "output":
        return "output", "output", None
    if node.op == "call_module":
        return _classify_module(modules[str(node.target)])
    name = name_of(node)
    signals = [each for each in node.all_input_nodes if each.op != "get_attr"]
    if _PASS.fullmatch(name) or (name in _PRODUCT and len(signals) == 1):
        return "pass", name, None
    if name in _ATTENTION:
        return "attention", name, None
    if _is_silu(node) or (name == "sigmoid" and all(_is_silu(user) for user in node.users)):
        return "activation", "silu", "silu"
    if name in _PRODUCT:
        return "product", name, None
    if name in FUNCTIONS or name in _PLAIN:
        return "activation", name, _function(name, node)
    return "unknown", name, None


def _classify_module(module: nn.Module) -> tuple[str, str, Any]:
    family, name = type(module).__module__.rpartition(".")[2], type(module).__name__
    if isinstance(module, (*LAYERS, *PACKED, *TRANSFORMER)):
        return "layer", name, None
    if family in _PASS_MODULES or isinstance(module, (nn.Identity, *NORMS)):
        return "pass", family, None
    if isinstance(module, (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)):
        return "attention", "softmax", None
    if isinstance(module, nn.PReLU):
        # Whatever its slope is now, it will start at torch's.
        return "activation", "prelu", "prelu"
    return own_activation(module) or "unknown", name.lower(), without_hooks(module)


def own_activation(module: nn.Module) -> str | None:
    """Return "activation" or "pass" for a module of one elementwise function, scalars included."""
    key = key_of(module)
    if key is None:
        return _own_activation(module)
    if key not in _KNOWN:
        _KNOWN[key] = _own_activation(module)
    return _KNOWN[key]


_KNOWN: dict[str, str | None] = {}


def _own_activation(module: nn.Module) -> str | None:
    held = [*module.parameters(), *module.buffers()]
    if next(module.children(), None) is not None or any(t.numel() != 1 or t.is_meta for t in held):
        return None
    probe = torch.linspace(-3, 3, 31, dtype=torch.float64)
    try:
        value = function_of(without_hooks(module))(probe)
    except Exception:
        # Of any type: it is anybody's forward.
        return None
    scale = value[-1] / probe[-1]
    return "pass" if torch.allclose(value, scale * probe) else "activation"


def _is_silu(node: fx.Node) -> bool:
    """Return whether a node multiplies a signal by its own sigmoid."""
    if name_of(node) != "mul" or len(node.all_input_nodes) != 2:
        return False
    pairs = (node.all_input_nodes, node.all_input_nodes[::-1])
    return any(name_of(gate) == "sigmoid" and gate.all_input_nodes == [z] for z, gate in pairs)


def _function(name: str, node: fx.Node) -> Nonlinearity:
    """Return an activation that was called as a function or method, with what it was given."""
    options = {k: v for k, v in node.kwargs.items() if k not in ("input", "inplace")}
    given = [*node.args[1:], *options.values()]
    # What the model computes itself, such as the slope of a PReLU, is not known here.
    if not given or any(isinstance(value, fx.Node) for value in given):
        return name if name in FUNCTIONS else getattr(torch, name)
    function = FUNCTIONS[name] if node.op == "call_method" else node.target
    return functools.partial(_call, function, node.args[1:], options)


def _call(function: Any, numbers: tuple[Any, ...], options: dict[str, Any], z: Any) -> Any:
    return function(z, *numbers, **options)
