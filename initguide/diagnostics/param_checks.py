"""Compare the values of one parameter with the distribution that its plan gives."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from initguide.activations import FUNCTIONS
from initguide.diagnostics.explain import explain, wrong_distribution
from initguide.diagnostics.mistakes import DISTRIBUTIONS, NEAR, Case, Known, Shape, fans_of
from initguide.diagnostics.orthogonality import not_orthogonal
from initguide.diagnostics.report import Finding, finding
from initguide.fans import Fans, layer_fans
from initguide.gains import gain
from initguide.model import distributions
from initguide.model.distributions import EntryDistribution, Limits, is_value
from initguide.model.plan import ParamPlan


def check_param(
    entry: ParamPlan, values: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Return the findings of a parameter, compared with its entry in the plan.

    Args:
        entry: The plan's entry.
        values: The values in the model.
        default: The entry of torch's own default, where that is known.
        limits: The largest differences that chance explains.
    """
    if values.numel() == 0:
        return []
    if values.is_complex():
        return _complex(entry, values)
    found, rows = _memory(entry, values), len(values) if values.ndim else 1
    if not found and entry.padding_row is not None:
        if values[entry.padding_row].any():
            return [
                _finding(entry, "padding", f"row {entry.padding_row} is padding and must be zero")
            ]
        keep = [row for row in range(len(values)) if row != entry.padding_row % len(values)]
        values = values[keep]
    if found or values.numel() == 0:
        return found
    spread, law = entry.sampler.distribution, entry.sampler
    if law.std == 0:
        return _constant(entry, values, torch.full_like(values, law.mean or 0.0), default, limits)
    flat = values.flatten().double()
    if entry.kept:
        return _kept(entry, flat)
    if law.std is None:
        return _unknown(entry, values, default, limits)
    if values.numel() > 1 and bool((flat == flat[0]).all()):
        return _all_equal(entry, flat, default, limits)
    if spread is None:
        kind, message = not_orthogonal(values, law.std, law.block_count, rows)
        found = _default(entry, flat, default, limits) if kind == "not orthogonal" else []
        return found or ([_finding(entry, kind, message)] if kind else [])
    return _lines(entry, values) or _random(entry, spread, flat, default, limits)


def check_buffer(name: str, values: Tensor) -> list[Finding]:
    """Find values in a buffer without a rule that only untouched memory holds."""
    if values.is_meta or not values.is_floating_point() or values.itemsize == 1:
        return []
    # A mask may hold infinity or huge values.
    bad = values.isnan()
    if values.dtype != torch.float16:
        bad |= (values != 0) & (values.abs() < torch.finfo(values.dtype).tiny)
    if not bad.any():
        return []
    message = f"{int(bad.sum())} NaN or denormal values, as in memory that was never written"
    return [finding("untouched memory", message, where=name)]


def _complex(entry: ParamPlan, values: Tensor) -> list[Finding]:
    """Find complex values that are not finite or all equal; their distribution is not checked."""
    found, flat = _memory(entry, torch.view_as_real(values)), values.flatten()
    is_drawn = not entry.sampler.keeps_values and entry.sampler.std != 0
    if found or not is_drawn or len(flat) == 1 or (flat != flat[0]).any():
        return found
    message = f"all {len(flat)} values are {flat[0].item():.3g}; they must be random"
    return [_finding(entry, "constant", message)]


def _kept(entry: ParamPlan, flat: Tensor) -> list[Finding]:
    """Find equal weights; the plan keeps zeros only where the signal goes around them."""
    shape = entry.param.tensor.shape
    is_weight = entry.would_draw and len(shape) > 1 and min(shape[:2]) > 1
    if not (is_weight and bool((flat == flat[0]).all()) and flat[0]):
        return []
    message = f"all {flat.numel()} values are {flat[0].item():.3g}; units that start equal stay so"
    return [_finding(entry, "constant", message)]


def _finding(entry: ParamPlan, kind: str, message: str) -> Finding:
    return finding(kind, message, where=entry.param.name)


