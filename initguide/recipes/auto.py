"""The recipe "auto": the method of each weight follows from the activation after its layer."""

from glob import escape

from torch import nn

from initguide.graph.layer_info import NORMS
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
LINEAR_LABELS = ("linear", "selu", "attention", "output", "unknown")
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
    count = trace.branch_count - len(normed)
    branch_ends = [
        Rule(f"{escape(name)}.weight", "lecun_normal_", times=count**-0.5)
        for name, info in trace.layers.items()
        if info.ends and info.branch not in normed and isinstance(modules.get(name), LINEAR_LAYERS)
    ]
    return [
        *custom_param_rules(model, trace, gain="unit"),
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
        *_tables_beside_tied_ones(model),
        *TABLE_RULES,
        *NORM_AND_BIAS_RULES,
    ]


def _tables_beside_tied_ones(model: nn.Module) -> list[Rule]:
    """Return rules that give a table the small scale of a tied table of the same width.

    A table that is tied to the head is as small as a head. Positions are added to its vectors, and
    a table of positions with unit scale would be far larger than they are.
    """
    tables = {n: m for n, m in model.named_modules() if isinstance(m, nn.Embedding)}
    heads = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    widths = {m.embedding_dim for m in tables.values() if id(m.weight) in heads}
    return [
        Rule(f"{escape(name)}.weight", "normal_", std=table.embedding_dim**-0.5)
        for name, table in tables.items()
        if table.embedding_dim in widths
    ]
