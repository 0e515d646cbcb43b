"""Describe a layer in messages: its name, how many others share a fault, and what to do."""

import math
from contextlib import suppress
from statistics import mode

from torch import nn

from initguide.activations import FUNCTIONS
from initguide.diagnostics.layer import EMBEDDINGS, Layer
from initguide.diagnostics.weights import OwnWeight
from initguide.gains import unit_gain
from initguide.graph.custom_layers import CustomLinear
from initguide.layers.convolution import CONVOLUTIONS
from initguide.recipes.implicit import recipe_for_sine

# A gain within this of the right one is right: draws of small weights differ by as much.
RIGHT = 0.05
# Their mean is one half, which no gain removes.
_OFFSET = ("sigmoid", "hardsigmoid")
_KNOWN = {name.replace("_", "") for name in FUNCTIONS} | {"output"}
# In the forward of these classes, the output has the gain of the weight.
_PLAIN = {layer.forward for layer in (nn.Linear, nn.Bilinear, *CONVOLUTIONS)}


def name_of(layer: Layer) -> str:
    """Return the name of a layer; a model that is a single layer has an empty name."""
    return layer.name or "model"


def more(found: list) -> str:
    """Return how many other layers have the same fault, in words."""
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


def remedy(layer: Layer, first: str = "") -> str:
    """Return what to do about a lost signal; `first` is enough if the gain is right already."""
    label = layer.place.label
    if label in _OFFSET:
        return f"no gain removes the mean of a {label}; use another activation, such as tanh"
    gains = _gains(layer)
    if first and gains and _agree(*gains):
        return first
    return f"{first}; {scale(layer)}" if first else scale(layer)


def scale(layer: Layer) -> str:
    """Return what to do about the scale of a layer, in numbers where they are understood."""
    reason, label = "", layer.place.label
    if recipe := recipe_for_sine(layer.place):
        return f"for a sine, use the recipe {recipe!r}"
    if layer.has_set_scale:
        reason = "its spectral norm sets its scale"
    elif not _is_plain(layer):
        reason = f"the forward of {layer.kind} is its own"
    elif layer.place.note or label.replace("_", "") not in _KNOWN:
        reason = f"no gain is derived for {label}"
        if layer.place.note:
            reason = "the activation that follows is not known"
    gains = _gains(layer)
    if gains is not None and not reason:
        gain, right = gains
        if layer.ends and gain < right:
            return not_understood("a layer that ends a branch may be small")
        if not _agree(gain, right):
            return (
                f"{layer.kind} before {label} has gain {gain:.2g}, and the right gain is "
                f"{right:.3g}: use initialize_ or a normalization"
            )
        reason = "the gain of this layer is right"
    if reason:
        return not_understood(reason)
    return "use initialize_ or a normalization"


def not_understood(reason: str) -> str:
    """Return the hint where no number is known to help."""
    return f"not understood, because {reason}: see guide/best-practices.md"


def _is_plain(layer: Layer) -> bool:
    """Return whether the gain of a layer is that of its weight, or the layer has no gain."""
    module = layer.module
    if isinstance(module, OwnWeight) or not hasattr(module, "weight"):
        return True
    plain = type(module).forward in _PLAIN or isinstance(module, CustomLinear)
    return plain or isinstance(module, EMBEDDINGS)


def _gains(layer: Layer) -> tuple[float, float] | None:
    """Return the gain of a layer and the right gain, where gains have a meaning."""
    fan_in = layer.weights.fan_in
    with suppress(ValueError, TypeError):
        if fan_in and hasattr(layer.module, "weight") and not layer.is_table:
            return layer.weights.rms * math.sqrt(fan_in), unit_gain(layer.place.nonlinearity)
    return None


def _agree(gain: float, right: float) -> bool:
    return abs(gain / right - 1) < RIGHT


def std_of(layer: Layer) -> float:
    """Return the std over the batch; the rms if there is only one input."""
    return layer.output[1] if layer.batched else layer.output[2]


def read_by(layer: Layer) -> float | None:
    """Return the rms of a layer's input."""
    return layer.input[2] if layer.input else layer.read


def hidden(layers: list[Layer]) -> list[Layer]:
    """Return the layers that must keep the size of the signal.

    A head and the last layer of a branch are not among them: they may be small, or zero. So may a
    layer whose output the forward adds to a larger number, such as one.
    """
    return [
        layer
        for layer in layers
        if not (layer is layers[-1] or layer.head or layer.ends or layer.weights.zero)
        and not layer.added > layer.output[2]
    ]


def branch_ends(layers: list[Layer]) -> list[Layer]:
    """Return the layers that end residual branches.

    A router scales the sum that a branch adds, and does not end the branch.
    """
    ends = [layer for layer in layers if layer.ends]
    width = mode([layer.units for layer in ends] or [0])
    return [layer for layer in ends if layer.units == width and not layer.is_table]
