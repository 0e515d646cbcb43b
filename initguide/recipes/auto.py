"""The recipe "auto": the method of each weight follows from the activation after its layer."""

from glob import escape

from torch import nn

from initguide.graph.layer_info import NORMS
from initguide.graph.next_activation import NOT_KNOWN
from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.common import (
    ATTENTION_RULES,
    GATE_RULES,
    LINEAR_LAYERS,
    NORM_AND_BIAS_RULES,
    TABLE_RULES,
)
from initguide.recipes.custom_params import custom_param_rules

# Labels of a plan's column `before`, by the method that suits them.
LINEAR_LABELS = ("linear", "selu", "attention", "output", NOT_KNOWN)
RECTIFIER_LABELS = ("relu", "relu6", "leaky_relu", "leakyrelu", "prelu", "rrelu")
SATURATING_LABELS = ("tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid", "logsigmoid")


def auto(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules: He, Xavier or LeCun by activation, with small residual branches.

    The last layer of each of $L$ branches is scaled by $1/\sqrt{L}$, so that the sum of the
    branches has the size of one. A branch that ends in a norm is not counted, because the norm
    would undo the scale.
    """
    modules = dict(model.named_modules())
    normed = {
        info.branch
        for name, info in trace.layers.items()
        if info.ends and isinstance(modules.get(name), NORMS)
    }
    small: float = max(trace.branch_count - len(normed), 1) ** -0.5
    ends = [n for n, info in trace.layers.items() if info.ends and info.branch not in normed]
    branch_ends = [
        Rule(f"{escape(name)}.weight", "lecun_normal_", times=small)
        for name in ends
        if isinstance(modules.get(name), LINEAR_LAYERS)
    ]
    beside_heads = _tables_beside_heads(model, trace)
    return [
        *(rule for rule in beside_heads if rule.note),
        *custom_param_rules(model, trace, dict.fromkeys(ends, small), gain="unit"),
        *GATE_RULES,
        *ATTENTION_RULES,
        *branch_ends,
        Rule("*weight", "xavier_normal_", on=LINEAR_LAYERS, before=SATURATING_LABELS, gain="auto"),
        Rule("*weight", "lecun_normal_", on=LINEAR_LAYERS, before=LINEAR_LABELS),
        Rule(
            "*weight",
            "kaiming_normal_",
            on=LINEAR_LAYERS,
            before=RECTIFIER_LABELS,
            nonlinearity="auto",
        ),
        # Smooth activations keep only one size of the signal: a unit second moment.
        Rule("*weight", "lecun_normal_", on=LINEAR_LAYERS, gain="unit"),
        *beside_heads,
        *TABLE_RULES,
        *NORM_AND_BIAS_RULES,
    ]


def _tables_beside_heads(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return rules that give a table the small scale of a head of the same width.

    The weight of a table may also be the head's, as a tied weight or because the forward multiplies
    by it. Positions are added to the vectors of such a table, and a table of positions with unit
    scale would be far larger than they are.
    """
    tables = {n: m for n, m in model.named_modules() if isinstance(m, nn.Embedding)}
    multiplied = {n for n, role in trace.roles.items() if role.kind == "weight"}
    heads = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    heads |= {id(p) for n, p in model.named_parameters(remove_duplicate=False) if n in multiplied}
    widths = {m.embedding_dim for m in tables.values() if id(m.weight) in heads}
    rules = []
    for name, table in tables.items():
        if table.embedding_dim in widths:
            rule = Rule(f"{escape(name)}.weight", "normal_", std=table.embedding_dim**-0.5)
            if f"{name}.weight" in multiplied:
                rule.note = "the forward also multiplies by it, as a head does"
            rules.append(rule)
    return rules
