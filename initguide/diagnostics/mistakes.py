"""Why a std may be wrong: the usual mistakes, each with the std that it gives."""

import math
from collections.abc import Iterator

from torch import Tensor

from initguide.activations import FUNCTIONS
from initguide.fans import Fans, fans, layer_fans
from initguide.gains import gain
from initguide.model import distributions
from initguide.model.distributions import EntryDistribution
from initguide.model.plan import ParamPlan

Suspect = tuple[str, float, str]


def said(spread: EntryDistribution) -> str:
    """Return a law in a few signs."""
    if spread.std == 0:
        return f"{spread.mean:.4g} throughout"
    if spread.kind == "uniform":
        middle = f"{spread.centre:.3g} " if spread.centre else ""
        return f"U({middle}±{spread.scale:.4g})"
    cut = "" if math.isinf(spread.high) else f" cut at {spread.high * spread.scale:.3g}"
    return f"N({spread.centre:.3g}, {spread.scale:.4g}²){cut}"


def suspects(entry: ParamPlan, std: float, flat: Tensor, p: float) -> tuple[str, str]:
    """Return the kind of mistake that gives a std, and words for it.

    Args:
        entry: What was meant.
        std: What was found.
        flat: The values.
        p: How likely chance may be.
    """
    want = entry.sampler.std or 0.0
    near = min(4 / math.sqrt(2 * flat.numel()) + 0.002, 0.1)
    fitting = [
        (kind, words)
        for kind, value, words in (*_by_fan(entry), *_by_factor(entry, flat, std, p))
        if abs(value / want - 1) > 2 * near and abs(math.log(std / value)) < near
    ]
    if not fitting or not std:
        times = f"{std / want:.3g} times"
        return "std", f"std {std:.3g}; the plan wants {want:.3g}: {times} that"
    words = "; or ".join(dict.fromkeys(words for _, words in fitting))
    return fitting[0][0], f"std {std:.3g} is {words}; the plan wants {want:.3g}"


def _by_fan(entry: ParamPlan) -> Iterator[Suspect]:
    law, own = entry.sampler, entry.fans
    if law.std_for_fans is None or own is None:
        return
    _, module, key = entry.param.holders[0]
    shape = fans(entry.param.tensor.shape)
    wide, deep = Fans(2 * own.fan_in, own.fan_out), Fans(own.fan_in, 2 * own.fan_out)
    by_in = law.std_for_fans(wide) != law.std_for_fans(own)
    by_out = law.std_for_fans(deep) != law.std_for_fans(own)
    wants = "their mean" if by_in and by_out else "fan_in" if by_in else "fan_out"
    for name, of in (("this layer's", own), ("the shape's", shape)):
        for fan, value in zip(("fan_in", "fan_out"), of, strict=True):
            if of is shape and value in own:
                continue
            yield (
                "fan",
                law.std_for_fans(Fans(value, value)),
                f"what {fan if of is own else f'{name} {fan}'} ({value:g}) gives, not {wants}",
            )
    for name, of in (("the weight's shape", shape), ("the layer itself", layer_fans(module, key))):
        words = f"what the fans of {name} ({of.fan_in:g}, {of.fan_out:g}) give, "
        yield "fan", law.std_for_fans(of), words + f"not ({own.fan_in:g}, {own.fan_out:g})"


def _by_factor(entry: ParamPlan, flat: Tensor, std: float, p: float) -> Iterator[Suspect]:
    want = entry.sampler.std or 0.0
    factor = gain(entry.before) if entry.before in FUNCTIONS else 1.0
    if abs(factor - 1) > 0.01:
        yield "gain", want / factor, f"what it is without the gain of {entry.before}, {factor:.4g}"
    if abs(factor - math.sqrt(2)) > 0.01:
        yield "gain", want / math.sqrt(2), "smaller by sqrt(2), the gain of ReLU"
    yield "gain", want * math.sqrt(2), "larger by sqrt(2), the gain of ReLU"
    part = flat[:: max(1, flat.numel() // distributions.SAMPLE)]
    uniform = EntryDistribution("uniform", low=-1.0, high=1.0).with_moments(flat.mean().item(), std)
    if distributions.distance(uniform, part) <= distributions.distance_limit(len(part), p):
        yield (
            "bound for std",
            want / math.sqrt(3),
            "what its std gives as the bound of a uniform law",
        )
    yield "bound for std", want * math.sqrt(3), "the bound of the uniform law of that std"
    yield "variance for std", want**2, "the variance"
    yield "variance for std", math.sqrt(want), "the std of what the std is the variance of"
