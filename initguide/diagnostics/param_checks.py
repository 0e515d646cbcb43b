"""What one parameter's values are, beside what its law means them to be."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from initguide.diagnostics.mistakes import said, suspects
from initguide.diagnostics.orthogonality import unlike_orthogonal
from initguide.model import distributions
from initguide.model.distributions import EntryDistribution, Limits, is_value
from initguide.model.plan import ParamPlan


@dataclass(frozen=True)
class Finding:
    """What is wrong with a parameter: its name, the kind of fault, and words for people."""

    parameter: str
    kind: str
    words: str

    def __str__(self) -> str:
        """Return name, kind and words in a line."""
        return f"{self.parameter}: {self.kind}: {self.words}"


def checkup(
    entry: ParamPlan, values: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Return what is wrong with a parameter, compared with its entry in the plan.

    Args:
        entry: What it is meant to be.
        values: What it is.
        default: What torch itself would have drawn, where that is known.
        limits: How far chance may go.
    """
    if values.numel() == 0 or values.is_complex():
        return []
    found = _memory(entry, values)
    if not found and entry.padding_row is not None:
        if values[entry.padding_row].any():
            words = f"row {entry.padding_row} is padding and must be zero"
            return [Finding(entry.param.name, "padding", words)]
        keep = [row for row in range(len(values)) if row != entry.padding_row % len(values)]
        values = values[keep]
    if found or values.numel() == 0:
        return found
    spread, law = entry.sampler.distribution, entry.sampler
    if law.std == 0:
        return _constant(entry, values, torch.full_like(values, law.mean or 0.0), default, limits)
    if law.std is None:
        return _unknown(entry, values, default, limits)
    flat = values.flatten().double()
    if values.numel() > 1 and bool((flat == flat[0]).all()):
        return _all_equal(entry, flat, default, limits)
    if spread is None:
        kind, words = unlike_orthogonal(values, law.std, law.block_count)
        found = _default(entry, flat, default, limits) if kind == "not orthogonal" else []
        return found or ([Finding(entry.param.name, kind, words)] if kind else [])
    return _lines(entry, values) or _random(entry, spread, flat, default, limits)


def _memory(entry: ParamPlan, values: Tensor) -> list[Finding]:
    name, size = entry.param.name, values.numel()
    if not values.is_floating_point():
        return []
    bad = size - int(values.isfinite().sum())
    if bad:
        return [Finding(name, "not finite", f"{bad} of {size} values are NaN or infinite")]
    largest = values.abs().max().item()
    law = entry.sampler
    if largest > 1e6 * max(abs(law.mean or 0.0) + (law.std or 0.0), 1e-2):
        words = f"values up to {largest:.1e}, as in memory that nothing has written to"
        return [Finding(name, "untouched memory", words)]
    # In float16 a weight may well be denormal.
    if values.dtype != torch.float16:
        tiny = (values != 0) & (values.abs() < torch.finfo(values.dtype).tiny)
        if tiny.any():
            words = f"{int(tiny.sum())} denormal values, as in memory that nothing has written to"
            return [Finding(name, "untouched memory", words)]
    return []


