"""Recognize the norms and linear layers of other libraries by their output.

Many libraries write their own: an RMS norm whose weight is an offset from one, or a linear layer
that stores its weight as (in, out). Names differ, so each module is tried on a random input, or its
forward is traced.
"""

import functools
import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from initguide._isolation import isolated
from initguide._torch_internals import without_hooks
from initguide.fans import Layout
from initguide.graph.operations import operation_name
from initguide.graph.param_roles import LINEAR_LAYER_STEPS, input_dependent, role_of
from initguide.graph.proxies import EndlessError, ProxyTracer, argument_choices


@dataclass(frozen=True)
class CustomLayer:
    """What a module outside torch computes.

    Attributes:
        neutral_values: If it is a norm: the values of its parameters at which the output has unit
            scale.
        layout: If it is a linear layer: the order of its weight's axes.
    """

    neutral_values: dict[str, float] | None = None
    layout: Layout | None = None


# The result for a module, and the parameter shapes that it holds for.
_CACHE: WeakKeyDictionary[nn.Module, tuple[object, CustomLayer]] = WeakKeyDictionary()
_NEITHER = CustomLayer()


def custom_layer(module: nn.Module, private: nn.Module | None = None) -> CustomLayer:
    """Recognize a module that is outside torch and holds no other module.

    Args:
        module: The module; it does not run.
        private: A private copy of it, which runs; one is made if there is none.
    """
    if _is_of_torch(type(module)) or next(module.children(), None) is not None:
        return _NEITHER
    parameters = dict(module.named_parameters(recurse=False, remove_duplicate=False))
    is_lazy = any(nn.parameter.is_lazy(parameter) for parameter in parameters.values())
    if not parameters or is_lazy:
        return _NEITHER
    shapes = {name: parameter.shape for name, parameter in parameters.items()}
    known = _CACHE.get(module)
    if known is None or known[0] != shapes:
        with isolated(module, values=False) if private is None else nullcontext(private) as copied:
            # The trace below asks for this module as well, and must get an answer.
            _CACHE[copied] = shapes, _NEITHER
            known = _CACHE[module] = shapes, _recognize(copied, shapes)
    if private is not None:
        _CACHE[private] = known
    return known[1]


@functools.lru_cache(1024)
def _is_of_torch(kind: type) -> bool:
    """Return whether a class is a layer of torch, or a subclass of one."""
    bases = (base.__module__ for base in kind.__mro__ if base is not nn.Module)
    return any(name.startswith("torch.nn.") for name in bases)


def _recognize(module: nn.Module, shapes: dict[str, torch.Size]) -> CustomLayer:
    if len(shapes) > 2 or next(module.buffers(recurse=False), None) is not None:
        return _NEITHER
    sizes = list(shapes.values())
    if all(len(size) == 1 for size in sizes) and len(set(sizes)) == 1 and sizes[0][0] > 1:
        return CustomLayer(neutral_values=_neutral_values(module, [*shapes], sizes[0][0]))
    if len(shapes.get("weight", ())) == 2 and set(shapes) <= {"weight", "bias"}:
        return CustomLayer(layout=_layout(module))
    return _NEITHER


def _run(module: nn.Module, values: dict[str, Tensor], x: Tensor) -> Tensor | None:
    """Return a module's output for these parameters and this input, or None if it has none."""
    try:
        with torch.no_grad(), torch.device("cpu"):
            y = functional_call(without_hooks(module), values, (x,))
    except Exception:
        # A forward of other people may raise anything on an input that it is not made for.
        return None
    return y if isinstance(y, Tensor) and y.is_floating_point() and y.isfinite().all() else None


def _neutral_values(module: nn.Module, names: list[str], size: int) -> dict[str, float] | None:
    """Return the parameters at which inputs of any scale give an output of unit scale."""
    source = torch.Generator().manual_seed(0)
    for more in ((), (5,), (4, 4)):
        x = torch.randn(4, size, *more, generator=source, device="cpu")
        for numbers in itertools.product((1.0, 0.0), repeat=len(names)):
            values = {
                n: torch.full((size,), v, device="cpu") for n, v in zip(names, numbers, strict=True)
            }
            y, of_larger = _run(module, values, x), _run(module, values, 8 * x)
            if y is None or of_larger is None or y.shape != x.shape:
                continue
            rms = y.square().mean().sqrt().item()
            varies = (y - y.mean(0)).square().mean().sqrt().item() > 0.5
            if varies and 0.8 < rms < 1.25 and torch.allclose(y, of_larger, atol=0.05):
                return dict(zip(names, numbers, strict=True))
    return None


def _layout(module: nn.Module) -> Layout | None:
    """Return the layout of a linear layer's weight, or None if the module is no linear layer."""
    try:
        arguments = next(argument_choices(module))
        graph = ProxyTracer(module, arguments).trace(module)
    except (Exception, EndlessError):
        # A forward of other people may not run on proxies.
        return None
    role, nodes, dynamic = None, list(graph.nodes), input_dependent(graph)
    for node in nodes:
        if node.op == "get_attr" and node.target == "weight":
            role = role_of(node, module.get_parameter("weight"), dynamic)
    operations = [n for n in nodes if n.op in ("call_function", "call_method", "call_module")]
    is_plain = all(
        n is getattr(role, "node", None) or operation_name(n) in LINEAR_LAYER_STEPS
        for n in operations
    )
    returns_tensor = isinstance(nodes[-1].args[0], fx.Node)
    return role.layout if role and role.kind == "weight" and is_plain and returns_tensor else None


class _CustomLinearType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, nn.Module) and custom_layer(instance).layout is not None


class _CustomNormType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, nn.Module) and custom_layer(instance).neutral_values is not None


class CustomLinear(nn.Module, metaclass=_CustomLinearType):
    """Every module that computes a linear layer, for `isinstance` beside torch's classes."""


class CustomNorm(nn.Module, metaclass=_CustomNormType):
    """Every module that computes a normalization, for `isinstance` beside torch's classes."""


def custom_norm_values(model: nn.Module) -> Iterator[tuple[str, float]]:
    """Yield the name and the neutral value of each parameter of a custom norm."""
    for owner, module in model.named_modules(remove_duplicate=False):
        for key, value in (custom_layer(module).neutral_values or {}).items():
            yield (f"{owner}.{key}" if owner else key), value
