"""Faults that show over many layers: a factor a layer, judged by what it comes to in the end."""

import math
from collections.abc import Iterator

from initguide.diagnostics.drift import drift
from initguide.diagnostics.hooks import EMBEDDINGS, Layer
from initguide.diagnostics.layer_checks import cut_off
from initguide.diagnostics.messages import cure, hidden, name_of, std_of, verdict
from initguide.diagnostics.report import Verdict

# By how much sizes may differ over a whole network, not a layer. Sound ones stay within 10: He's
# product of 50 layers as wide as 100 is off by a factor of 5 in one draw of a hundred, tanh behind
# Xavier falls to 1/10 in 50 layers. What is beyond 100 leaves layers learning at rates so far
# apart that no single learning rate serves both.
LIMIT = 100.0


def signal(layers: list[Layer]) -> Iterator[Verdict]:
    """Find where the signal shrinks or grows for good."""
    seen, kept = set(), {*hidden(layers)}
    # What gives zeros while others behind it see the input was given zeros: a decoder's queries.
    kept -= {e for i, e in enumerate(layers) if not e.output[2] and not cut_off(layers[i + 1 :])}
    for part in _segments(layers):
        first = part[0]
        base = first.input[2] if first.input else first.output[2]
        inner = [layer for layer in part if layer in kept or layer.stream]
        found = drift([_size(layer) / base for layer in inner], LIMIT) if base else None
        if found is None:
            continue
        layer = inner[found.start]
        way = "shrinks" if found.total < 1 else "grows"
        inside = [each for each in inner[found.start :] if each.place.branch is not None]
        what = "signal vanishes" if found.total < 1 else "signal explodes"
        many = len(inside) > max(2, (len(inner) - found.start) / 2)
        # More of it inside than on the way there.
        if what == "signal explodes" and many and found.total > (_size(inside[0]) / base) ** 2:
            what, layer = "residual sums grow", inside[0]
            # Of the two, only the first bears a step of the usual size.
            advice = (
                "zero the last layer of each branch, as the recipe 'fixup' does, or divide it by "
                "sqrt(branches)"
            )
        else:
            advice = cure(layer)
        if what not in seen:
            seen.add(what)
            words = (
                f"the signal {way} by {found.factor:.2g} a layer from {name_of(layer)} on, "
                f"by {found.total:.1g} in all: {advice}"
            )
            yield verdict(layer, what, words)


def _size(layer: Layer) -> float:
    """Return the rms that must be kept: of a branch's only layer, that of the sum it reads."""
    return layer.stream[2] if layer.stream else layer.output[2]


def _segments(layers: list[Layer]) -> Iterator[list[Layer]]:
    """Yield runs of layers without a norm between: a norm sets the size anew."""
    part: list[Layer] = []
    for layer in layers:
        if part and layer.fresh:
            yield part
            part = []
        part.append(layer)
    yield part


def ignored(layers: list[Layer]) -> Iterator[Verdict]:
    """Find from where on all inputs give nearly the same output."""
    first = layers[0].input
    # As much of the size as varies from input to input; all of it where that is not known.
    given = first[1] / first[2] if first and first[2] and not math.isnan(first[1]) else 1.0
    inner = [
        layer
        for layer in hidden(layers)
        if layer.batched and layer.output[2] and not isinstance(layer.module, EMBEDDINGS)
    ]
    start = len(inner)
    while start and std_of(inner[start - 1]) < given * inner[start - 1].output[2] / LIMIT:
        start -= 1
    if start < len(inner):
        layer, last = inner[start], inner[-1]
        words = (
            f"from {name_of(layer)} on the output hardly depends on the input: at {name_of(last)} "
            f"the std over the inputs is {std_of(last):.1g}, the rms {last.output[2]:.1g}; "
            f"{cure(layer, 'zero the biases')}"
        )
        yield verdict(layer, "input ignored", words)


def gradient(layers: list[Layer]) -> Iterator[Verdict]:
    """Find where the gradient shrinks or grows on its way down, for good."""
    down = [
        (layer, layer.gradient * (layer.output[2] if layer.normed else 1.0))
        for layer in reversed(hidden(layers))
        # Inside a branch whose end is zero there is none yet, and need not be.
        if layer.gradient or (layer.gradient == 0 and layer.place.branch is None)
    ]
    # A branch may end in a factor of 1e-6 (LayerScale): what is inside compares with its like.
    for inside in (False, True):
        part = [each for each in down if (each[0].place.branch is not None) == inside]
        while part and part[0][1] == 0:
            # Below a head that starts at zero the first step brings it.
            part.pop(0)
        found = drift([size / part[0][1] for _, size in part[1:]], LIMIT)
        if found is None:
            continue
        # What changed it are the weights of the layer above.
        layer = part[found.start][0]
        way, what = ("shrink", "vanishes") if found.total < 1 else ("grow", "explodes")
        words = (
            f"gradients {way} by {found.factor:.2g} a layer from {name_of(layer)} down, "
            f"by {found.total:.1g} in all: {cure(layer)}"
        )
        yield verdict(layer, f"gradient {what}", words)
        return
