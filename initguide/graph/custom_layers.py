"""Norms and linear layers that torch does not know, told by what they do with a probe.

Many libraries write their own: an RMS norm whose weight is counted from zero, a linear layer that
holds its weight as (in, out). What a module does says what it is, whatever it is called.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from initguide._state import unchanged, without_hooks
from initguide.graph.param_roles import PLAIN, name_of, use_of
from initguide.graph.proxies import SymbolTracer, calls


@dataclass(frozen=True)
class Foreign:
    """What a module is.

    Attributes:
        neutral: Of a norm: the values of its parameters at which its output has unit scale.
        flipped: Of a linear layer: whether its weight is `(in, out)`; None where it is none.
    """

    neutral: dict[str, float] | None = None
    flipped: bool | None = None


# What was found, with the shapes that it was found for.
_FOUND: WeakKeyDictionary[nn.Module, tuple[object, Foreign]] = WeakKeyDictionary()
_NONE = Foreign()


def foreign(module: nn.Module) -> Foreign:
    """Return what a module is that is none of torch's own and holds no other module."""
    held = module._parameters
    # A subclass of one of torch's layers is that.
    bases = (kind.__module__ for kind in type(module).__mro__ if kind is not nn.Module)
    if not held or module._modules or any(name.startswith("torch.nn.") for name in bases):
        return _NONE
    shapes = {name: p.shape for name, p in held.items() if p is not None}
    if not shapes or any(p is not None and nn.parameter.is_lazy(p) for p in held.values()):
        return _NONE
    known = _FOUND.get(module)
    if known is None or known[0] != shapes:
        # Until it is known: the trace asks as well.
        _FOUND[module] = shapes, _NONE
        with unchanged(module):
            known = _FOUND[module] = shapes, _found(module, shapes)
    return known[1]


def _found(module: nn.Module, shapes: dict[str, torch.Size]) -> Foreign:
    if len(shapes) > 2 or module._buffers:
        return _NONE
    sizes = list(shapes.values())
    if all(len(size) == 1 for size in sizes) and len(set(sizes)) == 1 and sizes[0][0] > 1:
        return Foreign(neutral=_neutral(module, [*shapes], sizes[0][0]))
    if len(shapes.get("weight", ())) == 2 and set(shapes) <= {"weight", "bias"}:
        return Foreign(flipped=_flipped(module))
    return _NONE


def _run(module: nn.Module, values: dict[str, Tensor], x: Tensor) -> Tensor | None:
    """Return what a module makes of an input with these parameters; None if it cannot."""
    try:
        with torch.no_grad():
            y = functional_call(without_hooks(module), values, (x,))
    except Exception:
        # Of any type: it is anybody's forward, on an input that it may not be for.
        return None
    return y if isinstance(y, Tensor) and y.is_floating_point() and y.isfinite().all() else None


def _neutral(module: nn.Module, names: list[str], size: int) -> dict[str, float] | None:
    """Return the values at which the output's scale is one whatever that of the input is."""
    source = torch.Generator().manual_seed(0)
    for tail in ((), (5,), (4, 4)):
        x = torch.randn(4, size, *tail, generator=source)
        for values in itertools.product((1.0, 0.0), repeat=len(names)):
            given = {name: torch.full((size,), v) for name, v in zip(names, values, strict=True)}
            y, other = _run(module, given, x), _run(module, given, 8 * x)
            if y is None or other is None or y.shape != x.shape:
                continue
            rms = y.square().mean().sqrt().item()
            varies = (y - y.mean(0)).square().mean().sqrt().item() > 0.5
            if varies and 0.8 < rms < 1.25 and torch.allclose(y, other, atol=0.05):
                return dict(zip(names, values, strict=True))
    return None


def _flipped(module: nn.Module) -> bool | None:
    """Return whether a linear layer's weight is (in, out); None if it is no linear layer."""
    try:
        given = next(calls(module))
        graph = SymbolTracer(module, given).trace(module)
    except Exception:
        # Of any type: it is anybody's forward, and may not run on symbols.
        return None
    use, nodes = None, list(graph.nodes)
    for node in nodes:
        if node.op == "get_attr" and node.target == "weight":
            use = use_of(node, module._parameters["weight"])  # pyright: ignore[reportArgumentType]
    # Nothing but the product, the bias, and what moves values.
    done = [n for n in nodes if n.op in ("call_function", "call_method", "call_module")]
    plain = all(n is getattr(use, "node", None) or name_of(n) in PLAIN for n in done)
    returned = isinstance(nodes[-1].args[0], fx.Node)
    return use.flipped if use and use.kind == "weight" and plain and returned else None


class _Dense(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, nn.Module) and foreign(instance).flipped is not None


class _Norm(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, nn.Module) and foreign(instance).neutral is not None


class Dense(nn.Module, metaclass=_Dense):
    """Whatever acts as a linear layer; it stands among torch's classes where those are listed."""


class Norm(nn.Module, metaclass=_Norm):
    """Whatever acts as a normalization."""


def neutrals(model: nn.Module) -> Iterator[tuple[str, float]]:
    """Yield the names of the parameters of such norms, and their neutral values."""
    for owner, module in model.named_modules(remove_duplicate=False):
        for key, value in (foreign(module).neutral or {}).items():
            yield (f"{owner}.{key}" if owner else key), value
