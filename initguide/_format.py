"""Tables and lists as text, as Markdown and as HTML, and values that JSON can hold."""

import html
import math
import re
from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any

Row = dict[str, Any]

# A report is at most this wide, except for a single word that is longer.
WIDTH = 80
# Two columns of this width fit side by side. A longer text loses its beginning.
_CELL = 39


def table(rows: Sequence[Row], *, digits: int = 4, width: float = math.inf) -> str:
    """Return rows as text, with numbers at the right and without columns that hold only None.

    Args:
        rows: Dicts with the same keys, at least one.
        digits: The significant digits of a float.
        width: If the table is wider, it is split into tables one below the other. Each of them
            begins with the first column.
    """
    names, cells = _filled(rows, digits)
    columns = [list(column) for column in zip(names, *cells, strict=True)]
    if width < math.inf:
        columns = [[_shortened(cell) for cell in column] for column in columns]
    numeric = [
        all(isinstance(row[name], (int, float, type(None))) for row in rows) for name in names
    ]
    padded = []
    for column, right in zip(columns, numeric, strict=True):
        size = max(map(len, column))
        padded.append([f"{cell:>{size}}" if right else f"{cell:<{size}}" for cell in column])
    parts = _split([len(column[0]) for column in padded], width)
    return "\n\n".join(
        "\n".join(
            "  ".join(padded[index][line] for index in part).rstrip()
            for line in range(len(rows) + 1)
        )
        for part in parts
    )


def _split(sizes: list[int], width: float) -> list[list[int]]:
    """Return which columns stand side by side; each part begins with the first column."""
    parts, used = [[0]], sizes[0]
    for index, size in enumerate(sizes[1:], start=1):
        if used + 2 + size > width and len(parts[-1]) > 1:
            parts.append([0])
            used = sizes[0]
        parts[-1].append(index)
        used += 2 + size
    return parts


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _shortened(cell: str) -> str:
    """Return a cell that is not too wide; the end of a parameter's name says most."""
    return cell if len(cell) <= _CELL else "…" + cell[1 - _CELL :]


def markdown_table(rows: Sequence[Row], *, digits: int = 4) -> str:
    """Return rows as a Markdown table."""
    names, cells = _filled(rows, digits)
    lines = [names, ["---"] * len(names), *cells]
    lines = [
        [markdown_text(cell) for cell in line] if line is not lines[1] else line for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    # An underscore inside a word is an underscore.
    special = r"[\\`*|<>\[\]]|(?<![^\W_])_|_(?![^\W_])"
    return re.sub(special, lambda found: "\\" + found[0], " ".join(text.split()))


def html_table(rows: Sequence[Row], *, digits: int = 4) -> str:
    """Return rows as an HTML table."""
    names, cells = _filled(rows, digits)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in cells
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _filled(rows: Sequence[Row], digits: int) -> tuple[list[str], list[list[str]]]:
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    return names, [[_cell(row[name], digits) for name in names] for row in rows]


def html_list(lines: Iterable[str]) -> str:
    """Return lines as an HTML list."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def wrapped(lines: Iterable[str]) -> list[str]:
    """Return lines as wide as a report; names and pages stay in one piece."""
    return [
        fill(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in lines
    ]


def json_ready(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinity become `"nan"`, `"inf"` and `"-inf"`.

    `float` reads these three back.
    """
    if isinstance(value, dict):
        return {str(key): json_ready(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, type(None))) else str(value)
