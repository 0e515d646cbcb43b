"""Time cases against their peers in alternating calls, and write the rows as a table."""

import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

Call = Callable[[], object]


class Limit(NamedTuple):
    """A lower bound of the time: a part of the time of another call."""

    name: str
    call: Call
    part: float = 1.0


class Case(NamedTuple):
    """Calls to be timed: ours, the peer's, and the lower bound if one is known."""

    name: str
    ours: Call
    peer_name: str
    peer: Call
    limit: Limit | None = None


class Row(NamedTuple):
    """Measured seconds, the sorted ratios peer / ours of all repeats, and ours / limit."""

    name: str
    ours: float
    peer_name: str
    peer: float
    ratios: Sequence[float]
    limit: str


def measure(case: Case, seconds: float = 1.0, least: int = 3, most: int = 25) -> Row:
    """Time a case in as many repeats as fit. Each repeat times ours, the peer and the limit."""
    calls = [case.ours, case.peer, *([case.limit.call] if case.limit else [])]
    for call in calls:
        call()
    once = [_timed(call, 1) for call in calls]
    # Several short calls are timed together, because the clock's resolution is limited.
    inner = [max(1, min(2000, round(0.005 / max(t, 1e-7)))) for t in once]
    total = sum(t * n for t, n in zip(once, inner, strict=True))
    repeats = max(least, min(most, round(seconds / max(total, 1e-7))))
    times = [[_timed(c, n) for c, n in zip(calls, inner, strict=True)] for _ in range(repeats)]
    ours, peer, *bound = (median(column) for column in zip(*times, strict=True))
    limit = "" if case.limit is None else f"{ours / bound[0] / case.limit.part:.2f} of "
    name = "" if case.limit is None else case.limit.name
    ratios = sorted(row[1] / row[0] for row in times)
    return Row(case.name, ours, case.peer_name, peer, ratios, limit + name)


def _timed(call: Call, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - start) / count


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    header = ("Case", "Ours", "Peer", "Peer's time", "Ratio [min, max]", "Ours / limit")
    return grid(
        header,
        (
            (
                row.name,
                duration(row.ours),
                row.peer_name,
                duration(row.peer),
                ratio(row),
                row.limit,
            )
            for row in rows
        ),
    )


def ratio(row: Row) -> str:
    """Return the median of the ratios and their range; the median is bold if it differs from 1."""
    low, high = row.ratios[0], row.ratios[-1]
    mark = "**" if low > 1 or high < 1 else ""
    return f"{mark}{median(row.ratios):.2f}{mark} [{low:.2f}, {high:.2f}]"


def grid(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table. Names are aligned left, numbers right."""
    rule = ["---" if name in ("Case", "Peer") else "--:" for name in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))


def duration(seconds: float) -> str:
    """Return a time with three digits."""
    unit, name = next((u for u in ((1, "s"), (1e-3, "ms")) if seconds >= u[0]), (1e-6, "µs"))
    return f"{seconds / unit:.3g} {name}"
