"""A paper's claim: an experiment, and inequalities that decide whether the claim holds here."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import sub
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np

from initguide.experiments.rows import Rows

Verdict = Literal["holds", "holds in part", "does not hold here"]
"""What came out of the inequalities of a claim."""


class Check(NamedTuple):
    """One inequality that a measured quantity must satisfy with every seed.

    Attributes:
        quantity: The quantity in words: "He, 30 layers: loss".
        values: A function of the experiment's rows that returns the quantity, one value per seed.
        relation: Whether the quantity must be below (`"<"`) or above (`">"`) the bound.
        bound: The bound.
        supports: Whether the inequality supports the headline; False marks evidence against it.
        reproduced: Whether the inequality holds here with every seed. False marks a result of the
            paper that our experiment does not show; the verdict counts it like any other.
    """

    quantity: str
    values: Callable[[Rows], Sequence[float]]
    relation: Literal["<", ">"]
    bound: float
    supports: bool = True
    reproduced: bool = True


class Claim(NamedTuple):
    """A headline of a paper, the experiment that tests it, and the inequalities to check.

    Attributes:
        paper: The paper's key in the bibliography.
        short: The claim in one line of the table. It may leave parts out, and says no more.
        headline: Our short wording of the paper's claim; what is in brackets is not in the paper.
        setup: Our experiment in one sentence.
        run: The experiment: a function of seeds that returns rows.
        checks: The inequalities.
        page: The example that shows the experiment, a path below `docs`.
        theory: Whether the experiment is arithmetic without training, a check of a formula.
    """

    paper: str
    short: str
    headline: str
    setup: str
    run: Callable[[Iterable[int]], Rows]
    checks: tuple[Check, ...]
    page: str
    theory: bool = False


class CheckResult(NamedTuple):
    """The result of a check: mean and range of the quantity over seeds, and whether it holds.

    Attributes:
        check: The inequality.
        mean: The mean over seeds.
        low: The smallest value.
        high: The largest value.
        margin: The distance from the mean to the bound, in standard errors of the mean.
        holds: Whether the inequality holds with every seed.
    """

    check: Check
    mean: float
    low: float
    high: float
    margin: float
    holds: bool


Values = Callable[[Rows], list[float]]
"""A function from the rows of an experiment to one value for each seed."""


def select(rows: Rows, **where: object) -> Rows:
    """Return the rows that have these values."""
    return [row for row in rows if all(row.get(key) == value for key, value in where.items())]


def group_by_seed(rows: Rows) -> list[Rows]:
    """Return one list of rows per seed, seeds in the order of their first rows."""
    groups: dict[int, Rows] = {}
    for row in rows:
        groups.setdefault(row["seed"], []).append(row)
    return list(groups.values())


def by_seed(
    column: str,
    last: int | None = None,
    average: Callable[[list[float]], float] = fmean,
    /,
    **where: object,
) -> Values:
    """Return a function for a check that gives the average of a column for each seed.

    Args:
        column: The key of the quantity; rows without this key are left out.
        last: For rows with a `step`: how many steps before the last one count; None is all.
        average: The function that averages the values of one seed.
        where: Only rows with these values count.

    Returns:
        A function of rows with a `seed`. It returns one value per seed, in the order of the rows,
        and no value for a seed without a row that counts.
    """

    def values(rows: Rows) -> list[float]:
        matching = [row for row in select(rows, **where) if column in row]
        if last is not None:
            end = max((row["step"] for row in matching), default=0)
            matching = [row for row in matching if row["step"] > end - last]
        return [average([row[column] for row in group]) for group in group_by_seed(matching)]

    return values


def per_seed(f: Callable[..., float], *values: Values) -> Values:
    """Return a function of rows that applies `f` to the values of the other functions, by seed."""
    return lambda rows: [f(*each) for each in zip(*(one(rows) for one in values), strict=True)]


def at_best(name: str, column: str = "loss", /, **where: object) -> Values:
    """Return a function for a check that gives a column at the best rate, for each seed.

    The rows are those of `tuned`. If the best rate is the smallest or the largest of them, the
    values are nan, so no inequality holds.
    """

    def values(rows: Rows) -> list[float]:
        runs = select(rows, initialization=name, **where)
        rates = sorted({row["lr"] for row in runs})
        edges = (rates[0], rates[-1])
        return [math.nan if row["lr"] in edges else row[column] for row in runs if row["best"]]

    return values


def at_any(name: str, /, **where: object) -> Values:
    """Return a function for a check that gives each seed's least loss over all rates of `tuned`.

    This is for an initialization that learns at no rate, whose best rate means nothing. Each seed
    takes its own best rate, which favours the initialization.
    """
    return by_seed("loss", None, min, initialization=name, **where)


def best_rate(name: str, /, **where: object) -> Values:
    """Return a function for a check that gives log2 of each seed's best rate of an initialization.

    The best rate is the lowest point of a parabola through the logarithms of the least loss and of
    the losses at both neighbours of its rate.
    """

    def values(rows: Rows) -> list[float]:
        return [
            lowest_point([(row["lr"], row["loss"]) for row in runs])
            for runs in group_by_seed(select(rows, initialization=name, **where))
        ]

    return values


def rate_change(name: str, known: Mapping[str, object], other: Mapping[str, object]) -> Values:
    """Return a function that gives each seed's change of log2 of the best rate.

    Args:
        name: The initialization.
        known: The network where the change starts, such as `{"depth": 2}`.
        other: The network where it ends.
    """
    return per_seed(sub, best_rate(name, **other), best_rate(name, **known))


def transferred(name: str, known: Mapping[str, object], other: Mapping[str, object]) -> Values:
    """Return a function that gives each seed's loss of one network at the best rate of another.

    Args:
        name: The initialization.
        known: The network whose rate of the least loss is taken, such as `{"depth": 2}`.
        other: The network whose loss at that rate is given.
    """

    def values(rows: Rows) -> list[float]:
        first, second = (
            group_by_seed(select(rows, initialization=name, **where)) for where in (known, other)
        )
        rates = [min(runs, key=lambda row: row["loss"])["lr"] for runs in first]
        return [
            row["loss"]
            for runs, rate in zip(second, rates, strict=True)
            for row in select(runs, lr=rate)
        ]

    return values


def lowest_point(points: Iterable[tuple[float, float]]) -> float:
    """Return log2 of the rate at the lowest point, from a parabola; `points` are (rate, loss).

    If a neighbour of the least loss is infinite, the rate of the least loss is the answer.
    """
    rates, losses = np.log2(sorted(points)).T
    at = min(max(int(np.argmin(losses)), 1), len(losses) - 2)
    if not np.isfinite(losses[at - 1 : at + 2]).all():
        return float(rates[np.argmin(losses)])
    square, slope, _ = np.polyfit(rates[at - 1 : at + 2], losses[at - 1 : at + 2], 2)
    return float(-slope / (2 * square))


def lead(name: str, other: str, /, **where: object) -> Values:
    """Return a function that gives `at_best` of one initialization minus that of another."""
    return per_seed(sub, at_best(name, **where), at_best(other, **where))


def evaluate(claim: Claim, seeds: Iterable[int] = range(5)) -> list[CheckResult]:
    """Run the experiment of a claim, and return the results of its checks.

    Args:
        claim: One of `CLAIMS`.
        seeds: The experiment's seeds.

    Returns:
        One result for each check.

    Raises:
        ValueError: A check gives another number of values than there are seeds.
    """
    seeds = list(seeds)
    rows = claim.run(seeds)
    return [_result(check, rows, len(seeds)) for check in claim.checks]


def table(claim: Claim, seeds: Iterable[int] = range(5)) -> Rows:
    """Return the results of [evaluate][initguide.experiments.claims.evaluate] as rows of a table.

    Args:
        claim: One of `CLAIMS`.
        seeds: The experiment's seeds.

    Returns:
        One row for each check: `measured` (the quantity in words), `mean`, `lowest`, `highest`,
        `claim` (the inequality) and `holds`: "yes", "no", or "against" if the inequality holds
        and speaks against the headline.
    """
    return [
        {
            "measured": result.check.quantity,
            "mean": result.mean,
            "lowest": result.low,
            "highest": result.high,
            "claim": inequality(result.check),
            "holds": _answer(result),
        }
        for result in evaluate(claim, seeds)
    ]


def _answer(result: CheckResult) -> str:
    if not result.holds:
        return "no"
    return "yes" if result.check.supports else "against"


def _result(check: Check, rows: Rows, seeds: int) -> CheckResult:
    values = np.asarray(check.values(rows), dtype=np.float64)
    if values.shape != (seeds,):
        raise ValueError(
            f"{check.quantity!r} must give one value for each of {seeds} seeds; got {values.size}"
        )
    # Positive where the inequality holds; nan is not positive.
    distances = (check.bound - values) * (1 if check.relation == "<" else -1)
    error = values.std(ddof=1) / math.sqrt(seeds) if seeds > 1 else math.nan
    distance = float(distances.mean())
    margin = distance / error if error else math.copysign(math.inf, distance)
    return CheckResult(
        check,
        float(values.mean()),
        float(values.min()),
        float(values.max()),
        float(margin),
        bool((distances > 0).all()),
    )


def inequality(check: Check) -> str:
    """Return the inequality, '< 1', with three digits, and spaces and signs that do not break."""
    return f"{check.relation}\u00a0{check.bound:.3g}".replace("-", "\u2212")


def verdict(results: Sequence[CheckResult]) -> Verdict:
    """Return the conclusion about the headline in words."""
    supporting = [result.holds for result in results if result.check.supports]
    opposing = [result.holds for result in results if not result.check.supports]
    if not any(supporting):
        return "does not hold here"
    return "holds" if all(supporting) and not any(opposing) else "holds in part"
