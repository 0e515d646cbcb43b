"""A paper's claim: an experiment, and the inequalities that decide whether it holds here."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

Rows = list[dict[str, Any]]
Verdict = Literal["holds", "holds in part", "does not hold here"]


class Check(NamedTuple):
    """One inequality about what an experiment measured, for every seed.

    Attributes:
        says: The quantity, in words: "He, 30 layers: loss".
        values: A function of the experiment's rows that returns the quantity, one for each seed.
        relation: Whether the quantity lies below (`"<"`) or above (`">"`) the bound.
        bound: The bound.
        for_it: Whether the inequality speaks for the headline; False is what we found against it.
    """

    says: str
    values: Callable[[Rows], Sequence[float]]
    relation: Literal["<", ">"]
    bound: float
    for_it: bool = True


class Claim(NamedTuple):
    """A headline of a paper, the experiment that tries it, and what must be measured.

    Attributes:
        paper: The paper's key in the bibliography.
        headline: What the paper says, in one sentence.
        setup: Our experiment, in one sentence.
        run: The experiment: a function of seeds that returns rows.
        checks: The inequalities.
        page: The example that shows it, a path below `docs`.
    """

    paper: str
    headline: str
    setup: str
    run: Callable[[Iterable[int]], Rows]
    checks: tuple[Check, ...]
    page: str


class Finding(NamedTuple):
    """What a check found: the quantity's mean and range over seeds, and whether all obey.

    Attributes:
        check: The inequality.
        mean: The mean over seeds.
        low: The smallest value.
        high: The largest value.
        margin: The distance from the mean to the bound, in standard errors of the mean.
        holds: Whether every seed obeys.
    """

    check: Check
    mean: float
    low: float
    high: float
    margin: float
    holds: bool


Values = Callable[[Rows], list[float]]


def by_seed(column: str, last: int | None = None, /, **where: object) -> Values:
    """Return what a check needs: a function that gives each seed's mean of a column.

    Args:
        column: The key of the quantity; rows without it do not count.
        last: How many steps up to the last one count, for rows with a `step`; None is all.
        where: Which rows count: those with these values.

    Returns:
        A function of rows with a `seed`, seeds in the order in which they come; without a row that
        counts it gives none.
    """

    def values(rows: Rows) -> list[float]:
        found: dict[int, list[float]] = {}
        some = [
            row
            for row in rows
            if column in row and all(row.get(key) == value for key, value in where.items())
        ]
        end = max((row["step"] for row in some), default=0) if last is not None else 0
        for row in some:
            if last is None or row["step"] > end - last:
                found.setdefault(row["seed"], []).append(row[column])
        return [math.fsum(each) / len(each) for each in found.values()]

    return values


def per_seed(f: Callable[..., float], *values: Values) -> Values:
    """Return a function of rows that gives, for each seed, `f` of what the others give for it."""
    return lambda rows: [f(*each) for each in zip(*(one(rows) for one in values), strict=True)]


def judge(claim: Claim, seeds: Iterable[int] = range(5)) -> list[Finding]:
    """Run a claim's experiment, and return what each of its checks found.

    Args:
        claim: One of `CLAIMS`.
        seeds: The experiment's seeds.

    Returns:
        One finding for each check.

    Raises:
        ValueError: A check gives another number of values than there are seeds.
    """
    seeds = list(seeds)
    rows = claim.run(seeds)
    return [_finding(check, rows, len(seeds)) for check in claim.checks]


def table(claim: Claim, seeds: Iterable[int] = range(5)) -> Rows:
    """Return what [judge][initguide.experiments.claims.judge] finds, as rows for a table.

    Args:
        claim: One of `CLAIMS`.
        seeds: The experiment's seeds.

    Returns:
        One row for each check: `measured` (what, in words), `mean`, `lowest`, `highest`, `claim`
        (the inequality) and `holds`.
    """
    return [
        {
            "measured": finding.check.says,
            "mean": finding.mean,
            "lowest": finding.low,
            "highest": finding.high,
            "claim": inequality(finding.check),
            "holds": "yes" if finding.holds else "no",
        }
        for finding in judge(claim, seeds)
    ]


def _finding(check: Check, rows: Rows, seeds: int) -> Finding:
    values = np.asarray(check.values(rows), dtype=np.float64)
    if values.shape != (seeds,):
        raise ValueError(
            f"{check.says!r} must give one value for each of {seeds} seeds; got {values.size}"
        )
    # Towards the bound's right side; a value that is not a number is on no side.
    distances = (check.bound - values) * (1 if check.relation == "<" else -1)
    error = values.std(ddof=1) / math.sqrt(seeds) if seeds > 1 else math.nan
    distance = float(distances.mean())
    margin = distance / error if error else math.copysign(math.inf, distance)
    return Finding(
        check,
        float(values.mean()),
        float(values.min()),
        float(values.max()),
        float(margin),
        bool((distances > 0).all()),
    )


def inequality(check: Check) -> str:
    """Return what a check asks for, '< 1', in signs at which no table breaks a line."""
    return f"{check.relation}\u00a0{check.bound:g}".replace("-", "\u2212")


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Return in words what the findings say about the headline."""
    for_it = [finding.holds for finding in findings if finding.check.for_it]
    against = [finding.holds for finding in findings if not finding.check.for_it]
    if not any(for_it):
        return "does not hold here"
    return "holds" if all(for_it) and not any(against) else "holds in part"
