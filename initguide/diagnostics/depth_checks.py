"""Faults that many layers show together: the product of their factors over the whole depth."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from initguide.diagnostics.flows import Flows
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.layer_checks import cut_off
from initguide.diagnostics.messages import branch_ends, hidden, name_of, read_by, remedy, std_of
from initguide.diagnostics.report import Finding, finding

# By which factor sizes may differ over a whole network. Sound networks stay within 10: the product
# of 50 He layers as wide as 100 is off by a factor of 5 in one draw of a hundred, and after Xavier
# tanh falls to 1/10 in 50 layers. Beyond 100, the right learning rates of the layers are so far
# apart that no single one serves them all.
LIMIT = 100.0
# With a batch norm after each layer, the gradient grows by up to 1.2 per layer. Published networks
# of 50 such layers start with a factor of 300, and train.
NORMED = 1e4
# Layers that make this share of the whole difference together are bad by themselves, if each makes
# the second share at least.
ALONE, LARGE = 0.75, 0.2
# A residual branch of fewer layers has no depth: it may start as small as its author likes.
DEEP = 4


@dataclass(frozen=True)
class Drift:
    """A sequence of sizes that shrinks or grows.

    Attributes:
        start: The index of the first size that is off.
        total: The last size over the level at the start.
        factor: The factor per layer, from `start` to where the level is constant again.
        culprits: The number of single steps that make nearly all of the difference; 0 if many
            small ones do. The first of them is at `start`.
        rest: The number of sizes after the drift.
    """

    start: int
    total: float
    factor: float
    culprits: int
    rest: int


def drift(levels: list[float], limit: float) -> Drift | None:
    """Return the drift of sizes relative to a level of 1, if the last is off by more than `limit`.

    Only the last size decides, since a signal that recovers has not been lost.
    """
    # What single precision rounds to zero has no logarithm.
    logs = [math.log(min(max(level, 1e-45), 1e45)) for level in levels]
    if not logs or abs(logs[-1]) <= math.log(limit):
        return None
    # As shares of the whole way, so that noise at its two ends does not decide where it begins.
    done = [log / logs[-1] for log in logs]
    steps = [after - before for before, after in pairwise([0.0, *done])]
    usual = median(map(abs, steps))
    large = [i for i, step in enumerate(steps) if step > max(LARGE, 3 * usual)]
    if sum(steps[i] for i in large) > ALONE:
        factor, rest = math.exp(steps[large[0]] * logs[-1]), len(logs) - 1 - large[0]
        return Drift(large[0], math.exp(logs[-1]), factor, len(large), rest)
    start = 1 + max((i for i, share in enumerate(done) if share < 0.1), default=-1)
    end = next(i for i, share in enumerate(done) if share > 0.9 or i == len(done) - 1)
    margin = max(end - start, 0) / 8
    start, end = max(round(start - margin), 0), min(round(end + margin), len(done) - 1)
    factor = math.exp(logs[-1] / max(end - start + 1, 1))
    return Drift(start, math.exp(logs[-1]), factor, 0, len(logs) - 1 - end)


def signal(layers: list[Layer]) -> Iterator[Finding]:
    """Find where the signal shrinks or grows and does not recover."""
    free = [layer for layer in hidden(layers) if not layer.has_set_scale]
    seen, kept = set(), {layer for layer in free if not layer.passed_by}
    given = _given(layers)
    for segment in _segments(layers):
        if not (part := [each for each in segment if each not in given]):
            continue
        first = part[0]
        measured = first.input if first.input and not first.has_set_scale else first.output
        base = measured[2]
        if not base:
            continue
        inner = [e for e in part if e in kept or e.alone]
        found = drift([_size(layer) / base for layer in inner], LIMIT)
        if found is not None and found.total < 1:
            # A residual branch may give nothing, because the signal leads around it.
            inner = [e for e in inner if e.branch is None or e.alone]
            found = drift([_size(layer) / base for layer in inner], LIMIT)
        if found is None:
            continue
        layer, hint = inner[found.start], ""
        kind = f"signal {_ending(found)}"
        inside = [each for each in inner[found.start :] if each.branch is not None]
        many = len(inside) > max(2, (len(inner) - found.start) / 2)
        # More of the growth is inside the branches than on the way to them.
        if found.total > 1 and many and found.total > (_size(inside[0]) / base) ** 2:
            kind, layer = "residual sums grow", inside[0]
        else:
            hint = remedy(layer)
        if kind not in seen:
            seen.add(kind)
            message = _message(found, "signal", "from this layer on", "after")
            yield finding(kind, message, where=name_of(layer), hint=hint)


def _given(layers: list[Layer]) -> set[Layer]:
    """Return the layers that are no part of the signal, such as the queries of a decoder.

    Their output is equal for all inputs, and layers after them see the inputs.
    """
    constant = [(i, layer) for i, layer in enumerate(layers) if _is_constant(layer)]
    return {layer for i, layer in constant if not cut_off(layers[i + 1 :])}


def _is_constant(layer: Layer) -> bool:
    """Return whether a layer's output is the same for all inputs, up to rounding."""
    std = layer.output[1] if layer.batched else layer.output[2]
    return layer.without_inputs or std <= 1e-6 * layer.output[2]


def _message(found: Drift, what: str, where: str, side: str) -> str:
    if found.culprits:
        also = f" (and {found.culprits - 1} more do so)" if found.culprits > 1 else ""
        rest = f"; the {found.rest} layers {side} it are downstream of it" if found.rest > 1 else ""
        return f"this layer changes the {what} by a factor of {found.factor:.1g}{also}{rest}"
    return (
        f"{where}, the {what} changes by a factor of {found.factor:.2g} per layer, and by "
        f"{found.total:.1g} in all"
    )


