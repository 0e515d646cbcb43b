"""Faults that one layer shows: in its values, its weights, its units or its inputs."""

import math
from collections.abc import Iterator

from initguide.diagnostics.flows import Flows
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.messages import more, name_of, remedy, scale, std_of
from initguide.diagnostics.report import Finding, finding
from initguide.diagnostics.weights import OwnWeight, drawn, same

# Weights of variance 1/fan_in pass the inputs' size on to all layers above. Pixels from 0 to 255
# have an rms near 100. One-hot vectors of a thousand entries have 1/30, and networks learn from
# them.
INPUT_SCALE = 32.0
# In the mean's direction the curvature is mean²/std² times that of others: a factor of 9 slows
# learning down.
INPUT_SHIFT = 3.0
# Of a normal signal of the right size, tanh saturates 3 % and hardtanh 32 %.
SATURATED = 0.5
# Of random units, at most half are dead, even if all inputs look alike.
DEAD = 0.5


def non_finite(layers: list[Layer], loss: float | None) -> Iterator[Finding]:
    """Find the first value that is not finite: in weights, outputs, the loss or gradients."""
    kind = "non-finite values"
    for layer in layers:
        if not math.isfinite(layer.weights.rms):
            message, hint = "the weights are NaN or infinite", "initialize this layer"
        elif not math.isfinite(layer.output[2]):
            message, hint = "the output is NaN or infinite", ""
        else:
            continue
        yield finding(kind, message, where=name_of(layer), hint=hint)
        return
    if loss is not None and not math.isfinite(loss):
        hint = "look at the arguments of the loss"
        yield finding(kind, f"the loss is {loss}", where="loss", hint=hint)
        return
    for layer in reversed(layers):
        if layer.gradient is not None and not math.isfinite(layer.gradient):
            message = "the gradient at the output is NaN or infinite"
            hint = "look at the operations after this layer"
            yield finding(kind, message, where=name_of(layer), hint=hint)
            return


def inputs(first: Layer) -> Iterator[Finding]:
    """Find data whose mean or scale is far off, and which the first layer passes on."""
    # A norm right after the first layer makes up for both. A layer may also read a parameter.
    if first.input is None or first.normed or first.fresh or first.without_inputs:
        return
    mean, _, rms = first.input
    std = math.sqrt(max(rms**2 - mean**2, 0.0))
    if not 1 / INPUT_SCALE <= rms <= INPUT_SCALE:
        message = f"the inputs have rms {rms:.2g}"
        yield finding("inputs badly scaled", message, where=name_of(first))
    if abs(mean) > INPUT_SHIFT * std and rms:
        message = f"the inputs have mean {mean:.2g} and std {std:.2g}"
        yield finding("inputs shifted", message, where=name_of(first))


def cloned(layers: list[Layer]) -> Iterator[Finding]:
    """Find layers with the same weights: torch's encoder copies the layer that it is given."""
    pairs = []
    for index, layer in enumerate(layers):
        twin = next((each for each in layers[:index] if same(each.weights, layer.weights)), None)
        is_own = isinstance(layer.module, OwnWeight) and layer.module.role != "weight"
        if twin and drawn(layer.weights) and not is_own and _learns(layer) and _learns(twin):
            pairs.append((layer, twin))
    if pairs:
        layer, twin = pairs[0]
        message = f"the weights are those of {name_of(twin)}, bit for bit{more(pairs)}"
        yield finding("cloned layers", message, where=name_of(layer))


def _learns(layer: Layer) -> bool:
    """Return whether a layer is trained: a frozen one may be a copy by design.

    Examples are waves of positions, and the target network of a momentum encoder.
    """
    module = layer.module
    return isinstance(module, OwnWeight) or any(p.requires_grad for p in module.parameters())


def zero(layers: list[Layer], flows: Flows) -> Iterator[Finding]:
    """Find a layer of zeros that cuts the network; a head or the end of a branch may be zero."""
    for layer in layers[:-1]:
        if not layer.weights.zero or layer.ends or layer.head:
            continue
        # A factor needs no signal, and passes on the gradient that the layer needs.
        others = [each for each in layers if not each.is_factor]
        below = [each for each in others if flows.ancestors[each.bit] >> layer.bit & 1]
        if below and cut_off(below):
            message = (
                "the weights are zero and no skip connection leads around the layer, so no signal "
                "passes and no weight gets a gradient"
            )
            yield finding("zero layer", message, where=name_of(layer), hint=remedy(layer))
            return


def cut_off(above: list[Layer]) -> bool:
    """Return whether no layer above sees the input; after a skip connection they do."""
    return not any(map(_sees, above))


def _sees(layer: Layer) -> bool:
    """Return whether the inputs differ for a layer, apart from rounding."""
    if not layer.weights.zero:
        return std_of(layer) > 1e-6 * layer.output[2]
    if layer.input is None:
        return False
    _, std, rms = layer.input
    return (rms if math.isnan(std) else std) > 1e-6 * rms


def symmetric(layers: list[Layer]) -> Iterator[Finding]:
    """Find layers whose units are copies of each other."""
    found = [
        layer
        for layer in layers
        if layer.units > 1
        and not layer.shuffled
        and not layer.is_table
        # One or two copies may be meant. A layer where most units are copies is constant.
        and (layer.equal or 2 * layer.weights.copies > layer.units)
    ]
    if found:
        message = (
            f"the units are copies of each other{more(found)}: they get the same gradient and "
            "stay copies"
        )
        yield finding("symmetric units", message, where=name_of(found[0]))


def dead_layers(layers: list[Layer]) -> list[Layer]:
    """Return the layers with more dead units than chance explains: units that are always zero."""
    # Four standard errors of a share above one half, which fewer than 16 units cannot reach. If all
    # units are dead and there is no other way to the output, that counts as well.
    return [
        layer
        for index, layer in enumerate(layers)
        if layer.dead is not None
        and (
            # Units that are given zeros, as after a branch that starts at zero, are not dead.
            (layer.output[2] and layer.dead >= (DEAD + 2 / math.sqrt(layer.units)) * layer.units)
            or (layer.dead == layer.units and cut_off(layers[index + 1 :]))
        )
    ]


def dead(layers: list[Layer]) -> Iterator[Finding]:
    """Find layers whose units are dead."""
    if found := dead_layers(layers):
        layer = found[0]
        message = f"{layer.dead:.0f} of {layer.units} units are zero for every input{more(found)}"
        hint = remedy(layer, "zero the bias")
        yield finding("dead units", message, where=name_of(layer), hint=hint)


def saturated(layers: list[Layer]) -> Iterator[Finding]:
    """Find layers where most outputs of the activation are in its flat parts."""
    found = [layer for layer in layers if (layer.saturated or 0.0) > SATURATED]
    if found:
        layer = found[0]
        message = (
            f"{layer.saturated:.0%} of the outputs of {layer.place.label} are saturated"
            f"{more(found)}: the slope there is nearly zero"
        )
        yield finding("saturated units", message, where=name_of(layer), hint=scale(layer))
