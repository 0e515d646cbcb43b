"""Rows as a Markdown table."""

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

# A range is read as one piece: it does not break at its spaces.
_RANGE = re.compile(r"(?<=\d) to (?=[-\d])")


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with one column for each key of the rows, in their order.

    Numbers have three significant digits and are aligned right. None becomes a dash.
    """
    if not rows:
        raise ValueError("a table must have at least one row; got none")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[cell(row.get(name)) for name in columns] for row in rows]
    rules = ["--:" if all(_is_number(row.get(name)) for row in rows) else ":--" for name in columns]
    lines = [[name.replace("_", " ") for name in columns], rules, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def of_cells(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown cells, all aligned left."""
    lines = [columns, [":--"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Return a number with three significant digits, or all of an integer's."""
    if isinstance(value, Integral):
        return f"{int(value):,}"
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:#.3g}".removesuffix(".")


def are_rows(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Return whether a value can be shown as a table: a list of dicts that is not empty."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def captioned(table: str, caption: str) -> str:
    """Return Markdown for a table and its caption; in blocks, as figures are (see figures.py)."""
    return f"""\
//// html | figure

{table}

/// html | figcaption

{caption}

///

////"""


def cell(value: Any) -> str:
    """Return a value as the text of a cell."""
    if value is None:
        return "—"
    text = number(_scalar(value)) if _is_number(value) else str(value)
    # Spaces that do not break stay.
    text = re.sub(r"[ \t\r\n]+", " ", text).strip(" ").replace("|", "\\|")
    return _RANGE.sub("\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}", text)


def _is_number(value: Any) -> bool:
    value = _scalar(value)
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _scalar(value: Any) -> Any:
    """Return a Python number for an array or tensor of one element."""
    return value.item() if getattr(value, "shape", None) == () else value