def _ending(found: Drift) -> str:
    return "vanishes" if found.total < 1 else "explodes"


def _size(layer: Layer) -> float:
    """Return the rms that must be kept: of a branch with one layer, the rms of the sum it reads."""
    return (read_by(layer) if layer.alone else None) or layer.output[2]


def _segments(layers: list[Layer]) -> Iterator[list[Layer]]:
    """Yield runs of layers without a norm between them: a norm sets the size anew.

    A layer whose scale its spectral norm sets begins a run as well.
    """
    part: list[Layer] = []
    for layer in layers:
        if part and (layer.fresh or layer.has_set_scale):
            yield part
            part = []
        part.append(layer)
    yield part


def ignored(layers: list[Layer]) -> Iterator[Finding]:
    """Find the layer from which on all inputs give nearly the same output."""
    first = layers[0].input
    # The share of the size that varies from input to input; all of it where that is not known.
    given = first[1] / first[2] if first and first[2] and not math.isnan(first[1]) else 1.0
    others = _given(layers)
    inner = [
        layer
        for layer in hidden(layers)
        if layer.batched and layer.output[2] and not layer.is_table and layer not in others
    ]
    start = len(inner)
    while start and _is_even(inner[start - 1], given):
        start -= 1
    # A gate that starts at one is even, and the other factor carries the input.
    after = layers[layers.index(inner[-1]) + 1 :] if inner else []
    if start < len(inner) and all(_is_even(layer, given) for layer in after if layer.batched):
        layer, last = inner[start], inner[-1]
        message = (
            f"from this layer on the output hardly depends on the input: at {name_of(last)} the "
            f"std over the batch is {std_of(last):.1g}, and the rms is {last.output[2]:.1g}"
        )
        hint = remedy(layer, "zero the biases")
        found = finding("input ignored", message, where=name_of(layer), hint=hint)
        yield _meant_perhaps(found, [e for e in layers[: layers.index(layer)] if e.ends])


def _is_even(layer: Layer, given: float) -> bool:
    """Return whether a layer's output varies far less over the inputs than the inputs do."""
    return std_of(layer) < given * layer.output[2] / LIMIT or not layer.output[2]


def _meant_perhaps(found: Finding, layers: list[Layer]) -> Finding:
    """Return a warning if one of these layers is a small factor, as LayerScale starts."""
    small = [e for e in layers if e.is_factor and e.weights.rms < 1 / LIMIT]
    if not small:
        return found
    hint = (
        f"it is not known whether this is meant: the branch before {name_of(small[-1])}, a factor "
        f"of {small[-1].weights.rms:.1g}, may be the only way"
    )
    return replace(found, severity="warning", hint=hint)


def gradient(layers: list[Layer], flows: Flows) -> Iterator[Finding]:
    """Find where the gradient shrinks or grows on the way back and does not recover."""
    for part in _ways_back(layers, flows):
        while part and part[0][1] == 0:
            # Below a head that starts at zero, the first step brings a gradient.
            part.pop(0)
        limit = NORMED if any(layer.normed for layer, _ in part) else LIMIT
        found = drift([size / part[0][1] for _, size in part[1:]], LIMIT)
        if found is None or 1 < found.total < limit:
            continue
        # The weights of the layer above changed it.
        layer = part[found.start][0]
        message = _message(found, "gradient", "from this layer back", "before")
        lost = finding(
            f"gradient {_ending(found)}", message, where=name_of(layer), hint=remedy(layer)
        )
        below = layers.index(part[found.start + 1][0])
        yield _meant_perhaps(lost, layers[below + 1 : layers.index(layer)])
        return


def _ways_back(layers: list[Layer], flows: Flows) -> Iterator[list[tuple[Layer, float]]]:
    """Yield the layers to compare, each time from the last to the first, with their gradients."""
    # Spectral norms set how the gradient changes on its way through their layers.
    start = 1 + max((i for i, layer in enumerate(layers) if layer.has_set_scale), default=-1)
    free = hidden(layers[start:])
    yield _way_back([layer for layer in free if layer.branch is None], flows)
    # A branch may end in a factor of 1e-6 (LayerScale), and a branch inside it in another one. So
    # the sums are compared with each other, and the layers of one branch with each other.
    ends = [e for e in branch_ends(layers[start:]) if e.branch not in flows.within]
    yield _way_back(ends, flows)
    branches = (layer.branch for layer in reversed(free) if layer.branch is not None)
    for branch in dict.fromkeys(branches):
        part = _way_back([layer for layer in free if layer.branch == branch], flows)
        if len(part) >= DEEP:
            yield part


def _way_back(layers: list[Layer], flows: Flows) -> list[tuple[Layer, float]]:
    """Return the layers that the gradient must pass, from the last to the first, with its size."""
    best: dict[int, tuple[Layer, float]] = {}
    for layer in reversed(layers):
        # In a branch whose last layer is zero there is no gradient yet, and none is needed.
        reached = layer.gradient or (layer.gradient == 0 and layer.branch is None)
        if not reached or layer.passed_by:
            continue
        size = layer.gradient * (layer.output[2] if layer.normed else 1.0)
        # Of layers side by side, such as query, key and value, one is enough.
        beside = flows.feeds[layer.bit]
        if beside not in best or size > best[beside][1]:
            best[beside] = layer, size
    return list(best.values())
