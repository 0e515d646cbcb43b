"""Lines below or instead of a table: wrapped for a terminal, a list in a notebook."""

import html
from collections.abc import Iterable
from textwrap import fill


def wrapped(lines: Iterable[str], first: str = "", others: str = "    ") -> list[str]:
    """Return lines of at most 88 characters, indented; names and pages stay in one piece."""
    return [
        fill(
            line,
            88,
            initial_indent=first,
            subsequent_indent=others,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines
    ]


def html_list(lines: Iterable[str]) -> str:
    """Return the same for a notebook."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"
