"""Describe a layer in messages: its name, how many others share a fault, and what to do."""

import math
from contextlib import suppress

from initguide.diagnostics.hooks import EMBEDDINGS, Layer
from initguide.diagnostics.weights import kind
from initguide.gains import unit_gain

# A gain within this of the right one is right: draws of small weights differ by as much.
RIGHT = 0.05
# Their mean is one half, which no gain removes.
_OFFSET = ("sigmoid", "hardsigmoid")


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
    """Return what to do about the scale of a layer, in numbers where a gain has a meaning."""
    gains = _gains(layer)
    if gains is None:
        return "use initialize_ or a normalization"
    gain, right = gains
    subject = f"{kind(layer.module)} before {layer.place.label}"
    if _agree(gain, right):
        return (
            f"{subject} has the right gain, {right:.3g}: use a normalization or residual branches"
        )
    return (
        f"{subject} has gain {gain:.2g}, and the right gain is {right:.3g}: use initialize_ or a "
        "normalization"
    )


def _gains(layer: Layer) -> tuple[float, float] | None:
    """Return the gain of a layer and the right gain, where gains have a meaning."""
    with suppress(ValueError, TypeError):
        if hasattr(layer.module, "weight") and not isinstance(layer.module, EMBEDDINGS):
            right = unit_gain(layer.place.nonlinearity)
            return layer.weights.rms * math.sqrt(layer.weights.fan_in), right
    return None


def _agree(gain: float, right: float) -> bool:
    return abs(gain / right - 1) < RIGHT


def std_of(layer: Layer) -> float:
    """Return the std over the inputs; the rms if there is only one input."""
    return layer.output[1] if layer.batched else layer.output[2]


def hidden(layers: list[Layer]) -> list[Layer]:
    """Return the layers that must keep the size of the signal.

    A head and the last layer of a branch are not among them: they may be small, or zero.
    """
    return [
        layer
        for layer in layers[:-1]
        if not (layer.output_of_model or layer.place.ends or layer.weights.zero)
    ]