def _default(
    entry: ParamPlan, flat: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Return a finding if the values are what torch drew, and were not meant to be."""
    spread = default.sampler.distribution if default is not None else None
    if spread is None or not limits.fits(spread, flat):
        return []
    words = f"looks like torch's own default, {said(spread)}, where the plan wants {_wanted(entry)}"
    return [Finding(entry.param.name, "torch default", f"{words}: was the layer skipped?")]


def _wanted(entry: ParamPlan) -> str:
    spread = entry.sampler.distribution
    return said(spread) if spread is not None else entry.sampler.name


def _constant(
    entry: ParamPlan, values: Tensor, target: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Check a parameter whose values are all known."""
    off = ~is_value(values, target)
    if not off.any():
        return []
    found = _default(entry, values.flatten().double(), default, limits)
    most = (values.double() - target.double()).abs().max().item()
    words = (
        f"{int(off.sum())} of {off.numel()} values are not {_wanted(entry)}, by up to {most:.3g}"
    )
    return found or [Finding(entry.param.name, "value", words)]


def _unknown(
    entry: ParamPlan, values: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Check a parameter whose law tells nothing about its values; it may still leave no choice."""
    if entry.sampler.keeps_values:
        return []
    try:
        # What it makes of two different starts, and of two seeds, is the same if nothing is drawn.
        drawn = [entry.draw_(torch.full_like(values, float(i)), i) for i in (0, 1)]
    except Exception:
        return []
    if torch.equal(*drawn):
        return _constant(entry, values, drawn[0], default, limits)
    flat = values.flatten().double()
    if values.numel() > 1 and bool((flat == flat[0]).all()) and entry.sampler.from_package:
        return _all_equal(entry, flat, default, limits)
    return []


def _all_equal(
    entry: ParamPlan, flat: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    words = f"all {flat.numel()} values are {flat[0].item():.3g}, where the plan wants "
    words += f"{_wanted(entry)}: units that start equal stay equal"
    default_found = _default(entry, flat, default, limits)
    return default_found or [Finding(entry.param.name, "constant", words)]


def _lines(entry: ParamPlan, values: Tensor) -> list[Finding]:
    """Find rows and columns of one value, where chance cannot make them."""
    if values.ndim < 2:
        return []
    matrix, found = values.flatten(1), []
    digits = -math.log10(torch.finfo(values.dtype).eps)
    for kind, lines in (("rows", matrix), ("columns", matrix.T)):
        count, length = lines.shape
        if (length - 1) * digits - math.log10(count) < 9:
            continue
        same = (lines == lines[:, :1]).all(1).nonzero().flatten().tolist()
        if same:
            which = ", ".join(map(str, same[:5])) + (", …" if len(same) > 5 else "")
            words = f"{kind} of a single value, where all should be random: {which}"
            found.append(Finding(entry.param.name, f"constant {kind}", words))
    return found


def _random(
    entry: ParamPlan,
    spread: EntryDistribution,
    flat: Tensor,
    default: ParamPlan | None,
    limits: Limits,
) -> list[Finding]:
    """Check mean, std and shape of independent values."""
    if limits.fits(spread, flat):
        return []
    found = _default(entry, flat, default, limits)
    if found:
        return found
    name = entry.param.name
    std = math.sqrt(((flat - spread.mean) ** 2).mean().item())
    if abs(distributions.mean_error(spread, flat)) > limits.errors:
        error = spread.std / math.sqrt(flat.numel())
        words = (
            f"mean {flat.mean().item():.3g}, where the plan wants {spread.mean:.3g} ± {error:.2g}"
        )
        found.append(Finding(name, "mean", words))
        std = flat.std(correction=0).item()
    centred = flat - flat.mean() + spread.mean if found else flat
    if abs(distributions.std_error(spread, centred)) > limits.errors:
        kind, words = suspects(entry, std, flat, limits.p)
        found.append(Finding(name, kind, words))
    if not found:
        against = limits.misfit(spread, flat)
        looks = _looks(flat, limits)
        words = f"the plan wants {said(spread)}; {against}{f'; it looks {looks}' if looks else ''}"
        found.append(Finding(name, "law", words))
    return found


def _looks(flat: Tensor, limits: Limits) -> str:
    shapes = {
        "uniform": EntryDistribution("uniform", low=-1.0, high=1.0),
        "normal": EntryDistribution("normal"),
        "cut at two standard deviations": EntryDistribution("normal", low=-2.0, high=2.0),
    }
    mean, std = flat.mean().item(), flat.std(correction=0).item()
    # Not by their bounds, which a std found from the values misses by a little.
    part = flat[:: max(1, flat.numel() // distributions.SAMPLE)]
    limit = distributions.distance_limit(len(part), limits.p)
    far = {
        name: distributions.distance(s.with_moments(mean, std), part) for name, s in shapes.items()
    }
    return " or ".join(name for name, distance in far.items() if distance <= limit)
