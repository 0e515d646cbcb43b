"""Rules for parameters outside torch's own layers, from how the forward uses them.

A norm starts at the values that give it unit scale. A weight is drawn by the fans of the axis that
the forward sums over. Vectors that are added or looked up get the small std of an embedding table,
a scale starts at one, and a shift at zero. The plan notes each of these guesses.
"""

import math
from glob import escape
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from initguide.graph.custom_layers import custom_norm_values
from initguide.graph.layer_info import LAYERS, NORMS, PACKED
from initguide.graph.param_roles import Role
from initguide.graph.trace import Trace
from initguide.model.params import full_name
from initguide.model.rule import Rule

# The std that published models give to tables of tokens and of positions.
TABLE_STD = 0.02


def custom_param_rules(
    model: nn.Module, trace: Trace, law: str = "lecun_normal_", **options: Any
) -> list[Rule]:
    """Return a rule for each parameter whose role the trace found, with a note of that role.

    Args:
        model: The model.
        trace: Its trace.
        law: The method that draws weights.
        **options: The options of that method.
    """
    rules = [
        Rule(escape(name), "ones_" if value else "zeros_")
        for name, value in custom_norm_values(model)
    ]
    for owner, module in model.named_modules(remove_duplicate=False):
        is_list = isinstance(module, (nn.ParameterList, nn.ParameterDict))
        is_torch = type(module).__module__.startswith("torch.") and not is_list
        if is_torch or isinstance(module, (*LAYERS, *NORMS, *PACKED)):
            continue
        for key, tensor in module.named_parameters(recurse=False):
            name = full_name(owner, key)
            role = trace.roles.get(name)
            if role is not None and role.kind != "unknown" and not is_lazy(tensor):
                rules.append(_rule(name, tensor, role, law, options))
    return rules


def _rule(name: str, tensor: Tensor, role: Role, law: str, options: dict[str, Any]) -> Rule:
    if role.kind == "weight" and tensor.ndim > 1:
        rule = Rule(escape(name), law, **options)
        count = math.prod(tensor.shape[:-2])
        weights = f"{count} weights" if count > 1 else "a weight"
        rule.note = f"treated as {weights} ({role.layout.replace('_', ', ')})"
    elif role.kind == "table":
        rule = Rule(escape(name), "truncated_normal_", std=TABLE_STD)
        rule.note = "treated as a table of vectors"
    elif role.kind == "scale":
        rule = Rule(escape(name), "ones_")
        rule.note = "treated as a scale"
    else:
        rule = Rule(escape(name), "zeros_")
        rule.note = "" if "bias" in name.rpartition(".")[2] else "treated as a bias"
    return rule
