"""The guide's advice, layer by layer: the law follows from the activation behind the layer."""

from glob import escape

from torch import nn

from initguide.graph.layer_info import NORMS
from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.common import ATTENTION, DENSE, GATES, NEUTRAL, TABLES
from initguide.recipes.own import own

LINEAR = ("linear", "selu", "attention", "output", "unknown")
RECTIFIERS = ("relu", "relu6", "leaky_relu", "leakyrelu", "prelu", "rrelu")
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
        *own(model, trace, gain="unit"),
        *GATES,
        *ATTENTION,
        *small,
        Rule("*weight", "xavier_normal_", on=DENSE, before=SATURATING, gain="auto"),
        Rule("*weight", "lecun_normal_", on=DENSE, before=LINEAR),
        Rule("*weight", "kaiming_normal_", on=DENSE, before=RECTIFIERS, nonlinearity="auto"),
        # The others hold one size of the signal only: that of inputs with unit second moment.
        Rule("*weight", "lecun_normal_", on=DENSE, gain="unit"),
        *_beside_tied(model),
        *TABLES,
        *NEUTRAL,
    ]


def _beside_tied(model: nn.Module) -> list[Rule]:
    """Return rules for tables beside one that is the head as well, and as small as a head.

    Tables of positions are added to those of tokens: one with unit scale would drown them.
    """
    tables = {n: m for n, m in model.named_modules() if isinstance(m, nn.Embedding)}
    heads = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    sizes = {m.embedding_dim for m in tables.values() if id(m.weight) in heads}
    return [
        Rule(f"{escape(name)}.weight", "normal_", std=table.embedding_dim**-0.5)
        for name, table in tables.items()
        if table.embedding_dim in sizes
    ]
