"""A baseline: the audit of a model in a small file, with which later audits are compared.

The file has one line per parameter, sorted by name, so that a review shows each change. What chance
decides is left out: if the plan knows the std of a parameter and the audit found nothing wrong,
the std of the drawn values is not saved. The values themselves are compared by a checksum, if the
caller says that each run draws the same ones.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from initguide._format import Row, json_ready
from initguide.diagnostics.report import Finding, Report, finding

_PLANNED = ("shape", "dtype", "law", "mean", "std", "finding")
_FOUND = ("found_mean", "found")
# The digits of numbers of the plan, and of numbers that were computed from values.
_DIGITS = {**dict.fromkeys(_PLANNED, 6), **dict.fromkeys(_FOUND, 4)}
# How far numbers may be apart that rounding alone changes, and numbers of n random values, where
# chance explains about one over the root of n.
_ROUNDING, _CHANCE = 1e-3, 8.0
_WORDS = {"law": "method", "found_mean": "mean of the values", "found": "std of the values"}


class Change(NamedTuple):
    """One change of a parameter: what changed, and the two values."""

    kind: str
    what: str
    was: Any = None
    now: Any = None


def saved(report: Report, *, values: bool) -> str:
    """Return an audit as the text of a baseline.

    Args:
        report: The report of an audit.
        values: Whether each run draws the same values, so that they can be compared as well.
    """
    rows = sorted(report.rows, key=lambda row: row["parameter"])
    lines = []
    for row in rows:
        held = {key: _rounded(row[key], _DIGITS[key]) for key in _PLANNED if row[key] is not None}
        if values or row["std"] is None or row["finding"]:
            held |= {k: _rounded(row[k], _DIGITS[k]) for k in _FOUND if row[k] is not None}
        if values and row["checksum"]:
            held["checksum"] = row["checksum"]
        held = json.dumps(json_ready(held), ensure_ascii=False)
        lines.append(f"  {json.dumps(row['parameter'], ensure_ascii=False)}: {held}")
    listed = ",\n".join(lines)
    version = json.dumps(torch.__version__)
    return f'{{\n "made_by": "audit",\n "torch": {version},\n "parameters": {{\n{listed}\n }}\n}}\n'


def read_baseline(path: str | Path) -> dict[str, Any]:
    """Return the content of a baseline.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no baseline.
    """
    held: Any = None
    try:
        held = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"path must be a file that `save` of an audit's report wrote; got none at {str(path)!r}"
        ) from None
    except ValueError:
        # It is no JSON, as the next check finds.
        pass
    rows = held.get("parameters") if isinstance(held, dict) else None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ValueError(
            f"path must be a file that `save` of an audit's report wrote; got {str(path)!r}, which "
            "has another content"
        )
    return held


def compared(report: Report, path: str | Path) -> Report:
    """Return what differs between an audit and a baseline.

    Args:
        report: The report of an audit.
        path: The file of the baseline.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no baseline, or one of another model.
    """
    baseline = read_baseline(path)
    before, now = baseline["parameters"], {row["parameter"]: row for row in report.rows}
    if before and now and before.keys().isdisjoint(now):
        raise ValueError(
            f"the baseline must be of this model; got {str(path)!r}, which has none of its "
            f"parameters, such as {next(iter(now))!r}"
        )
    places: dict[Change, list[str]] = {}
    for name in dict.fromkeys((*now, *before)):
        for change in _changes(before.get(name), now.get(name)):
            places.setdefault(change, []).append(name)
    rows = [
        {"parameter": name, "change": c.kind, "what": c.what, "was": c.was, "now": c.now}
        for c, names in places.items()
        for name in names
    ]
    # Parameters with the same change share a line.
    printed = [
        {"parameter": _with_others(names), "what": c.what, "was": c.was, "now": c.now}
        for c, names in places.items()
    ]
    versions = dict.fromkeys((str(baseline.get("torch")), str(torch.__version__)))
    notes = [f"compared with {str(path)!r}: {len(now)} parameters and buffers"]
    if len(versions) > 1 and rows:
        notes.append(f"the version of torch has changed as well: {' and '.join(versions)}")
    if report.partial:
        notes.append(report.notes[0])
    findings = [_finding(kind, rows) for kind in dict.fromkeys(row["change"] for row in rows)]
    return Report("compare", rows, findings, notes, printed=printed, partial=report.partial)


def _finding(kind: str, rows: list[Row]) -> Finding:
    """Return the finding for all changes of one kind."""
    alike = [row for row in rows if row["change"] == kind]
    counts = Counter(row["what"] for row in alike)
    if kind != "changed":
        where = "the model" if kind == "removed" else "the baseline"
        message = f"{_parameters(len(alike))} that {where} does not have"
    else:
        message = ", ".join(f"the {what} of {_parameters(n)}" for what, n in counts.items())
    return finding(kind, message, where=alike[0]["parameter"])


def _parameters(count: int) -> str:
    return "1 parameter" if count == 1 else f"{count} parameters"


def _with_others(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _changes(before: Row | None, row: Row | None) -> Iterator[Change]:
    """Yield what differs between a line of a baseline and a row of an audit."""
    if before is None or row is None:
        kind = "added" if before is None else "removed"
        yield Change(kind, kind)
        return
    has_values = row["checksum"] is not None
    for key in _PLANNED:
        was, now = before.get(key), row[key]
        # Which of the kinds are found may depend on the draw.
        if key == "finding" and (bool(was) == bool(now) or not has_values):
            continue
        if not _is_close(was, _rounded(now, _DIGITS[key])):
            yield _changed(key, was, now)
    is_exact = "checksum" in before or not row["random"]
    count = math.prod(int(size) for size in str(row["shape"]).split(" × ") if size.isdigit())
    share = _ROUNDING if is_exact else _CHANCE / math.sqrt(max(count, 1))
    spread = max(_number(before.get("found")), _number(row["found"]))
    moved = False
    for key in _FOUND:
        if key in before and row[key] is not None:
            was, now = _number(before[key]), _number(row[key])
            limit = share * max(spread, abs(was) if is_exact else 0.0)
            if not (abs(was - now) <= limit or str(was) == str(now)):
                moved = True
                yield _changed(key, before[key], row[key])
    if has_values and not moved and before.get("checksum") not in (None, row["checksum"]):
        yield Change("changed", "values")


def _changed(key: str, was: Any, now: Any) -> Change:
    return Change("changed", _WORDS.get(key, key), was, _rounded(now, _DIGITS[key]))


def _is_close(was: Any, now: Any) -> bool:
    if isinstance(was, (int, float)) and isinstance(now, (int, float)):
        return math.isclose(was, now, rel_tol=1e-5)
    return was == now


def _number(value: Any) -> float:
    """Return a number of a file, where NaN and infinity are text."""
    return 0.0 if value is None else float(value)


def _rounded(value: Any, digits: int) -> Any:
    is_real = isinstance(value, float) and math.isfinite(value)
    return float(f"{value:.{digits}g}") if is_real else value
