"""The printed output that is written in a block of code: found, left out, compared with a run.

The conventions are those of pytest-examples. The lines that a statement prints are below it, each
after `#> `. If there are several, or they are long, they are in a separate string: three
quotes alone on a line, the text, three quotes.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from steps import Problem, Step

_QUOTES = ('"""', "'''")


def check(step: Step, printed: Sequence[tuple[int, str]]) -> list[Problem]:
    """Compare a fence with its printed texts: pairs of a line of the fence, from 1, and a text."""
    lines = step.source.splitlines()
    texts: dict[int, str] = {}
    line_of: dict[int, int] = {}
    for line, text in printed:
        end = _end(step.source, line)
        line_of.setdefault(end, line)
        texts[end] = texts.get(end, "") + text
    problems = []
    claimed: set[int] = set()
    for end, text in texts.items():
        said, below, in_block = _said(lines, end)
        claimed.update(range(end, below))
        got = "\n".join(line.rstrip() for line in text.removesuffix("\n").split("\n"))
        same = _without_layout(said) == _without_layout(got) if in_block else said == got
        if re.search(r"\bFalse\b", text) and not _is_meant(lines, line_of[end], end):
            message = "a printed False must be meant: add `# False: why` to its print; printed "
            problems.append(Problem(step.line + end - 1, message + _shown(got)))
        if below == end:
            message = f"what is printed must stand below as `#> …`; printed {_shown(got)}"
            problems.append(Problem(step.line + end - 1, message))
        elif not same:
            message = f"the page says that this prints {_shown(said)}; printed {_shown(got)}"
            problems.append(Problem(step.line + end, message))
    problems += [
        Problem(step.line + index, "the page says that something is printed here; nothing was")
        for index in sorted(
            line - 1
            for line in (
                *_comments(step.source),
                *(statement.lineno for statement in _strings(step.source)),
            )
        )
        if index not in claimed
    ]
    return problems


def lines(source: str) -> set[int]:
    """Return the numbers of the lines that show output, counted from 1."""
    found = _comments(source)
    texts = source.splitlines()
    for statement in _strings(source):
        # Another string of one line says nothing about output.
        if texts[statement.lineno - 1].strip() in _QUOTES:
            found.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
    return found


def without(source: str) -> str:
    """Return the code alone, as one would paste it."""
    shown = lines(source)
    kept = [line for n, line in enumerate(source.splitlines(), 1) if n not in shown]
    return "\n".join(kept).rstrip() + "\n"


def _comments(source: str) -> set[int]:
    return {n for n, line in enumerate(source.splitlines(), 1) if line.lstrip().startswith("#>")}


def _strings(source: str) -> Iterator[ast.stmt]:
    """Yield the statements that are strings but no docstrings; none if this is not Python."""
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:
        return
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            # A docstring comes first; output comes after the statement that prints it.
            for statement in statements[1:] if isinstance(statements, list) else ():
                value = getattr(statement, "value", None)
                is_string = isinstance(value, ast.Constant) and isinstance(value.value, str)
                if isinstance(statement, ast.Expr) and is_string:
                    yield statement


def _is_meant(lines: Sequence[str], start: int, end: int) -> bool:
    """Return whether a comment on the statement's lines, or right above it, announces a False."""
    return any("# False: " in line for line in lines[max(start - 2, 0) : end])


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
