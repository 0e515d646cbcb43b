"""Judge entries that are meant to be independent and alike: mean, std, law, units alike."""

import math

import torch
from torch import Tensor

from initguide.model.distributions import EntryDistribution, distance
from initguide.testing.contract import at
from initguide.testing.diagnose import Case, StdOf, explain
from initguide.testing.draws import LIMIT, Draws, P
from initguide.testing.judgment import Fault, fault

LAWS = {
    "normal": EntryDistribution("normal"),
    "uniform": EntryDistribution("uniform", low=-1.0, high=1.0),
    "truncated": EntryDistribution("normal", low=-2.0, high=2.0),
}


def alike(found: list[Draws]) -> list[Fault]:
    """Return whether units are copies of each other."""
    for each in found:
        draw = each.draws[0]
        if draw.ndim < 2:
            continue
        if bool((draw == draw.flatten()[0]).all()):
            words = f"entries must differ; all are {draw.flatten()[0]:.3g} {at(each.own)}"
            return [fault("constant", words)]
        for name, units in (("outputs", draw.flatten(1)), ("inputs", draw.transpose(0, 1))):
            rows = units.flatten(1)
            distinct = len(rows.unique(dim=0))
            if rows.shape[1] > 1 and distinct < len(rows):
                words = (
                    f"{len(rows)} {name} must all differ; only {distinct} distinct {at(each.own)}"
                )
                return [fault("clones", words)]
    return []


def judge_entries(found: list[Draws], right: list[Draws], std_of: StdOf, law: str) -> list[Fault]:
    """Compare draws at several shapes with what they are to be like.

    Args:
        found: Those of the reader.
        right: Those of what is right, at the same shapes.
        std_of: The std that is right at any shape.
        law: The law that is right.
    """
    if clones := alike(found):
        return clones
    means = [*map(_mean, found, right)]
    wrong = next((each for each in means if each), None)
    faults = [wrong] if wrong else []
    if any(map(_std_is_off, found, right)):
        faults += _std(found, right, std_of, law, shifted=bool(wrong))
    if not any(each.kind.startswith("truncation") for each in faults):
        faults += _law(found, right, law)
    return faults or _dependence(found, right)


def _mean(found: Draws, right: Draws) -> Fault | None:
    a, b = found.flat, right.flat
    error = math.sqrt(a.var().item() / len(a) + b.var().item() / len(b))
    if abs((a.mean() - b.mean()).item()) <= LIMIT * error:
        return None
    wanted = b.mean().item() if abs(b.mean().item()) > 10 * error else 0.0
    words = f"the mean must be {wanted:.3g}; got {a.mean().item():.3g} {at(found.own)}"
    return fault("mean", words)


def _std_is_off(found: Draws, right: Draws) -> bool:
    a, b = ((each.flat - each.flat.mean()) ** 2 for each in (found, right))
    ratio = math.log((a.mean() / b.mean()).item())
    # A mean of squares has the relative variance (kurtosis - 1) / n.
    error = math.sqrt(sum((x.var() / x.mean() ** 2).item() / len(x) for x in (a, b)))
    return abs(ratio) > LIMIT * error


def _std(
    found: list[Draws], meant: list[Draws], std_of: StdOf, law: str, *, shifted: bool
) -> list[Fault]:
    cases = [Case(d.shape, d.own, d.flat.std().item(), law_of([d])) for d in found]
    right = [d.flat.std().item() for d in meant]
    ratios = [case.std / std for case, std in zip(cases, right, strict=True)]
    worst = max(range(len(cases)), key=lambda i: abs(math.log(ratios[i])))
    case = cases[worst]
    got = f"the std must be {right[worst]:.4g}; got {case.std:.4g} {at(case.own)}"
    if reason := explain(cases, std_of, law):
        first, *more = reason.kinds
        faults = [fault(first, f"{got}: that is {reason.words}")]
        return faults + [fault(kind, "both at once give this std") for kind in more]
    if shifted:
        # Where the mean is off, so is the law, and the std says no more.
        return []
    stds = [each.std for each in cases]
    if max(stds) / min(stds) < 1.03 < max(right) / min(right):
        return [fault("fan ignored", f"{got}, and the same at every shape")]
    if max(ratios) / min(ratios) < 1.03:
        kind = "gain wrong" if max(right) / min(right) > 1.03 else "std wrong"
        return [fault(kind, f"{got}: {ratios[worst]:.4g} times that, at every shape")]
    return [fault("std wrong", f"{got}: {ratios[worst]:.4g} times that")]


def _standardized(draws: list[Draws], most: int) -> Tensor:
    """Return the values of all shapes with mean 0 and std 1 at each, or an even part of them."""
    parts = [each.flat for each in draws]
    values = torch.cat([(part - part.mean()) / part.std() for part in parts])
    return values[:: math.ceil(len(values) / most)]


def law_of(draws: list[Draws]) -> str:
    """Return which law a sample looks like, or `"other"` where it looks like none of LAWS."""
    values = _standardized(draws, 60_000)
    far = {name: distance(law.with_moments(0.0, 1.0), values) for name, law in LAWS.items()}
    name = min(far, key=lambda each: far[each])
    return name if far[name] < 0.0115 else "other"


def _law(found: list[Draws], right: list[Draws], law: str) -> list[Fault]:
    a, b = (_standardized(each, 250_000).sort().values for each in (found, right))
    both = torch.cat([a, b])
    steps = [torch.searchsorted(x, both, right=True) / len(x) for x in (a, b)]
    far = (steps[0] - steps[1]).abs().max().item()
    limit = math.sqrt(math.log(2 / P) / 2 * (1 / len(a) + 1 / len(b)))
    if far <= limit:
        return []
    got = law_of(found)
    most, meant = a.abs().max().item(), b.abs().max().item()
    if law == "truncated" and got == "normal":
        words = f"no value may lie beyond {meant:.3g} std; some lie {most:.3g} std out"
        return [fault("truncation absolute", words)]
    kind = f"{got} for {law}"
    words = f"the law must be {law}; what was drawn is {got}, up to {most:.3g} std"
    if "other" in (got, law) or got == law:
        words = f"the distribution functions must agree; they differ by {far:.2g}"
        kind = "wrong law"
    return [fault(kind, words)]


def _dependence(found: list[Draws], right: list[Draws]) -> list[Fault]:
    """Find sums and lengths of rows and columns that vary otherwise than by chance."""
    for one, other in zip(found, right, strict=True):
        if one.draws[0].ndim < 2 or _has_long_tails(other):
            continue
        for axis, name in ((0, "outputs"), (1, "inputs")):
            for power, what in ((1, "sums"), (2, "lengths")):
                a, b = (
                    torch.stack(e.draws).pow(power).transpose(1, axis + 1).flatten(2).sum(2)
                    for e in (one, other)
                )
                # Nearly normal, whose log-variance has the variance 2 / n; twice that is safe.
                error = 2 * math.sqrt(1 / a.numel() + 1 / b.numel())
                ratio = (a.var() / b.var()).item()
                if abs(math.log(max(ratio, 1e-12))) > LIMIT * error:
                    words = f"the {what} of the weights of {name} must vary by chance; their "
                    words += f"variance is {ratio:.2g} times that {at(one.own)}"
                    return [fault("entries dependent", words)]
    return []


def _has_long_tails(draws: Draws) -> bool:
    """Return whether sums of squares are far from normal."""
    values = draws.flat - draws.flat.mean()
    return (values.pow(4).mean() / values.pow(2).mean() ** 2).item() > 4
