"""Say what is wrong: the kinds of verdict, the pages that explain them, the cure in numbers."""

import math
from contextlib import suppress

from initguide.diagnostics.hooks import EMBEDDINGS, Layer
from initguide.diagnostics.report import Verdict
from initguide.diagnostics.weights import kind
from initguide.gains import unit_gain

VERDICTS: dict[str, str] = {
    "non-finite values": "guide/what-are-initializations.md",
    "zero layer": "guide/methods/constant.md",
    "cloned layers": "guide/methods/constant.md",
    "inputs shifted": "guide/methods/lsuv.md",
    "inputs badly scaled": "guide/methods/lsuv.md",
    "dead units": "guide/best-practices.md",
    "symmetric units": "guide/methods/constant.md",
    "saturated units": "guide/methods/xavier.md",
    "residual sums grow": "guide/best-practices.md",
    "signal vanishes": "guide/methods/he.md",
    "signal explodes": "guide/methods/random.md",
    "input ignored": "guide/visualizing.md",
    "gradient vanishes": "guide/what-are-initializations.md",
    "gradient explodes": "guide/what-are-initializations.md",
}
"""The kinds of verdict, causes first, each with the page that explains it, a path below `docs`."""

# Within which a gain is the right one: draws of small weights differ by as much.
RIGHT = 0.05
# Of mean one half, which no gain mends.
_OFFSET = ("sigmoid", "hardsigmoid")


def verdict(layer: Layer | str, what: str, words: str) -> Verdict:
    """Return a verdict of some kind, with its page."""
    name = layer if isinstance(layer, str) else name_of(layer)
    return Verdict(name, what, words, VERDICTS[what])


def name_of(layer: Layer) -> str:
    """Return the name of a layer; that of a model that is but a layer is empty."""
    return layer.name or "model"


def more(found: list) -> str:
    """Return how many others there are, in words."""
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


def cure(layer: Layer, first: str = "") -> str:
    """Return what to do about a signal that is lost at a layer; `first` helps if a gain does."""
    label = layer.place.label
    if label in _OFFSET:
        return f"no gain mends the mean of a {label}; use another activation, such as tanh"
    gains = _gains(layer)
    if first and gains and _agree(*gains):
        return first
    return f"{first}, {scale(layer)}" if first else scale(layer)


def scale(layer: Layer) -> str:
    """Return what to do about the scale of a layer, with numbers where a gain has a meaning."""
    gains = _gains(layer)
    if gains is None:
        return "use initialize_ or a normalization"
    have, wanted = gains
    subject = f"{kind(layer.module)} before {layer.place.label}"
    if _agree(have, wanted):
        return (
            f"{subject} has the gain that it wants, {wanted:.3g}: "
            "use a normalization or residual branches"
        )
    return (
        f"{subject} has gain {have:.2g} and wants {wanted:.3g}; use initialize_ or a normalization"
    )


def _gains(layer: Layer) -> tuple[float, float] | None:
    """Return the gain that a layer has, and the one that it wants, where gains have a meaning."""
    with suppress(ValueError, TypeError):
        if hasattr(layer.module, "weight") and not isinstance(layer.module, EMBEDDINGS):
            wanted = unit_gain(layer.place.nonlinearity)
            return layer.weights.rms * math.sqrt(layer.weights.fan_in), wanted
    return None


def _agree(have: float, wanted: float) -> bool:
    return abs(have / wanted - 1) < RIGHT


def std_of(layer: Layer) -> float:
    """Return the std over the inputs; the rms where there is but one."""
    return layer.output[1] if layer.batched else layer.output[2]


def hidden(layers: list[Layer]) -> list[Layer]:
    """Return the layers whose size must be kept: no head and no end of a branch is among them.

    Both may be as small as they like, or zero.
    """
    return [
        layer
        for layer in layers[:-1]
        if not (layer.output_of_model or layer.place.ends or layer.weights.zero)
    ]
