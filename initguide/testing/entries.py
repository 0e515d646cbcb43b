"""Compare entries that must be independent of each other: mean, std, distribution, copies."""

import math

import torch
from torch import Tensor

from initguide.diagnostics.explain import explain, wrong_distribution
from initguide.diagnostics.mistakes import DISTRIBUTIONS, NEAR, Case, Known, StdOf
from initguide.diagnostics.report import Finding, finding
from initguide.model.distributions import distance
from initguide.testing.contract import at
from initguide.testing.draws import LIMIT, Draws, P


def copies(found: list[Draws]) -> list[Finding]:
    """Find units that are copies of each other."""
    for each in found:
        draw = each.draws[0]
        if draw.ndim < 2:
            continue
        if bool((draw == draw.flatten()[0]).all()):
            message = f"entries must differ; all are {draw.flatten()[0]:.3g} {at(each.own)}"
            return [finding("constant", message)]
        for name, units in (("outputs", draw.flatten(1)), ("inputs", draw.transpose(0, 1))):
            rows = units.flatten(1)
            distinct = len(rows.unique(dim=0))
            if rows.shape[1] > 1 and distinct < len(rows):
                message = (
                    f"{len(rows)} {name} must all differ; only {distinct} distinct {at(each.own)}"
                )
                return [finding("clones", message)]
    return []


def compare_entries(
    found: list[Draws], right: list[Draws], std_of: StdOf, distribution: str
) -> list[Finding]:
    """Compare draws at several shapes with the right ones.

    Args:
        found: The draws of the function that is checked.
        right: The draws of the right initializer, at the same shapes.
        std_of: The right std at any shape.
        distribution: The right distribution.
    """
    if clones := copies(found):
        return clones
    means = [*map(_mean, found, right)]
    wrong = next((each for each in means if each), None)
    findings = [wrong] if wrong else []
    if any(map(_std_is_off, found, right)):
        findings += _std(found, right, std_of, shifted=bool(wrong))
    if not any(each.kind.startswith("truncation") for each in findings):
        findings += _distribution(found, right, distribution)
    return findings or _dependence(found, right)


def _mean(found: Draws, right: Draws) -> Finding | None:
    a, b = found.flat, right.flat
    error = math.sqrt(a.var().item() / len(a) + b.var().item() / len(b))
    if abs((a.mean() - b.mean()).item()) <= LIMIT * error:
        return None
    due = b.mean().item() if abs(b.mean().item()) > 10 * error else 0.0
    message = f"the mean must be {due:.3g}; got {a.mean().item():.3g} {at(found.own)}"
    return finding("mean", message)


def _std_is_off(found: Draws, right: Draws) -> bool:
    a, b = ((each.flat - each.flat.mean()) ** 2 for each in (found, right))
    ratio = math.log((a.mean() / b.mean()).item())
    # A mean of squares has the relative variance (kurtosis - 1) / n.
    error = math.sqrt(sum((x.var() / x.mean() ** 2).item() / len(x) for x in (a, b)))
    return abs(ratio) > LIMIT * error


def _std(found: list[Draws], meant: list[Draws], std_of: StdOf, *, shifted: bool) -> list[Finding]:
    right = [each.flat.std().item() for each in meant]
    cases = [
        Case(
            std=each.flat.std().item(),
            right=std,
            shape=each.shape,
            own=each.own,
            fan_shape=each.shape,
            layer_shape=None,
            looks=(distribution_of([each]),),
        )
        for each, std in zip(found, right, strict=True)
    ]
    ratios = [case.std / case.right for case in cases]
    worst = max(range(len(cases)), key=lambda i: abs(math.log(ratios[i])))
    got = f"the std must be {right[worst]:.4g}; got {cases[worst].std:.4g} {at(found[worst].own)}"
    gain = _gain(std_of)
    known = Known(std_of, gain, f"the gain of about {gain or 0:.2g}")
    if reasons := explain(cases, known):
        first, *more = reasons[0].kinds
        texts = dict.fromkeys(each.text for each in reasons)
        findings = [finding(first, f"{got}, {', or '.join(f'as if {text}' for text in texts)}")]
        return findings + [finding(kind, "both at once give this std") for kind in more]
    if shifted:
        # If the mean is off, so is the distribution, and the std says no more.
        return []
    stds = [each.std for each in cases]
    if max(stds) / min(stds) < 1.03 < max(right) / min(right):
        return [finding("fan ignored", f"{got}, and the same at every shape")]
    if max(ratios) / min(ratios) < 1.03:
        kind = "gain wrong" if max(right) / min(right) > 1.03 else "std wrong"
        return [finding(kind, f"{got}, {ratios[worst]:.4g} times that at every shape")]
    return [finding("std wrong", f"{got}, {ratios[worst]:.4g} times that")]


