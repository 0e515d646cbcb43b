"""Recognize deliberate starts: values that an author set on purpose, and that no random draw has.

Examples are LoRA's second factor of zeros, a bias for the odds of a class, LayerScale's 1e-5, a
norm's scale of zero, identities, and the step sizes of a state-space model. Dense random weights
are never deliberate, because every library draws some.
"""

import math
from collections.abc import Container
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from initguide._torch_internals import writes_to
from initguide.graph.bypass import may_be_zero
from initguide.graph.layer_info import NORMS
from initguide.graph.trace import Trace
from initguide.model.params import Param
from initguide.model.patterns import (
    FEW,
    NEAR_IDENTITY,
    SMOOTH,
    Part,
    can_be_read,
    is_orthogonal,
    looks_unwritten,
    part_of,
    pattern,
)
from initguide.model.plan import ParamPlan, Plan
from initguide.model.resolve import UNDECIDED
from initguide.model.samplers import KEEP
from initguide.model.trained import trained_among
from initguide.recipes.torch_defaults import default_bound

ZERO, UNUSUAL = "all zero", "far from its usual values"
_DOUBTFUL = {SMOOTH, NEAR_IDENTITY, UNUSUAL}
_UNSEEN = "meta and sharded tensors show no values here, so deliberate starts are not recognized"


def with_deliberate_starts(made: Plan, trace: Trace, recipes: Container[str]) -> Plan:
    """Return a plan that keeps the deliberate starts among the parameters of some recipes.

    Args:
        made: The plan.
        trace: The trace of the model.
        recipes: The names of the recipes.
    """
    entries = [e for e in made.entries if e.recipe in recipes and _may_be_kept(e)]
    entries += [e for e in made.entries if e.recipe == UNDECIDED and e.param.is_parameter]
    parts = {
        entry.param.name: part_of(entry.param.tensor, entry.padding_row)
        for entry in entries
        if can_be_read(entry.param.tensor)
    }
    seen = [entry for entry in entries if entry.param.name in parts]
    notes = (_UNSEEN,) if len(seen) < len(entries) else ()
    reasons = _reasons(seen, parts, trace) if _is_written(seen, parts) else {}
    kept = tuple(
        _kept(entry, reasons[entry.param.name]) if entry.param.name in reasons else entry
        for entry in made.entries
    )
    return replace(made, entries=kept, notes=notes)


def _may_be_kept(entry: ParamPlan) -> bool:
    return entry.param.is_parameter and not entry.sampler.keeps_values


def _kept(entry: ParamPlan, reason: str) -> ParamPlan:
    note = "; ".join(part for part in (f"kept: {reason}", entry.note) if part)
    would_draw = bool(entry.sampler.std)
    kept = replace(entry, sampler=KEEP, fans=None, before="", padding_row=None, note=note)
    return replace(kept, kept=reason, would_draw=would_draw)


def _is_written(entries: list[ParamPlan], parts: dict[str, Part]) -> bool:
    """Return whether the model holds values, and not memory that was only reserved.

    After `to_empty`, memory holds zeros or earlier values.
    """
    if any(looks_unwritten(parts[e.param.name], e.param.tensor.dtype) for e in entries):
        return False
    weights = [entry for entry in entries if _is_weight(entry)]
    if weights and not any(parts[e.param.name].any() for e in weights):
        return False
    if any(map(_writes, entries)):
        return True
    # A copied model has never been written to either. But no start gives a norm random scales.
    norms = [e for e in entries if isinstance(e.param.holders[0][1], NORMS) and e.sampler.mean]
    return all(bool((parts[e.param.name] == parts[e.param.name].flat[0]).all()) for e in norms)


