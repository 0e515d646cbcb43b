"""The activation that LSUV measures after, if only that activation acts on a layer's output.

The trace finds the activation that follows a layer. Between the two may be a norm, which undoes
every scale, or a sum with another signal. Then the output of the activation does not depend on the
layer's scale alone, and the layer is measured before the activation.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from torch.nn import functional as F

from initguide._copies import private_copy
from initguide._sharding import is_sharded
from initguide.activations import FUNCTIONS, LINEAR
from initguide.graph.layer_info import LayerInfo
from initguide.graph.operations import CASTS, RESHAPES, TRANSPOSES
from initguide.graph.trace import trace
from initguide.lsuv.solve import TensorFunction
from initguide.model.params import full_name

# Operations and modules that move values, and do not mix or drop any.
_MOVES = {*CASTS, *RESHAPES, *TRANSPOSES, "pixel_shuffle", "Identity", "Flatten", "Unflatten"}
_MOVES |= {"PixelShuffle", "PixelUnshuffle", "ChannelShuffle"}


@dataclass(frozen=True)
class NextActivation:
    """The activation after a layer.

    Attributes:
        function: The activation; None if the layer must be measured before it.
        label: Its name.
        note: Where the std is measured, and why.
    """

    function: TensorFunction | None = None
    label: str = ""
    note: str = ""


def next_activations(model: nn.Module, names: list[str]) -> dict[str, NextActivation]:
    """Return the activation after each of the layers with these names."""
    traced, result = trace(model), {}
    for name in names:
        # The output of attention is that of its projection.
        info = traced.layers.get(full_name(name, "out_proj")) or traced.layer(name)
        result[name] = _next_activation(model, info)
    return result


def _next_activation(model: nn.Module, info: LayerInfo) -> NextActivation:
    obstacles = [step for step in dict.fromkeys(info.between) if step not in _MOVES]
    value: Any = info.nonlinearity
    reason = ""
    if isinstance(value, str) and value in LINEAR:
        reason = info.note or "no activation follows"
    elif obstacles:
        reason = f"{', '.join(obstacles)} before {info.label}"
    elif info.label == "prelu":
        slopes = {slope for m in model.modules() if isinstance(m, nn.PReLU) for slope in _slopes(m)}
        value = partial(F.leaky_relu, negative_slope=next(iter(slopes), 0.0))
        reason = "" if len(slopes) == 1 else f"prelu has {len(slopes) or 'unknown'} slopes"
    elif isinstance(value, nn.Module):
        if any(is_sharded(p) for p in value.parameters()):
            reason = f"{info.label} has sharded parameters"
        value = private_copy(value).eval()
    if reason:
        return NextActivation(note=f"measured at the output: {reason}")
    function = FUNCTIONS[value] if isinstance(value, str) else value
    also = f", {info.note}" if info.note else ""
    return NextActivation(function, info.label, f"measured after {info.label}{also}")


def _slopes(module: nn.PReLU) -> list[float]:
    weight: Any = module.weight.detach()
    return (weight.full_tensor() if is_sharded(weight) else weight).tolist()
