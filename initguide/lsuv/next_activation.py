"""What acts on the output of a layer and nothing else: the activation that LSUV may measure behind.

The trace tells which activation follows. Between the two may stand a norm, which undoes every
scale, or a sum with another signal: then the activation's output does not tell the layer's scale.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import fx, nn
from torch.nn import functional as F

from initguide._sharding import is_sharded
from initguide._state import unchanged
from initguide.activations import FUNCTIONS, LINEAR
from initguide.graph.next_activation import classify
from initguide.graph.trace import LAYERS, Place, trace
from initguide.graph.tracer import graph_of
from initguide.lsuv.solve import Function

# What moves values, and neither mixes nor drops any.
_MOVES = {"view", "reshape", "flatten", "unflatten", "permute", "transpose", "movedim"}
_MOVES |= {"contiguous", "squeeze", "unsqueeze", "mT", "T", "to", "float", "type", "clone"}
_MOVES |= {"detach", "pixel_shuffle", "Identity", "Flatten", "Unflatten"}
_MOVES |= {"PixelShuffle", "PixelUnshuffle", "ChannelShuffle"}


@dataclass(frozen=True)
class Follower:
    """The activation behind a layer, None where it is not to be had, and a note for the report."""

    function: Function | None = None
    label: str = ""
    note: str = ""


def followers(model: nn.Module, names: list[str]) -> dict[str, Follower]:
    """Return what follows each of the layers of these names."""
    found, between = trace(model), {}
    with unchanged(model):
        for prefix, graph, modules in _graphs(model, ""):
            for node in graph.nodes:
                if node.op == "call_module" and isinstance(
                    modules[str(node.target)], (*LAYERS, nn.MultiheadAttention)
                ):
                    between.setdefault(prefix + str(node.target), _between(node, modules))
    result = {}
    for name in names:
        # The output of attention is that of its projection.
        last = f"{name}.out_proj" if name else "out_proj"
        place = found.places.get(last) or found.place(name)
        result[name] = _follower(model, place, between.get(name, []))
    return result


def _follower(model: nn.Module, place: Place, between: list[str]) -> Follower:
    blocks = [step for step in dict.fromkeys(between) if step not in _MOVES]
    value: Any = place.nonlinearity
    reason = ""
    if isinstance(value, str) and value in LINEAR:
        reason = place.note or "no activation follows"
    elif blocks:
        reason = f"{', '.join(blocks)} before {place.label}"
    elif place.label == "prelu":
        slopes = {slope for m in model.modules() if isinstance(m, nn.PReLU) for slope in _slopes(m)}
        value = partial(F.leaky_relu, negative_slope=next(iter(slopes), 0.0))
        reason = "" if len(slopes) == 1 else f"prelu has {len(slopes) or 'unknown'} slopes"
    elif isinstance(value, nn.Module):
        if any(is_sharded(p) for p in value.parameters()):
            reason = f"{place.label} has sharded parameters"
        value = copy.deepcopy(value).eval()
    if reason:
        return Follower(note=f"std of the output: {reason}")
    function = FUNCTIONS[value] if isinstance(value, str) else value
    also = f", {place.note}" if place.note else ""
    return Follower(function, place.label, f"std behind {place.label}{also}")


def _slopes(module: nn.PReLU) -> list[float]:
    weight: Any = module.weight.detach()
    return (weight.full_tensor() if is_sharded(weight) else weight).tolist()


def _graphs(module: nn.Module, prefix: str) -> Iterator[tuple[str, fx.Graph, dict[str, nn.Module]]]:
    """Yield the graph of a model, or those of its parts where it has none."""
    try:
        graph = graph_of(module)
    except Exception:
        for name, child in module.named_children():
            yield from _graphs(child, f"{prefix}{name}.")
        return
    yield prefix, graph, dict(module.named_modules())


def _between(node: fx.Node, modules: dict[str, nn.Module]) -> list[str]:
    """Return what stands between a layer and the first activation behind it."""
    seen, queue = set(), [(user, []) for user in node.users]
    while queue:
        user, path = queue.pop(0)
        kind, label, _ = classify(user, modules)
        if kind == "activation":
            return path
        if kind == "pass" and user not in seen:
            seen.add(user)
            owner = modules.get(str(user.target)) if user.op == "call_module" else None
            step = label if owner is None else type(owner).__name__
            queue += [(each, [*path, step]) for each in user.users]
    return []
