"""Recipes with one method for all weights, and "keep", which leaves parameters unchanged."""

from torch import nn

from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.model.samplers import keep_
from initguide.recipes.auto import LINEAR_LABELS, SATURATING_LABELS
from initguide.recipes.common import (
    ATTENTION_RULES,
    GATE_RULES,
    LINEAR_LAYERS,
    NORM_AND_BIAS_RULES,
    TABLE_RULES,
)
from initguide.recipes.custom_params import custom_param_rules


def xavier(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: Xavier's uniform method with the gain 1, for any activation."""
    weights = [Rule("*weight", "xavier_uniform_", on=LINEAR_LAYERS)]
    custom = custom_param_rules(model, trace, method="xavier_uniform_")
    return [*custom, *GATE_RULES, *ATTENTION_RULES, *weights, *TABLE_RULES, *NORM_AND_BIAS_RULES]


def kaiming(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: He's normal method with the gain of the activation that follows."""
    exact = (*LINEAR_LABELS, *SATURATING_LABELS)
    weights = [
        # He's method takes calculate_gain, which is a rule of thumb here and wrong for SELU.
        Rule("*weight", "lecun_normal_", on=LINEAR_LAYERS, before=exact, gain="auto"),
        Rule("*weight", "kaiming_normal_", on=LINEAR_LAYERS, nonlinearity="auto"),
    ]
    custom = custom_param_rules(model, trace, gain="auto")
    return [*custom, *GATE_RULES, *ATTENTION_RULES, *weights, *TABLE_RULES, *NORM_AND_BIAS_RULES]


def orthogonal(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: orthogonal weights; each of several stacked weights is orthogonal."""
    attention = [Rule("*_proj_weight", "orthogonal_", on=nn.MultiheadAttention)]
    weights = [Rule("*weight", "orthogonal_", on=LINEAR_LAYERS, gain="auto")]
    custom = custom_param_rules(model, trace, gain="auto")
    return [*custom, *GATE_RULES, *attention, *weights, *TABLE_RULES, *NORM_AND_BIAS_RULES]


def keep(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return one rule, which leaves all parameters unchanged that no earlier rule matches."""
    return [Rule("*", keep_)]
