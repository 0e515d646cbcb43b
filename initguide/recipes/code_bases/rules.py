"""Turn the record of a code base into the rules of a recipe."""

from collections.abc import Callable, Mapping
from functools import partial
from glob import escape
from typing import Any

from torch import nn

from initguide._checks import check_count, check_number
from initguide.fans import Fans
from initguide.graph.trace import Trace
from initguide.graph.weight_roles import WeightRole, block_count, weight_roles
from initguide.model.params import full_name
from initguide.model.rule import Rule
from initguide.recipes.code_bases.decoders import DECODERS
from initguide.recipes.code_bases.methods import TRANSFORMER_METHODS
from initguide.recipes.code_bases.others import OTHERS
from initguide.recipes.code_bases.record import PARTS, CodeBase, Draw, evaluated
from initguide.recipes.common import NORM_AND_BIAS_RULES
from initguide.recipes.custom_params import custom_param_rules

CODE_BASES = (*DECODERS, *OTHERS, *TRANSFORMER_METHODS)


def code_base_recipes() -> dict[str, Callable[..., list[Rule]]]:
    """Return the recipe of each code base by name."""
    return {record.name: partial(code_base_rules, record) for record in CODE_BASES}


def code_base_rules(
    record: CodeBase, model: nn.Module, trace: Trace, *, n_layers: int | None = None, **options: Any
) -> list[Rule]:
    """Return the rules of a code base for a model.

    Args:
        record: The record of the code base.
        model: The model.
        trace: Its trace.
        n_layers: The number of blocks; None takes the number that the residual branches show.
        **options: The options of the recipe.

    Raises:
        ValueError: The model lacks a role that the recipe needs, or has one without a formula, an
            option is unknown or missing, or the number of blocks is not known. The error names it.
    """
    values = _values_of_options(record, options)
    roles = weight_roles(model, trace)
    trained = {n: r for n, r in roles.items() if model.get_parameter(n).requires_grad}
    _check_roles(record, trained)
    count = block_count(roles) if n_layers is None else check_count("n_layers", n_layers)
    width = _width(model, trace, roles)
    rules = []
    for name, role in trained.items():
        draw = record.draw(role.kind)
        if draw is None:
            continue
        fans = _fans(name, model, trace)
        known: dict[str, float] = {"n_in": fans.fan_in, "n_out": fans.fan_out, "d": width}
        if count:
            known["L"] = count
        block = _block(name) if role.block is None else role.block
        if block is not None:
            known["l"] = block
        _check_depth(record, draw, name, known)
        known |= {option: evaluated(value, known) for option, value in values.items()}
        rule = draw.rule(escape(name), known)
        rule.note = role.kind
        rules.append(rule)
        bias = record.draws.get(f"{role.kind} bias")
        if bias is not None:
            bias_name = full_name(name.rpartition(".")[0], "bias")
            rules.append(bias.rule(escape(bias_name), known))
    # A weight with an unknown role gets no rule, so that the plan raises and names it.
    weights = {escape(name) for name in roles}
    others = [rule for rule in custom_param_rules(model, trace) if rule.pattern not in weights]
    return [*rules, *others, *NORM_AND_BIAS_RULES]


def _values_of_options(record: CodeBase, options: Mapping[str, Any]) -> dict[str, str | float]:
    """Return the value of each option: a number, or a formula that the record has for it."""
    known = ", ".join(("n_layers", *record.options))
    given = {}
    for name, value in options.items():
        if name not in record.options:
            raise ValueError(f"recipe {record.name!r} has the options {known}; got {name!r}")
        given[name] = check_number(name, value)
    values = {}
    for name, default in record.options.items():
        value = given.get(name, default)
        if value is None:
            raise ValueError(f"recipe {record.name!r} needs the option {name!r}; got none")
        values[name] = value
    return values


def _check_roles(record: CodeBase, roles: Mapping[str, WeightRole]) -> None:
    """Raise ValueError if a role is missing, or if a weight has no formula."""
    kinds = {role.kind for role in roles.values()}
    found = kinds.union(*(PARTS.get(kind, ()) for kind in kinds))
    missing = [kind for kind in record.needs if kind not in found]
    if missing:
        raise ValueError(
            f"recipe {record.name!r} needs a weight with the role {missing[0]!r}; got only "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    for name, role in roles.items():
        # The caller's own rules decide about a weight with an unknown role.
        if record.draw(role.kind) is None and role.kind != "unknown":
            raise ValueError(
                f"recipe {record.name!r} must have a formula for each role; got none for "
                f"{role.kind!r}, the role of {name!r}"
            )


def _check_depth(record: CodeBase, draw: Draw, name: str, known: Mapping[str, float]) -> None:
    for symbol, what in (("L", "the number of blocks"), ("l", "the index of the block")):
        if draw.uses(symbol) and symbol not in known:
            raise ValueError(
                f"recipe {record.name!r} needs {what} for {name!r}; got no residual branches in "
                f"the trace: pass {'n_layers' if symbol == 'L' else 'an example'}"
            )


def _block(name: str) -> int | None:
    """Return the first number in a name, which is the index of the block in most models."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _fans(name: str, model: nn.Module, trace: Trace) -> Fans:
    owner, _, key = name.rpartition(".")
    return trace.fans(name, model.get_submodule(owner), key)


def _width(model: nn.Module, trace: Trace, roles: Mapping[str, WeightRole]) -> float:
    """Return the width of the residual stream: the input of the first projection of a block."""
    # Each recipe needs one of these roles.
    first = ("query", "qkv", "mixer input")
    name = next(n for kind in first for n, role in roles.items() if role.kind == kind)
    return _fans(name, model, trace).fan_in
