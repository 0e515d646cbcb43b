"""Faults that a layer shows by itself: its values, its weights, its units, its inputs."""

import math
from collections.abc import Iterator

from initguide.diagnostics.hooks import EMBEDDINGS, Layer
from initguide.diagnostics.messages import cure, more, name_of, scale, std_of, verdict
from initguide.diagnostics.report import Verdict
from initguide.diagnostics.weights import drawn, same

# Weights of variance 1/fan_in hand the inputs' size on to everything above; pixels from 0 to 255
# have an rms near 100. One-hot vectors of a thousand entries, which learn, have 1/30.
INPUT_SCALE = 32.0
# The mean's direction takes mean²/std² of the curvature of any other: 9 slow learning down.
INPUT_SHIFT = 3.0
# Of a normal signal of the size that gains are made for, tanh saturates 3 % and hardtanh 32 %.
SATURATED = 0.5
# Of random units, at most half are dead, even where all inputs look alike.
DEAD = 0.5


def non_finite(layers: list[Layer], loss: float | None) -> Iterator[Verdict]:
    """Find the first value that is no number: in weights, outputs, loss or gradients."""
    for layer in layers:
        if not math.isfinite(layer.weights.rms):
            words = f"{name_of(layer)} holds weights that are NaN or inf: initialize it"
        elif not math.isfinite(layer.output[2]):
            words = f"{name_of(layer)} gives NaN or inf: smaller weights, or a normalization"
        else:
            continue
        yield verdict(layer, "non-finite values", words)
        return
    if loss is not None and not math.isfinite(loss):
        yield verdict("loss", "non-finite values", f"the loss is {loss}: look at its arguments")
        return
    for layer in reversed(layers):
        if layer.gradient is not None and not math.isfinite(layer.gradient):
            words = f"the gradient at the output of {name_of(layer)} is NaN or inf: look behind it"
            yield verdict(layer, "non-finite values", words)
            return


def inputs(first: Layer) -> Iterator[Verdict]:
    """Find a mean or a scale of the data that the first layer hands on."""
    # A norm right behind the first layer makes up for both.
    if first.input is None or first.normed or first.fresh:
        return
    mean, _, rms = first.input
    std = math.sqrt(max(rms**2 - mean**2, 0.0))
    if not 1 / INPUT_SCALE <= rms <= INPUT_SCALE:
        words = f"{name_of(first)} gets inputs of rms {rms:.2g}: divide them by their std"
        yield verdict(first, "inputs badly scaled", words)
    if abs(mean) > INPUT_SHIFT * std and rms:
        words = (
            f"{name_of(first)} gets inputs of mean {mean:.2g} and std {std:.2g}: subtract the mean"
        )
        yield verdict(first, "inputs shifted", words)


def cloned(layers: list[Layer]) -> Iterator[Verdict]:
    """Find layers with the same weights: torch's encoder copies the layer that it is given."""
    pairs = []
    for index, layer in enumerate(layers):
        twin = next((each for each in layers[:index] if same(each.weights, layer.weights)), None)
        if twin is not None and drawn(layer.weights):
            pairs.append((layer, twin))
    if pairs:
        layer, twin = pairs[0]
        words = (
            f"{name_of(layer)} has the weights of {name_of(twin)}, bit for bit{more(pairs)}: a "
            "copied layer was not drawn anew; use initialize_"
        )
        yield verdict(layer, "cloned layers", words)


def zero(layers: list[Layer]) -> Iterator[Verdict]:
    """Find a layer of zeros that cuts the network; a head, or the end of a branch, may be zero."""
    for index, layer in enumerate(layers[:-1]):
        if not layer.weights.zero or layer.place.ends or layer.output_of_model:
            continue
        if cut_off(layers[index + 1 :]):
            words = (
                f"{name_of(layer)} has zero weights and no skip around it, so nothing gets through "
                f"and no weight has a gradient: {cure(layer)}"
            )
            yield verdict(layer, "zero layer", words)
            return


def cut_off(above: list[Layer]) -> bool:
    """Return whether no layer above sees the input; where a skip goes around, they do."""
    # Rounding apart.
    seen = (std_of(layer) > 1e-6 * layer.output[2] for layer in above if not layer.weights.zero)
    return not any(seen)


def symmetric(layers: list[Layer]) -> Iterator[Verdict]:
    """Find layers whose units are copies of each other."""
    found = [
        layer
        for layer in layers
        if layer.units > 1
        and not layer.shuffled
        and not isinstance(layer.module, EMBEDDINGS)
        # A copy or two may be meant; a layer where most units are copies is constant.
        and (layer.equal or 2 * layer.weights.copies > layer.units)
    ]
    if found:
        words = (
            f"units of {name_of(found[0])} are copies of each other{more(found)}: they get the "
            "same gradient and stay copies; draw the weights at random"
        )
        yield verdict(found[0], "symmetric units", words)


def dead(layers: list[Layer]) -> Iterator[Verdict]:
    """Find layers of which more units than chance explains are zero for every input."""
    # Four standard errors of a share above one half, which fewer than 16 units cannot be. If they
    # are all dead, and nothing else leads up, that counts as well.
    found = [
        layer
        for index, layer in enumerate(layers)
        if layer.dead is not None
        and (
            layer.dead >= (DEAD + 2 / math.sqrt(layer.units)) * layer.units
            or (layer.dead == layer.units and cut_off(layers[index + 1 :]))
        )
    ]
    if found:
        layer = found[0]
        words = (
            f"{layer.dead:.0f} of {layer.units} units of {name_of(layer)} are zero for every input"
            f"{more(found)}: {cure(layer, 'zero the bias')}"
        )
        yield verdict(layer, "dead units", words)


def saturated(layers: list[Layer]) -> Iterator[Verdict]:
    """Find layers whose activation is mostly where it is flat."""
    found = [layer for layer in layers if (layer.saturated or 0.0) > SATURATED]
    if found:
        layer = found[0]
        words = (
            f"{layer.saturated:.0%} of {layer.place.label} behind {name_of(layer)} are saturated"
            f"{more(found)}, where the slope is nearly zero: {scale(layer)}"
        )
        yield verdict(layer, "saturated units", words)
