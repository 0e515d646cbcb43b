"""What a model holds itself, or in modules that torch does not know: what the trace tells of it.

A norm starts at the values that give it unit scale; a weight is what the forward sums over, along
the axis that it sums over; what is added or looked up is a table, and small; a factor is one; a
summand zero. The plan says which of these was taken for granted.
"""

import math
from glob import escape
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from initguide.graph.custom_layers import neutrals
from initguide.graph.layer_info import LAYERS, NORMS, PACKED
from initguide.graph.param_roles import Use
from initguide.graph.trace import Trace
from initguide.model.params import joined
from initguide.model.rule import Rule

# What published models give tokens and tables of positions.
TABLE_STD = 0.02


def own(model: nn.Module, trace: Trace, law: str = "lecun_normal_", **options: Any) -> list[Rule]:
    """Return the rules for the parameters that the trace tells of, each with what it took them for.

    Args:
        model: The model.
        trace: Its trace.
        law: The law of weights.
        **options: Its options.
    """
    rules = [Rule(escape(name), "ones_" if value else "zeros_") for name, value in neutrals(model)]
    for owner, module in model.named_modules(remove_duplicate=False):
        torchs = type(module).__module__.startswith("torch.")
        if torchs or isinstance(module, (*LAYERS, *NORMS, *PACKED)):
            continue
        for key, tensor in module.named_parameters(recurse=False):
            name = joined(owner, key)
            use = trace.uses.get(name)
            if use is not None and use.kind != "unknown" and not is_lazy(tensor):
                rules.append(_rule(name, tensor, use, law, options))
    return rules


def _rule(name: str, tensor: Tensor, use: Use, law: str, options: dict[str, Any]) -> Rule:
    stack = math.prod(tensor.shape[:-2])
    layout = "in, out" if use.flipped else "out, in"
    if use.kind == "weight" and tensor.ndim > 1:
        rule = Rule(escape(name), law, **options)
        many = f"{stack} weights" if stack > 1 else "a weight"
        rule.note = f"taken as {many} ({layout})"
    elif use.kind == "table":
        rule = Rule(escape(name), "truncated_normal_", std=TABLE_STD)
        rule.note = "taken as a table of vectors"
    elif use.kind == "scale":
        rule = Rule(escape(name), "ones_")
        rule.note = "taken as a factor"
    else:
        rule = Rule(escape(name), "zeros_")
        rule.note = "" if "bias" in name.rpartition(".")[2] else "taken as a bias"
    return rule
