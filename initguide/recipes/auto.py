"""The guide's advice, layer by layer: the law follows from the activation behind the layer."""

from glob import escape

from torch import nn

from initguide.planning.rule import Rule
from initguide.recipes.common import ATTENTION, DENSE, EMBEDDING, GATES, NEUTRAL
from initguide.tracing.places import NORMS
from initguide.tracing.trace import Trace

LINEAR = ("linear", "selu", "attention", "output", "unknown")
SATURATING = ("tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid", "logsigmoid")


def auto(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: He, Xavier or LeCun by activation, residual branches by 1/sqrt(number).

    A branch whose end is normalized keeps its scale, which the norm would undo.
    """
    modules = dict(model.named_modules())
    normed = {
        place.branch
        for name, place in trace.places.items()
        if place.ends and isinstance(modules.get(name), NORMS)
    }
    free = trace.branches - len(normed)
    small = [
        Rule(f"{escape(name)}.weight", "lecun_normal_", times=free**-0.5)
        for name, place in trace.places.items()
        if place.ends and place.branch not in normed and isinstance(modules.get(name), DENSE)
    ]
    return [
        *NEUTRAL,
        *GATES,
        *ATTENTION,
        *small,
        Rule("*weight", "xavier_normal_", on=DENSE, before=SATURATING, gain="auto"),
        Rule("*weight", "lecun_normal_", on=DENSE, before=LINEAR),
        Rule("*weight", "kaiming_normal_", on=DENSE, nonlinearity="auto"),
        *EMBEDDING,
    ]
