"""One law for all weights: Xavier, He, orthogonal."""

from torch import nn

from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.model.samplers import keep_
from initguide.recipes.auto import LINEAR, SATURATING
from initguide.recipes.common import ATTENTION, DENSE, GATES, NEUTRAL, TABLES
from initguide.recipes.own import own


def xavier(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: Xavier's uniform law with the gain 1, whatever follows."""
    weights = [Rule("*weight", "xavier_uniform_", on=DENSE)]
    own_ = own(model, trace, "xavier_uniform_")
    return [*own_, *GATES, *ATTENTION, *weights, *TABLES, *NEUTRAL]


def kaiming(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: He's normal law with the gain of what follows."""
    weights = [
        # calculate_gain, which He's law goes by, is a rule of thumb for these, and wrong for SELU.
        Rule("*weight", "lecun_normal_", on=DENSE, before=(*LINEAR, *SATURATING), gain="auto"),
        Rule("*weight", "kaiming_normal_", on=DENSE, nonlinearity="auto"),
    ]
    return [*own(model, trace, gain="auto"), *GATES, *ATTENTION, *weights, *TABLES, *NEUTRAL]


def orthogonal(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: orthogonal weights, block by block where they are packed."""
    attention = [Rule("*_proj_weight", "orthogonal_", on=nn.MultiheadAttention)]
    weights = [Rule("*weight", "orthogonal_", on=DENSE, gain="auto")]
    return [*own(model, trace, gain="auto"), *GATES, *attention, *weights, *TABLES, *NEUTRAL]


def keep(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return one rule: what no rule before it governs stays as it is."""
    return [Rule("*", keep_)]
