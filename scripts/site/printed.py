"""What a fence says that it prints, compared with what it printed.

The conventions are those of pytest-examples: below the statement that prints stand its lines, each
behind `#> `, or, if there are several or they are long, in a block of triple quotes.
"""

import ast
import re
import textwrap
from collections.abc import Sequence

from fences import Problem, Step

_QUOTES = ('"""', "'''")


def check(step: Step, printed: Sequence[tuple[int, str]]) -> list[Problem]:
    """Compare a fence with what was printed: pairs of a line of the fence, from 1, and a text."""
    lines = step.source.splitlines()
    texts: dict[int, str] = {}
    for line, text in printed:
        end = _end(step.source, line)
        texts[end] = texts.get(end, "") + text
    problems = []
    claimed: set[int] = set()
    for end, text in texts.items():
        said, below, in_block = _said(lines, end)
        claimed.update(range(end, below))
        got = "\n".join(line.rstrip() for line in text.removesuffix("\n").split("\n"))
        same = _without_layout(said) == _without_layout(got) if in_block else said == got
        if below == end:
            message = f"what is printed must stand below as `#> …`; printed {_shown(got)}"
            problems.append(Problem(step.line + end - 1, message))
        elif not same:
            message = f"the page says that this prints {_shown(said)}; printed {_shown(got)}"
            problems.append(Problem(step.line + end, message))
    problems += [
        Problem(step.line + index, "the page says that something is printed here; nothing was")
        for index in _outputs(step.source)
        if index not in claimed
    ]
    return problems


def _outputs(source: str) -> list[int]:
    """Return where outputs are written: lines with `#>`, and strings that are no docstring."""
    written = [
        index for index, line in enumerate(source.splitlines()) if line.strip().startswith("#>")
    ]
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        # What follows another statement documents nothing.
        for statement in body[1:] if isinstance(body, list) else ():
            value = getattr(statement, "value", None) if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                written.append(value.lineno - 1)
    return sorted(written)


def _end(source: str, line: int) -> int:
    """Return the last line of the innermost statement on this line."""
    statements = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt))
    ends = [
        node.end_lineno or node.lineno
        for node in statements
        if node.lineno <= line <= (node.end_lineno or node.lineno) and not hasattr(node, "body")
    ]
    return min(ends, default=line)


def _said(lines: Sequence[str], end: int) -> tuple[str, int, bool]:
    """Return the output written below a line, where it stops, and whether a block is in it."""
    said: list[str] = []
    index, in_block = end, False
    while index < len(lines):
        line = lines[index].strip()
        if line.startswith("#>"):
            said.append(line[2:].removeprefix(" "))
        elif line in _QUOTES:
            stripped = [text.strip() for text in lines]
            if line not in stripped[index + 1 :]:
                break
            close = stripped.index(line, index + 1)
            said += textwrap.dedent("\n".join(lines[index + 1 : close])).split("\n")
            index, in_block = close, True
        else:
            break
        index += 1
    return "\n".join(line.rstrip() for line in said), index, in_block


def _shown(text: str) -> str:
    return "\n" + textwrap.indent(text, "    ") + "\n" if "\n" in text else repr(text)


def _without_layout(text: str) -> str:
    """Drop what black changes where pytest-examples lets it break a long value into lines."""
    return re.sub(r",(?=[\])}])", "", re.sub(r"\s+", "", text).replace("'", '"'))
