"""The kinds of nodes in a graph: layers, activations, and operations that pass the signal on."""

import functools
import re
from typing import Any

import torch
from torch import fx, nn

from initguide._torch_internals import PASSING_MODULES, without_hooks
from initguide.activations import FUNCTIONS, Nonlinearity, function_of, key_of
from initguide.graph.gated import glu
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER
from initguide.graph.model_graph import ModelGraph
from initguide.graph.operations import (
    FACTORS,
    MATRIX_PRODUCTS,
    SIZES,
    WITHOUT_SIGNAL,
    averages,
    computes_with_weight,
    operation_name,
)

# Operations that pass the signal on to the activation: sums, norms, dropout, pooling, reshapes.
_PASSING = re.compile(
    r"i?add|i?sub|neg|(view|reshape|expand|type)(_as)?|view_as_(complex|real)|normalize|topk|(un)?flatten|permute|transpose|movedim|contiguous|(un)?squeeze|"
    r"chunk|split|cat|concat|stack|getitem|mean|sum|amax|\w+_pool\dd|(alpha_)?dropout(\dd)?|"
    r"\w+_norm|to|float|type|clone|detach|repeat(_interleave)?|interpolate|pad|"
    r"pixel_shuffle|unbind|roll|flip|m?T|index_(add|select)|scatter(_add|_reduce)?|gather|t|"
    r"adjoint|swapaxes|swapdims|copy|setitem|masked_(fill|scatter)|where|index_(put|reduce)|narrow|select|"
    r"tensor_split|unfold|broadcast_tensors|adaptive_\w+_pool\dd"
)
_ATTENTION = {"scaled_dot_product_attention", "softmax", "log_softmax", "logsumexp", "baddbmm"}
# Activations that torch has and `FUNCTIONS` has not.
_TORCH_ACTIVATIONS = ("sin", "cos", "erf", "abs")


def classify(node: fx.Node, view: ModelGraph) -> tuple[str, str, Any]:
    """Return the kind of a node, its name in reports, and the function if it is an activation.

    The kind is "layer", "pass", "activation", "attention", "product", "output" or "unknown".
    """
    if node.op == "output":
        return "output", "output", None
    if node.op == "call_module":
        return _classify_module(node.meta["module"])
    if isinstance(node.target, type):
        # A dataclass or another object that holds the outputs.
        return "pass", operation_name(node), None
    name = operation_name(node)
    if node in view.layers or computes_with_weight(node):
        return "layer", name, None
    if _PASSING.fullmatch(name) or node in view.own_norms:
        return "pass", name, None
    if name in FACTORS or name in MATRIX_PRODUCTS:
        # A product with an input, such as a mask or the matrix of a graph, passes the signal on.
        signals = [each for each in node.all_input_nodes if each in view.after_layers]
        if len(signals) == 1 or (name in MATRIX_PRODUCTS and averages(node)):
            return "pass", name, None
        return ("product" if name in FACTORS else "attention"), name, None
    if name in {*_ATTENTION, *WITHOUT_SIGNAL, *SIZES, "getattr"}:
        return "attention", name, None
    if name == "glu":
        return "activation", name, glu()
    if name in FUNCTIONS or name in _TORCH_ACTIVATIONS:
        return "activation", name, activation_of_call(name, node)
    return "unknown", name, None


def _classify_module(module: nn.Module) -> tuple[str, str, Any]:
    file, name = type(module).__module__.rpartition(".")[2], type(module).__name__
    if isinstance(module, (*LAYERS, *PACKED, *TRANSFORMER)):
        return "layer", name, None
    if file in PASSING_MODULES or isinstance(module, (nn.Identity, *NORMS)):
        return "pass", file, None
    if isinstance(module, (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)):
        return "attention", "softmax", None
    if isinstance(module, nn.GLU):
        return "activation", "glu", glu()
    if isinstance(module, nn.PReLU):
        # Every recipe sets the slope to torch's default, so its present value does not matter.
        return "activation", "prelu", "prelu"
    return classify_elementwise(module) or "unknown", name.lower(), without_hooks(module)


def is_elementwise(module: nn.Module) -> bool:
    """Return whether a module computes a function of each entry, other than the identity."""
    kind, _, value = _classify_module(module)
    return kind == "activation" or (kind == "pass" and value is not None)


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


def activation_of_call(name: str, node: fx.Node) -> Nonlinearity:
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