def _reasons(entries: list[ParamPlan], parts: dict[str, Part], trace: Trace) -> dict[str, str]:
    """Return the deliberate starts among some parameters, by name, each with its reason."""
    found = {}
    for entry in entries:
        part = parts[entry.param.name]
        if not entry.sampler.std and (part == entry.sampler.mean).all():
            continue
        reason = pattern(entry.param.tensor, part)
        if entry.recipe == UNDECIDED:
            # One number outside any layer was chosen by the author.
            reason = reason or (f"all {part.flat[0]:.4g}" if part.size == 1 else "")
        elif not entry.sampler.std:
            reason = _of_fixed(entry, part, reason)
        elif not reason and _is_rotation(entry):
            reason = "its rows are orthonormal"
        role = trace.roles.get(entry.param.name)
        # Ones are a placeholder for the steps of a state-space layer, which are far smaller.
        is_placeholder = role is not None and role.kind == "time step" and reason == "all 1"
        if reason and not is_placeholder:
            found[entry.param.name] = reason
    # Training makes these as well.
    doubtful = [n for n, reason in found.items() if reason in _DOUBTFUL or parts[n].size == 1]
    if (
        doubtful
        and trained_among({e.param.name: e.param.tensor for e in entries if _is_weight(e)})[0]
    ):
        found = {name: reason for name, reason in found.items() if name not in doubtful}
    zeros = [entry for entry in entries if found.get(entry.param.name) == ZERO]
    allowed = may_be_zero([entry.param.name for entry in zeros], trace) if zeros else {}
    # A copied model has never been written to.
    is_copy = not any(map(_writes, entries))
    for entry in zeros:
        is_allowed = allowed[entry.param.name]
        # Where the trace does not help, a matrix of zeros may be memory that was only reserved. A
        # vector may be a bias or a logarithm, such as that of the std of a policy.
        role = trace.roles.get(entry.param.name)
        is_unread = entry.recipe == UNDECIDED and not (role and role.operation)
        is_vector = is_unread and entry.param.tensor.squeeze().ndim < 2
        may_be = is_copy or is_vector or _writes(entry)
        if not (may_be if is_allowed is None else is_allowed):
            del found[entry.param.name]
    return found


def _is_weight(entry: ParamPlan) -> bool:
    return bool(entry.sampler.std) and entry.param.tensor.ndim > 1


def _is_rotation(entry: ParamPlan) -> bool:
    """Return whether a weight is an orthogonal matrix of the scale that the plan gives it.

    Such as the invertible convolutions of a flow. Many libraries draw the weights of linear and
    recurrent layers by an orthogonal method, and these are random draws like others.
    """
    tensor = entry.param.tensor
    is_drawn = isinstance(entry.param.holders[0][1], (nn.Linear, nn.RNNBase, nn.RNNCellBase))
    has_scale = math.isclose(entry.sampler.std * len(tensor) ** 0.5, 1, rel_tol=0.01)
    return tensor.ndim > 1 and not is_drawn and has_scale and is_orthogonal(tensor)


def _writes(entry: ParamPlan) -> int:
    return 0 if entry.param.is_parametrized else writes_to(entry.param.tensor)


def _of_fixed(entry: ParamPlan, part: Part, reason: str) -> str:
    """Return why a parameter is deliberate that the plan sets to known values, such as a bias."""
    tensor = entry.param.tensor
    values, right = part.ravel(), entry.sampler.mean
    if right is None:
        # A function fills it, such as the forget gate's bias of one.
        is_usual = reason == ZERO or torch.equal(entry.draw_(torch.empty_like(tensor), 0), tensor)
        return "" if is_usual else reason
    bound = _bound(entry.param)
    # The default draw of a layer shows no pattern, but one number is always a pattern.
    is_default = bound is not None and bool((np.abs(values) <= 1.01 * bound).all())
    if is_default and (not reason or len(values) == 1):
        return ""
    if reason or len(values) == 1:
        return reason or f"all {values[0]:.4g}"
    error = values.std() / math.sqrt(len(values))
    if right and len(values) >= FEW and abs(values.mean()) < 4 * error:
        # Some libraries draw every weight around zero, the scales of norms as well.
        return ""
    mean, std = (values - right).mean(), values.std()
    is_shifted = abs(mean) > max(std, 6 * error)
    return UNUSUAL if len(values) < FEW or is_shifted else ""


def _bound(param: Param) -> float | None:
    """Return the bound of torch's own draw of a bias."""
    _, module, key = param.holders[0]
    is_bias = key.startswith("bias") and not isinstance(module, nn.MultiheadAttention)
    return default_bound(module) if is_bias else None
