"""Rules for parameters outside torch's own layers, from how the forward uses them.

A norm starts at the values that give it unit scale. A weight is drawn by the fans of the axis that
the forward sums over. Vectors that are added or looked up get the small std of an embedding table,
a scale starts at one, and a shift at zero. The plan notes each of these guesses.
"""

import math
from collections.abc import Mapping
from glob import escape
from types import MappingProxyType
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from initguide.graph.custom_layers import custom_norm_values
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, has_own_forward
from initguide.graph.operations import computes_with_weight
from initguide.graph.param_roles import Role
from initguide.graph.trace import Trace
from initguide.layers.state_space import (
    log_decay_,
    log_time_step_,
    noise_scale_,
    time_step_bias_,
)
from initguide.model.params import full_name
from initguide.model.rule import Rule
from initguide.model.samplers import keep_

# The std that published models give to tables of tokens and of positions.
TABLE_STD = 0.02
STATE_SPACE = {"time step": time_step_bias_, "log time step": log_time_step_, "decay": log_decay_}
_KNOWN_LAYERS = (*LAYERS, *NORMS, *PACKED)


def custom_param_rules(
    model: nn.Module,
    trace: Trace,
    times: Mapping[str, float] = MappingProxyType({}),
    method: str = "lecun_normal_",
    **options: Any,
) -> list[Rule]:
    """Return a rule for each parameter whose role the trace found, with a note of that role.

    Args:
        model: The model.
        trace: Its trace.
        times: Factors for the weights that end a residual branch, by name.
        method: The name of the method that draws weights.
        **options: The options of that method.
    """
    rules = [
        Rule(escape(name), "ones_" if value else "zeros_")
        for name, value in custom_norm_values(model)
    ]
    for owner, module in model.named_modules(remove_duplicate=False):
        is_torch = type(module).__module__.startswith("torch.") and not _only_holds(module)
        for key, tensor in module.named_parameters(recurse=False):
            name = full_name(owner, key)
            role = trace.roles.get(name)
            if role is None or role.kind == "unknown" or is_lazy(tensor):
                continue
            # A subclass of a layer may have more parameters, or multiply its weight by a constant.
            is_beside = has_own_forward(module) and isinstance(module, LAYERS)
            is_known = is_torch or (isinstance(module, _KNOWN_LAYERS) and not is_beside)
            if role.kind == "time step" or not is_known:
                layer = owner if key == "weight" else name
                factor = times.get(name, times.get(layer, 1)) / abs(role.factor)
                weight = Rule(escape(name), method, times=factor, **options)
                rules.append(_rule(name, tensor, role, weight))
    return rules


def _only_holds(module: nn.Module) -> bool:
    """Return whether a module of torch only holds parameters, as in an exported program."""
    holders = (nn.ParameterList, nn.ParameterDict, fx.GraphModule)
    return type(module) is nn.Module or isinstance(module, holders)


def _rule(name: str, tensor: Tensor, role: Role, weight: Rule) -> Rule:
    fixed = {"scale": "ones_", "shift": "zeros_", **STATE_SPACE, "kept": keep_}
    if role.kind == "weight" and (tensor.ndim > 1 or role.fans is not None):
        rule = weight
        rule.note = f"treated as {_kind_of_weight(tensor, role)}"
        if abs(role.factor) != 1:
            rule.note += f", which the forward multiplies by {abs(role.factor):.4g}"
    elif role.kind == "noise":
        rule = Rule(escape(name), noise_scale_)
        rule.note = "treated as the scale of noise"
    elif role.kind == "table" and _is_read_by_layer(role):
        rule = Rule(escape(name), "normal_", std=1)
        rule.note = "treated as the input of a layer"
    elif role.kind == "table" and "bias" not in name.rpartition(".")[2]:
        rule = Rule(escape(name), "truncated_normal_", std=TABLE_STD)
        rule.note = "treated as a table of vectors"
    else:
        rule = Rule(escape(name), fixed.get(role.kind, "zeros_"))
        is_named = "bias" in name.rpartition(".")[2] and role.kind in ("shift", "table")
        rule.note = "" if is_named else f"treated as {_NOTES.get(role.kind, 'a bias')}"
        if role.kind == "kept" and role.operation == "output":
            rule.note = "the forward returns it, so it keeps its value"
    return rule


def _is_read_by_layer(role: Role) -> bool:
    """Return whether layers read a table as it is, so that it is their only signal."""
    return bool(role.nodes) and all(
        computes_with_weight(node) or isinstance(node.meta.get("module"), LAYERS)
        for node in role.nodes
    )


_NOTES = {
    "scale": "a scale",
    "time step": "the bias of a step size, from 0.001 to 0.1",
    "log time step": "the logarithm of a step size, from 0.001 to 0.1",
    "decay": "the logarithm of a decay",
    "kept": "a scale that keeps its value",
}


def _kind_of_weight(tensor: Tensor, role: Role) -> str:
    if role.operation.startswith("conv"):
        return "a convolution's weight"
    if role.fans is not None:
        return "a weight"
    count = math.prod(tensor.shape[:-2])
    weights = f"{count} weights" if count > 1 else "a weight"
    return f"{weights} ({role.layout.replace('_', ', ')})"
