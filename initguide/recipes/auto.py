"""The recipe "auto": the method of each weight follows from the activation after its layer."""

import math
from glob import escape

from torch import Tensor, nn

from initguide.graph.layer_info import NORMS
from initguide.graph.next_activation import NOT_KNOWN
from initguide.graph.trace import Trace
from initguide.model.params import full_name
from initguide.model.rule import Rule
from initguide.recipes.common import (
    ATTENTION_RULES,
    GATE_RULES,
    LINEAR_LAYERS,
    NORM_AND_BIAS_RULES,
    TABLE_RULES,
)
from initguide.recipes.custom_params import custom_param_rules
from initguide.recipes.implicit import sine_rules

# Labels of a plan's column `before`, by the method that suits them.
LINEAR_LABELS = ("linear", "selu", "attention", "output", NOT_KNOWN)
RECTIFIER_LABELS = ("relu", "relu6", "leaky_relu", "leakyrelu", "prelu", "rrelu")
SATURATING_LABELS = ("tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid", "logsigmoid")


def auto(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules: He, Xavier or LeCun by activation, with small residual branches.

    The last layer of each of $N$ branches is scaled by $1/\sqrt{N}$, so that the sum of the
    branches has the size of one. A branch that ends in a norm is not counted, because the norm
    would undo the scale. If the forward multiplies each sum by a constant $c < 1$, such as
    $1/\sqrt2$, the branch is scaled by $\sqrt{1/c^2 - 1}$, so that the stream keeps its size.
    """
    modules = dict(model.named_modules())
    normed = {
        info.branch
        for name, info in trace.layers.items()
        if info.ends and isinstance(modules.get(name), NORMS)
    }
    ends = {n: i for n, i in trace.layers.items() if i.ends and i.branch not in normed}
    shrunk = {info.branch for info in ends.values() if 0.5 <= info.sum_factor < 1}
    small: float = max(trace.branch_count - len(normed | shrunk), 1) ** -0.5
    times = {
        name: math.sqrt(info.sum_factor**-2 - 1) if info.branch in shrunk else small
        for name, info in ends.items()
    }
    branch_ends = [
        Rule(f"{escape(name)}.weight", "lecun_normal_", times=factor)
        for name, factor in times.items()
        if isinstance(modules.get(name), LINEAR_LAYERS)
    ]
    beside_heads = _tables_beside_heads(model, trace)
    return [
        # Before the rules for layers, because a tied weight is also the weight of a layer.
        *(rule for rule in beside_heads if rule.note),
        *custom_param_rules(model, trace, times, gain="unit"),
        *GATE_RULES,
        *ATTENTION_RULES,
        *sine_rules(model, trace),
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
    scale would be far larger than they are. If a norm or a factor brings the vectors to unit scale
    at the start of the stream, the head reads them back, and the scale is smaller still.
    """
    tables = {
        full_name(n, "weight"): m.weight
        for n, m in model.named_modules()
        if isinstance(m, nn.Embedding)
    }
    # A parameter of the model itself may be a table too.
    own = dict(model.named_parameters(remove_duplicate=False))
    read = {name: own[name] for name in trace.tables_read_back if name in own}
    tables |= {name: table for name, table in read.items() if table.ndim == 2}
    multiplied = {n for n, role in trace.roles.items() if role.kind == "weight"}
    heads = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    heads |= {id(p) for n, p in own.items() if n in multiplied}
    read_back = {id(tables[n]) for n in trace.tables_read_back if n in tables}
    stds: dict[int, float] = {}
    for table in tables.values():
        if id(table) in heads:
            width = table.shape[1]
            std = _tied_std(table) if id(table) in read_back else width**-0.5
            stds[width] = min(std, stds.get(width, std))
    rules = []
    for name, table in tables.items():
        if table.shape[1] in stds:
            rule = Rule(escape(name), "normal_", std=stds[table.shape[1]])
            if id(table) in read_back:
                rule.note = "the head reads it back from the stream"
            elif name in multiplied:
                rule.note = "the forward also multiplies by it, as a head does"
            rules.append(rule)
    return rules


def _tied_std(table: Tensor) -> float:
    r"""Return the std of a tied table whose vectors enter the stream at unit scale.

    The head then gives a token's own vector $e$ the logit $\sqrt{d}\,|e| = d \sigma$. Below the
    logarithm of the number of words, it adds little to the first loss.
    """
    words, width = table.shape
    return min(width**-0.5, max(math.log(words) - 1, 1) / width)
