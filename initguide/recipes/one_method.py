"""Recipes with one method for all weights, "keep", and "lora" for adapters beside kept weights."""

import math
from glob import escape

from torch import nn

from initguide.graph.layer_info import PACKED
from initguide.graph.trace import Trace
from initguide.graph.weight_roles import weight_roles
from initguide.model.rule import Rule
from initguide.model.samplers import keep_
from initguide.recipes.auto import LINEAR_LABELS, SATURATING_LABELS
from initguide.recipes.common import (
    ATTENTION_RULES,
    GATE_RULES,
    LINEAR_LAYERS,
    NORM_AND_BIAS_RULES,
    TABLE_RULES,
    TABLES,
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


def spectral(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules: the std $\min(1, \sqrt{n_{out}/n_{in}}) / \sqrt{n_{in}}$ for all matrices.

    Then each matrix has a spectral norm of about $\sqrt{n_{out}/n_{in}}$ at any width. The vectors
    of tables have the std 1 (G. Yang, J. B. Simon, J. Bernstein, 2023, A Spectral Condition for
    Feature Learning, parametrization 1, which leaves the constant factors open; here they are 1).
    """
    rules = []
    for name, role in weight_roles(model, trace).items():
        owner, _, key = name.rpartition(".")
        module = model.get_submodule(owner)
        parameter_role = trace.roles.get(name)
        if isinstance(module, TABLES) or (parameter_role and parameter_role.kind == "table"):
            rules.append(Rule(escape(name), "normal_", std=1.0))
        elif role.kind != "unknown" or isinstance(module, (*LINEAR_LAYERS, *PACKED)):
            fans = trace.fans(name, module, key)
            std = min(1.0, math.sqrt(fans.fan_out / fans.fan_in)) / math.sqrt(fans.fan_in)
            rules.append(Rule(escape(name), "normal_", std=std))
    return [*rules, *custom_param_rules(model, trace), *NORM_AND_BIAS_RULES]


def keep(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return one rule, which leaves all parameters unchanged that no earlier rule matches."""
    return [Rule("*", keep_)]


def lora(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules: A uniform within $1/\sqrt{n}$, B zero, everything else unchanged.

    The factors are found by the names `lora_A` and `lora_B`, in any case, which the common
    libraries share. In the adapter of an embedding the first factor is zero, and the second one
    normal (E. J. Hu et al., 2022, LoRA: Low-Rank Adaptation of Large Language Models; the
    distributions are those of microsoft/LoRA).

    PiSSA and OLoRA compute the factors from the weight $W$ that they adapt, by its singular values
    or a QR decomposition, and leave $W - B A$ in its place. A rule sees one parameter at a time, so
    they are no recipes here.
    """
    names = [name.lower().replace("_embedding", "") for name, _ in model.named_parameters()]
    for role in ("lora_a", "lora_b"):
        if not any(role in name for name in names):
            raise ValueError(
                f"recipe 'lora' needs a parameter with the role {role!r}, by its name; got none"
            )
    return [
        Rule("*lora_embedding_A*", "zeros_"),
        Rule("*lora_embedding_B*", "normal_", std=1.0),
        Rule("*lora_[aA]*", "kaiming_uniform_", a=5**0.5),
        Rule("*lora_[bB]*", "zeros_"),
        *keep(model, trace),
    ]
