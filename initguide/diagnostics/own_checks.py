"""Faults of one layer compared with its input, with its siblings, or with a uniform guess."""

import math
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from initguide.diagnostics.flows import bits
from initguide.diagnostics.hooks import Recording
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.messages import branch_ends, name_of, not_understood, read_by
from initguide.diagnostics.report import Finding, finding
from initguide.diagnostics.watch import ClassLoss
from initguide.diagnostics.weights import OwnWeight

# By how much the loss may exceed that of a uniform guess: the right class then has a probability
# e³ = 20 times too low. Logits of rms 1 exceed it by about 0.5, and logits of rms 2 by about 2.
EXCESS = 3.0
# The gain of a head whose outputs are too large for any loss.
HEAD = 10.0
# By how much one factor, or one table that is added, may change the size of the signal. The
# temperature of CLIP is a factor of 14.
FACTOR = 20.0
# By how much the weights of one layer may differ from those of its siblings. Published starts
# divide by the square root of at most 200 branches.
SIBLING = 25.0
# The mean step of a state-space model. Published starts draw steps from 0.001 to 0.1.
STEP = 1.0


def outputs(record: Recording) -> Iterator[Finding]:
    """Find a head whose outputs are too large, by the first loss or by the gain of the head."""
    by_bit = {layer.bit: layer for layer in record.layers}
    for each in record.losses:
        loss, heads = float(each.value), [by_bit.get(bit) for bit in bits(each.sources)]
        if (last := heads[-1]) and math.isfinite(loss) and loss - each.guess > EXCESS:
            # A product of two signals has two heads, and one may be scaled by a parameter.
            large = (e for e in heads if e and e.is_factor and e.weights.rms > FACTOR)
            yield _too_large(record.layers, next(large, last), loss, each)
            return
    for layer in record.layers:
        fan_in = layer.weights.fan_in
        if not (layer.head and fan_in) or layer.is_table:
            continue
        gain = layer.weights.rms * math.sqrt(fan_in)
        spread = layer.output[1 if layer.batched else 2]
        if gain > HEAD and spread > HEAD:
            message = f"the outputs of the model have rms {layer.output[2]:.3g}"
            yield finding("large outputs", message, where=name_of(layer), hint=_draw(layer))
            return


def _too_large(layers: list[Layer], head: Layer, loss: float, of_classes: ClassLoss) -> Finding:
    rms = head.output[2] if of_classes.rms is None else float(of_classes.rms)
    message = (
        f"the first loss is {loss:.3g}, and that of a uniform guess is {of_classes.guess:.3g}: "
        f"the logits have rms {rms:.3g}"
    )
    # Of a table that is also a head, the lookup was measured.
    if not (head.is_table or 2 / 3 < rms / (head.output[2] or math.nan) < 1.5):
        message += f", and the output of the last layer that was measured {head.output[2]:.3g}"
        hint = not_understood("the operations after this layer are not measured")
        return finding("large outputs", message, where=name_of(head), hint=hint)
    given = read_by(head)
    if given and given > head.output[2] / 3:
        if given > 2:
            message += f", and this layer reads a signal of rms {given:.3g}"
        hint = "normalize that signal" if given > 2 else not_understood("the gain is right")
        return finding("large outputs", message, where=name_of(head), hint=hint)
    tables = [layer for layer in layers if layer.is_table and _is_tied(layer, head)]
    if tables:
        message += (
            f"; the weight is tied to the embedding {name_of(tables[0])}, and has std "
            f"{head.weights.rms:.3g}"
        )
    return finding("large outputs", message, where=name_of(head), hint=_draw(head))


def _is_tied(one: Layer, other: Layer) -> bool:
    a, b = one.weights.tensor, other.weights.tensor
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _draw(layer: Layer) -> str:
    fan_in = layer.weights.fan_in
    if not fan_in:
        return "use smaller weights"
    return f"draw the weights with std {fan_in**-0.5:.3g}, which is 1 / sqrt(fan_in), or smaller"


def factors(record: Recording) -> Iterator[Finding]:
    """Find a factor, or a table that is added, that is far larger than the signal."""
    by_bit = {layer.bit: layer for layer in record.layers}
    for layer in record.layers:
        own, given = layer.module, read_by(layer)
        if not isinstance(own, OwnWeight) or layer.head or not given:
            continue
        adds = own.role == "table" and own.operation.endswith("add")
        before = [by_bit.get(bit) for bit in bits(record.flows.feeds[layer.bit])]
        if adds and all(each and each.is_factor for each in before):
            # A branch is added to the table, and its factor (LayerScale) is small on purpose.
            continue
        large = layer.weights.rms if adds else layer.output[2]
        if (adds or layer.is_factor) and FACTOR < large / given < math.inf:
            message = f"this parameter has rms {layer.weights.rms:.3g}, and the signal {given:.3g}"
            yield finding("large factor", message, where=name_of(layer))
            return


def siblings(layers: list[Layer]) -> Iterator[Finding]:
    """Find a layer whose weights have another size than those of all similar layers."""
    groups = defaultdict(list)
    for layer in layers:
        if layer.weights.rms and not layer.is_table:
            groups[layer.kind, layer.weights.shape].append(layer)
    for group in groups.values():
        usual = median(layer.weights.rms for layer in group)
        odd = [e for e in group if not 1 / SIBLING < e.weights.rms / usual < SIBLING]
        if len(group) >= 4 and 0 < len(odd) <= len(group) / 4:
            message = (
                f"the weights have rms {odd[0].weights.rms:.2g}, and those of the other "
                f"{len(group) - 1} layers of this kind and shape have {usual:.2g}"
            )
            yield finding("odd layer", message, where=name_of(odd[0]))
            return


def unscaled_branches(layers: list[Layer]) -> Iterator[Finding]:
    """Find branches that lack the factor 1 / sqrt(branches) that the others have."""
    ends = [e for e in branch_ends(layers) if e.weights.last_rms and e.weights.fan_in]
    count = len({layer.branch for layer in ends})
    if count < 8:
        return
    stds = [layer.weights.last_rms for layer in ends]
    gains = [s * math.sqrt(e.weights.fan_in) for e, s in zip(ends, stds, strict=True)]
    # Equal gains, or an equal std at all widths, are a start without such a factor.
    if any(max(sizes) < 1.3 * min(sizes) for sizes in (stds, gains)):
        return
    for sizes in (stds, gains):
        small = [s for s in sizes if s < 1.3 * min(sizes)]
        ratios = [s / median(small) / math.sqrt(count) for s in sizes]
        lacking = [e for e, ratio in zip(ends, ratios, strict=True) if 0.85 < ratio < 1.18]
        if min(len(small), len(lacking)) >= count / 8 and len(small) + len(lacking) == len(ends):
            message = (
                f"{len(lacking)} of {count} branches lack the factor 1 / sqrt({count}) that the "
                "others have, so the sums grow"
            )
            yield finding("residual sums grow", message, where=name_of(lacking[0]))
            return


def decays(record: Recording) -> Iterator[Finding]:
    """Find a state-space model that forgets its state at once, because its steps are too large."""
    by_bit = {0: record.layers[0]} | {layer.bit: layer for layer in record.layers}
    for bias, sources, step, kept in record.decays:
        where = bias or name_of(by_bit[max(bits(sources))])
        if float(step) > STEP:
            message = f"the steps have mean {float(step):.2g}, and one keeps {float(kept):.2g}"
            yield finding("state forgotten", f"{message} of the state", where=where)
            return
