"""Match rules to parameters, and turn each match into the plan of one parameter."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from initguide._torch_internals import CLASS_PREFIXES, computes_from
from initguide.fans import Fans, fans, packed_in
from initguide.gains import unit_gain
from initguide.graph.layer_info import LAYERS, PACKED, LayerInfo
from initguide.graph.trace import Trace
from initguide.model.params import Param, full_name
from initguide.model.plan import ParamPlan, Plan
from initguide.model.rule import Rule
from initguide.model.samplers import KEEP, keep_, make_sampler

# In the place of a recipe's name: no rule matches, and only the values can decide.
UNDECIDED = "undecided"


class _Match(NamedTuple):
    """The first rule that fits a parameter, and the holder and the name that it fits."""

    rule: Rule
    info: LayerInfo
    module: nn.Module
    key: str
    name: str


def make_plan(
    params: Sequence[Param],
    rules: Sequence[tuple[Rule, str]],
    trace: Trace,
    *,
    leave_undecided: bool = False,
) -> Plan:
    """Return the plan for some parameters and buffers.

    Args:
        params: The parameters and buffers.
        rules: The rules in order, each with the name of its recipe, which is empty for a rule of
            the caller. Those of the caller apply to frozen parameters as well, and each must match
            a parameter.
        trace: The trace of the model.
        leave_undecided: Whether a parameter without a rule gets the entry UNDECIDED.

    Raises:
        ValueError: A parameter has no rule, a rule of the caller matches nothing, or a method does
            not accept its parameter or options.
        TypeError: An option has the wrong type.
    """
    entries, without_rule, used = [], [], set()
    recipes = {id(rule): recipe for rule, recipe in rules}
    for param in params:
        # Frozen parameters and buffers without memory need a rule, and "keep" is one.
        on_meta = param.tensor.is_meta
        rules_for_it = [
            rule
            for rule, recipe in rules
            if not (recipe and param.skip_reason) or (on_meta and rule.law is keep_)
        ]
        match = _match(param, rules_for_it, trace)
        if match is None and param.skip_reason and param.is_parameter and not on_meta:
            match = _match(param, [_skipping_rule(param.skip_reason)], trace)
        if match is not None:
            used.add(id(match.rule))
            recipe = recipes.get(id(match.rule), "")
            entries.append(_param_plan(param, match, trace, recipe))
        elif param.is_parameter or on_meta:
            layer = _class_name(param.holders[0][1])
            entry = ParamPlan(param, layer, None, "", KEEP, None, "", UNDECIDED)
            (entries if leave_undecided else without_rule).append(entry)
    if without_rule:
        raise ValueError(_without_rule_message(without_rule, trace))
    idle = [rule for rule, recipe in rules if not recipe and id(rule) not in used]
    if idle:
        raise ValueError(f"each rule must match a parameter; got none for {idle[0]!r}")
    return Plan(tuple(entries))


def check_decided(made: Plan, trace: Trace) -> None:
    """Raise ValueError if the plan has an undecided entry."""
    undecided = [entry for entry in made.entries if entry.recipe == UNDECIDED and not entry.kept]
    if undecided:
        raise ValueError(_without_rule_message(undecided, trace))


def _without_rule_message(entries: list[ParamPlan], trace: Trace) -> str:
    names = [entry.param.name for entry in entries]
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    roles = [trace.roles.get(name) for name in names[:5]]
    operations = dict.fromkeys(role.operation for role in roles if role and role.operation)
    used_in = " (the trace of the forward does not reach it)"
    if operations:
        used_in = f" (the forward uses it in {', '.join(operations)}, which suggests no method)"
    advice = (
        f"put Rule({names[0]!r}, ...) before the recipe, or 'keep' after it to leave them "
        f"unchanged{used_in if operations or trace.graphs else ''}"
    )
    is_reached = operations or not trace.left_out_inputs
    if entries[0].param.holders[0][0] in trace.needs_example or not is_reached:
        advice = f"show how the forward uses them by a batch, as example=batch; or {advice}"
    advice = next(filter(None, map(_of_wrapped, entries)), advice)
    return f"each parameter must have a rule; got none for {listed}: {advice}"


def _of_wrapped(entry: ParamPlan) -> str:
    """Return what to do if a parameter belongs to a layer that was changed after it was made."""
    name, (_, module, key) = entry.param.name, entry.param.holders[0]
    if isinstance(module, torch.jit.ScriptModule):
        return "initialize the model before you script it"
    change = computes_from(module, key)
    return (
        change
        and f"initialize the model before you add {change}, which computes a weight from {name!r}"
    )


def _skipping_rule(reason: str) -> Rule:
    """Return a rule that leaves a parameter unchanged and gives the reason."""
    rule = Rule("*", keep_)
    rule.note = f"{reason}, left unchanged"
    return rule


def _match(param: Param, rules: Sequence[Rule], trace: Trace) -> _Match | None:
    holders = []
    for owner, module, key in param.holders:
        name = full_name(owner, key)
        holders.append((trace.layers.get(name) or trace.layer(owner), module, key, name))
    for rule in rules:
        keeps_it = rule.law is keep_ and param.tensor.is_meta
        if param.is_parameter or keeps_it or rule.takes_buffers:
            for info, module, key, name in holders:
                if rule.matches(name, module, info):
                    return _Match(rule, info, module, key, name)
    return None


def _param_plan(param: Param, match: _Match, trace: Trace, recipe: str) -> ParamPlan:
    rule, info, module, key, name = match
    tensor = param.tensor
    options = {name: _with_activation(name, value, info) for name, value in rule.options.items()}
    role = trace.roles.get(name)
    # A table of vectors and a scale sum no inputs, so they have no fans.
    sums = role is None or role.kind in ("weight", "unknown") or isinstance(module, LAYERS)
    is_weight = tensor.ndim > 1 and tensor.numel() > 0 and sums

    def fans_of() -> Fans:
        return fans(tensor.shape) if rule.shape_fans else trace.fans(name, module, key)

    try:
        block_count = 1 if rule.shape_fans else packed_in(module, key)
        sampler = make_sampler(rule.law, tensor, fans_of, block_count, rule.times, options)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{rule!r} must fit {param.name!r}; got: {error}") from error
    # Only the table of an embedding has a padding row. Other parameters of its module have none.
    tables = [m for _, m, _ in param.holders if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    padding_row = next((m.padding_idx for m in tables if m.padding_idx is not None), None)
    if sampler.keeps_values:
        padding_row = None
    notes = [_ties(param), rule.note]
    if param.spectral_norms and not sampler.keeps_values:
        notes.append("normalized by its spectral norm")
    if padding_row is not None:
        notes.append(f"row {padding_row} is padding, and zero")
    # The activation matters to a weight. Tables have none, and other parameters belong to no layer.
    is_table = isinstance(module, (nn.Embedding, nn.EmbeddingBag))
    in_layer = name in trace.layers or isinstance(module, (*LAYERS, *PACKED))
    if is_weight and in_layer and not is_table:
        notes.append(info.note)
    return ParamPlan(
        param=param,
        layer=_class_name(module),
        fans=fans_of() if is_weight and not sampler.keeps_values else None,
        before=info.label if is_weight else "",
        sampler=sampler,
        padding_row=padding_row,
        note="; ".join(note for note in notes if note),
        recipe=recipe,
    )


def _ties(param: Param) -> str:
    """Return a note that names the other holders of a tied weight."""
    # A module that the model holds twice gives two names, but ties nothing.
    names = {id(module): full_name(owner, key) for owner, module, key in param.holders[::-1]}
    _, *others = [*names.values()][::-1]
    return f"tied with {', '.join(others)}" if others else ""


def _with_activation(option: str, value: Any, info: LayerInfo) -> Any:
    """Return the value of an option, with the activation in place of "auto" and "unit"."""
    if option in ("gain", "nonlinearity") and isinstance(value, str) and value == "auto":
        return info.nonlinearity
    if option == "gain" and isinstance(value, str) and value == "unit":
        return unit_gain(info.nonlinearity)
    return value


def _class_name(module: nn.Module) -> str:
    """Return the name of a layer's class without the prefixes that torch adds."""
    name = type(module).__name__
    for prefix in CLASS_PREFIXES:
        name = name.removeprefix(prefix)
    return name