def _memory(entry: ParamPlan, values: Tensor) -> list[Finding]:
    """Find values that no initialization leaves: NaN, infinity, and those of untouched memory."""
    size = values.numel()
    if not values.is_floating_point():
        return []
    bad = size - int(values.isfinite().sum())
    if bad:
        return [_finding(entry, "not finite", f"{bad} of {size} values are NaN or infinite")]
    kind, largest, law = "untouched memory", values.abs().max().item(), entry.sampler
    if largest > 1e6 * max(abs(law.mean or 0.0) + (law.std or 0.0), 1e-2):
        message = f"values up to {largest:.1e}, as in memory that was never written"
        return [_finding(entry, kind, message)]
    # A weight in float16 may well be denormal.
    if values.dtype != torch.float16:
        tiny = (values != 0) & (values.abs() < torch.finfo(values.dtype).tiny)
        if tiny.any():
            message = f"{int(tiny.sum())} denormal values, as in memory that was never written"
            return [_finding(entry, kind, message)]
    return []


def _default(
    entry: ParamPlan, flat: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Return a finding if the values look like torch's default, and the plan draws others."""
    spread = default.sampler.distribution if default is not None else None
    if spread is None or not limits.fits(spread, flat):
        return []
    message = f"the values look like torch's own default, {described(spread)}; "
    return [_finding(entry, "torch default", f"{message}they must be {_right(entry)}")]


def described(spread: EntryDistribution) -> str:
    """Return a distribution in a few signs, such as `N(0, 0.1²)` or `U(±0.1)`."""
    if spread.std == 0:
        return f"{spread.mean:.4g} throughout"
    if spread.kind == "uniform":
        middle = f"{spread.centre:.3g} " if spread.centre else ""
        return f"U({middle}±{spread.scale:.4g})"
    cut = "" if math.isinf(spread.high) else f" cut at {spread.high * spread.scale:.3g}"
    return f"N({spread.centre:.3g}, {spread.scale:.4g}²){cut}"


def _right(entry: ParamPlan) -> str:
    spread = entry.sampler.distribution
    return described(spread) if spread is not None else entry.sampler.name


def _constant(
    entry: ParamPlan, values: Tensor, target: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Check a parameter whose values are all known."""
    off = ~is_value(values, target)
    if not off.any():
        return []
    found = _default(entry, values.flatten().double(), default, limits)
    most = (values.double() - target.double()).abs().max().item()
    message = (
        f"{int(off.sum())} of {off.numel()} values are not {_right(entry)}; the largest difference "
        f"is {most:.3g}"
    )
    return found or [_finding(entry, "wrong values", message)]


def _unknown(
    entry: ParamPlan, values: Tensor, default: ParamPlan | None, limits: Limits
) -> list[Finding]:
    """Check a parameter with an unknown distribution, whose values may still be fixed."""
    if entry.sampler.keeps_values:
        return []
    try:
        # If nothing is drawn, two different starts and two seeds lead to the same values.
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
    message = f"all {flat.numel()} values are {flat[0].item():.3g}; they must be {_right(entry)}"
    found = _default(entry, flat, default, limits)
    return found or [_finding(entry, "constant", message)]


def _lines(entry: ParamPlan, values: Tensor) -> list[Finding]:
    """Find rows and columns of one value, which chance cannot make."""
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
            message = f"all values must be random; each of these {kind} has a single value: {which}"
            found.append(_finding(entry, f"constant {kind}", message))
    return found


def _random(
    entry: ParamPlan,
    spread: EntryDistribution,
    flat: Tensor,
    default: ParamPlan | None,
    limits: Limits,
) -> list[Finding]:
    """Check mean, std and distribution of independent values."""
    if limits.fits(spread, flat):
        return []
    found = _default(entry, flat, default, limits)
    if found:
        return found
    std = math.sqrt(((flat - spread.mean) ** 2).mean().item())
    if abs(distributions.mean_error(spread, flat)) > limits.errors:
        error = spread.std / math.sqrt(flat.numel())
        message = f"the mean must be {spread.mean:.3g} ± {error:.2g}; got {flat.mean().item():.3g}"
        found.append(_finding(entry, "mean", message))
        std = flat.std(correction=0).item()
    centred = flat - flat.mean() + spread.mean if found else flat
    if abs(distributions.std_error(spread, centred)) > limits.errors:
        found.append(_std(entry, std, flat, limits))
    if not found:
        looks = _looks(flat, limits)
        message = f"the distribution must be {described(spread)}; {limits.misfit(spread, flat)}"
        message += f"; the values look {' or '.join(looks)}" if looks else ""
        kind = wrong_distribution(_name_of(spread), looks[0] if len(looks) == 1 else "")
        found.append(_finding(entry, kind, message))
    return found


def _std_of_shape(std_for_fans: Callable[[Fans], float], shape: Shape) -> float:
    return std_for_fans(fans_of(shape))


def _std(entry: ParamPlan, std: float, flat: Tensor, limits: Limits) -> Finding:
    """Return the finding for a wrong std, with the mistakes that explain it."""
    law, fans = entry.sampler, entry.fans
    right, shape = law.std or 0.0, tuple(entry.param.tensor.shape)
    std_of, fan_shape, layer_shape = None, shape, None
    if law.std_for_fans is not None and fans is not None:
        std_of = partial(_std_of_shape, law.std_for_fans)
        _, module, key = entry.param.holders[0]
        fan_shape, layer_shape = _as_shape(fans), _as_shape(layer_fans(module, key))
    # A formula of the form 1 / sqrt(fan) has no gain.
    plain = std_of is not None and abs(std_of((50, 50)) * math.sqrt(50) - 1) < NEAR
    factor = gain(entry.before) if entry.before in FUNCTIONS and not plain else None
    known = Known(std_of, factor, f"the gain of {entry.before}, {factor or 0:.4g},")
    case = Case(std, right, shape, shape, fan_shape, layer_shape, _looks(flat, limits))
    # Four standard errors.
    near = min(4 / math.sqrt(2 * flat.numel()) + 0.002, 0.1)
    found = explain([case], known, near=near, tie=near, pairs=False) if std else []
    message, ratio = f"the std must be {right:.3g}; got {std:.3g}", std / right
    if found:
        texts = dict.fromkeys(each.text for each in found)
        message += f", {', or '.join(f'as if {text}' for text in texts)}"
        if fans and any(each.of_fans for each in found):
            message += f"; fan_in is {fans.fan_in:g} and fan_out is {fans.fan_out:g}"
        return _finding(entry, found[0].kinds[0], message)
    return _finding(entry, "std wrong", f"{message}, {ratio:.3g} times that")


def _as_shape(fans: Fans) -> tuple[float, float]:
    return (fans.fan_out, fans.fan_in)


def _name_of(spread: EntryDistribution) -> str:
    """Return the name of a distribution, or an empty one for a rarer distribution."""
    if spread.kind != "normal" or (math.isinf(spread.high) and math.isinf(spread.low)):
        return spread.kind
    cut_at_two = abs(spread.high - 2) < 1e-6 and abs(spread.low + 2) < 1e-6
    return "truncated" if cut_at_two else ""


def _looks(flat: Tensor, limits: Limits) -> tuple[str, ...]:
    """Return the names of the distributions that a sample may have."""
    mean, std = flat.mean().item(), flat.std(correction=0).item()
    part = flat[:: max(1, flat.numel() // distributions.SAMPLE)]
    limit = distributions.distance_limit(len(part), limits.p)
    far = {
        name: distributions.distance(each.with_moments(mean, std), part)
        for name, each in DISTRIBUTIONS.items()
    }
    looks = {name for name, distance in far.items() if distance <= limit}
    # The tails show more than the distance does. A sample's own std is off by a little.
    bound = 2 / DISTRIBUTIONS["truncated"].std
    most, error = ((flat - mean).abs().max() / std).item(), 1 / math.sqrt(2 * flat.numel())
    if most > bound * (1 + 4 * error):
        looks -= {"truncated", "uniform"}
    elif _beyond(bound * (1 + 4 * error)) * flat.numel() > -math.log(limits.p):
        looks -= {"normal"}
    return tuple(name for name in far if name in looks)


def _beyond(bound: float) -> float:
    """Return the probability that a standard normal number is beyond ± a bound."""
    return math.erfc(bound / math.sqrt(2))