def _gain(std_of: StdOf) -> float | None:
    """Return the gain if the std is gain / sqrt(fan)."""
    small, large = std_of((50, 50)), std_of((200, 200))
    if not small or not large or abs(small / large / 2 - 1) > NEAR:
        return None
    return small * math.sqrt(50)


def _standardized(draws: list[Draws], most: int) -> Tensor:
    """Return the values of all shapes with mean 0 and std 1 at each, or an even part of them."""
    parts = [each.flat for each in draws]
    values = torch.cat([(part - part.mean()) / part.std() for part in parts])
    return values[:: math.ceil(len(values) / most)]


def distribution_of(draws: list[Draws]) -> str:
    """Return the distribution that a sample looks like, or `"other"`."""
    values = _standardized(draws, 60_000)
    far = {
        name: distance(each.with_moments(0.0, 1.0), values) for name, each in DISTRIBUTIONS.items()
    }
    name = min(far, key=lambda each: far[each])
    return name if far[name] < 0.0115 else "other"


def _distribution(found: list[Draws], right: list[Draws], name: str) -> list[Finding]:
    a, b = (_standardized(each, 250_000).sort().values for each in (found, right))
    both = torch.cat([a, b])
    steps = [torch.searchsorted(x, both, right=True) / len(x) for x in (a, b)]
    far = (steps[0] - steps[1]).abs().max().item()
    limit = math.sqrt(math.log(2 / P) / 2 * (1 / len(a) + 1 / len(b)))
    if far <= limit:
        return []
    got = distribution_of(found)
    kind = wrong_distribution(name, got)
    most, due = a.abs().max().item(), b.abs().max().item()
    if kind == "truncation absolute":
        message = f"no value may be beyond {due:.3g} std; some are {most:.3g} std out"
    elif kind == "wrong distribution":
        message = f"the distribution functions must agree; they differ by {far:.2g}"
    else:
        message = f"the distribution must be {name}; got {got}, up to {most:.3g} std"
    return [finding(kind, message)]


def _dependence(found: list[Draws], right: list[Draws]) -> list[Finding]:
    """Find sums and lengths of rows and columns that vary more, or less, than by chance."""
    for one, other in zip(found, right, strict=True):
        if one.draws[0].ndim < 2 or _has_long_tails(other):
            continue
        for axis, name in ((0, "outputs"), (1, "inputs")):
            for power, what in ((1, "sums"), (2, "lengths")):
                a, b = (
                    torch.stack(e.draws).pow(power).transpose(1, axis + 1).flatten(2).sum(2)
                    for e in (one, other)
                )
                # The logarithm of the variance of normal numbers has the variance 2 / n. These are
                # nearly normal, so twice that is safe.
                error = 2 * math.sqrt(1 / a.numel() + 1 / b.numel())
                ratio = (a.var() / b.var()).item()
                if abs(math.log(max(ratio, 1e-12))) > LIMIT * error:
                    message = f"the {what} of the weights of {name} must vary by chance; their "
                    message += f"variance is {ratio:.2g} times that {at(one.own)}"
                    return [finding("entries dependent", message)]
    return []


def _has_long_tails(draws: Draws) -> bool:
    """Return whether sums of squares are far from normal."""
    values = draws.flat - draws.flat.mean()
    return (values.pow(4).mean() / values.pow(2).mean() ** 2).item() > 4
