"""A page's Markdown as parts: text, code that runs, values in the prose, and captions.

What a page may hold, beyond plain Markdown:

- A `python` fence, indented or not, runs; all fences of a page share one namespace. With
  `{test="skip"}` behind the language it is only shown.
- `<!-- figure: caption -->` right below the fence that draws a figure; `<!-- table: caption -->`
  below the fence whose last expression is a list of dicts.
- `{{ expression }}` in prose is evaluated in the page's namespace at that point, so that prose
  states only numbers which code has computed. A number is written as in tables; an f-string gives
  another form: `{{ f"{loss:.2f}" }}`. Inside code and formulas the braces are left alone.
- `<!-- generated: name argument -->` is Markdown made from the package's records: see records.py.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import figures
import tables


class Step(NamedTuple):
    """What the page's process does: run code, evaluate an expression, generate a block."""

    kind: str
    source: str
    line: int


class Output(NamedTuple):
    """What a step gave: text for the page, a figure as SVG, a table as Markdown."""

    text: str = ""
    figure: str | None = None
    table: str | None = None


class Problem(NamedTuple):
    """What is wrong, and on which line of the page."""

    line: int
    message: str


class Part(NamedTuple):
    """A stretch of the page: text as it is shown, and the step or the caption in it."""

    text: str
    step: Step | None = None
    # The kind of what is captioned, the line, and the indent that all that replaces it takes.
    caption: str | None = None
    line: int = 0
    indent: str = ""


class Page(NamedTuple):
    """A page whose code has run: its Markdown, its figures by name, and what is wrong."""

    markdown: str
    figures: dict[str, str]
    problems: list[Problem]


_OPEN = re.compile(r"^(?P<indent>[ \t]*)(?P<ticks>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
_PYTHON = re.compile(r"\{?[ .]*(?:python|py)\b")
_SETTINGS = re.compile(r"[ \t]*\{[^}\n]*\}")
_TOKEN = re.compile(
    r"""
      \\. | (?P<ticks>`+)(?!`) .+? (?<!`)(?P=ticks)(?!`)
    | \$\$ .+? \$\$ | \$(?![\s$]) (?:\\.|[^\\$\n]|\n(?!\s*\n))+? (?<!\s)\$(?!\d)
    | ^(?P<indent>[ \t]*) <!--\s*(?P<kind>figure|table|generated):\s*(?P<said>.*?)\s*-->
    | <!-- .*? -->
    | \{\{\s*(?P<expression>.+?)\s*\}\}
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def parse(markdown: str) -> list[Part]:
    """Return the page's parts, in order."""
    lines = markdown.splitlines(keepends=True)
    parts: list[Part] = []
    text_from = index = 0
    while index < len(lines):
        opened = _OPEN.match(lines[index].rstrip("\n"))
        if not opened:
            index += 1
            continue
        closing = re.compile(rf"[ \t]*{re.escape(opened['ticks'][0])}{{{len(opened['ticks'])},}}\s*$")
        end = next((i for i in range(index + 1, len(lines)) if closing.match(lines[i])), len(lines))
        parts += _text("".join(lines[text_from:index]), text_from + 1)
        parts.append(_fence(opened, lines[index : end + 1], index + 1))
        text_from = index = end + 1
    return [*parts, *_text("".join(lines[text_from:]), text_from + 1)]


def steps(parts: Iterable[Part]) -> list[Step]:
    """Return what there is to run."""
    return [part.step for part in parts if part.step]


def weave(parts: Sequence[Part], outputs: Sequence[Output], name: str, base: str) -> Page:
    """Put the outputs into the page; figures are named `<name>-1`, … below the site's `base`.

    A run that failed has fewer outputs than steps; what it did not reach is left out.
    """
    given = iter(outputs)
    written: list[str] = []
    drawn: dict[str, str] = {}
    problems: list[Problem] = []
    pending: dict[str, str] = {}
    reached, fence_line = True, 0
    for part in parts:
        if part.caption is None and (part.step or part.text.strip()):
            problems += _uncaptioned(pending, fence_line)
            pending = {}
        if part.step:
            output = next(given, None)
            reached = output is not None
            output = output or Output()
            if part.step.kind != "code":
                written.append(textwrap.indent(output.text, part.indent))
                continue
            shown = {"figure": output.figure, "table": output.table}
            pending = {kind: value for kind, value in shown.items() if value is not None}
            fence_line = part.line
        if part.caption is None:
            written.append(part.text)
        elif part.caption in pending:
            value = pending.pop(part.caption)
            caption = "".join(_filled(part.text, given))
            if part.caption == "figure":
                drawn[f"{name}-{len(drawn) + 1}"] = value
                block = figures.markup(f"{name}-{len(drawn)}", caption, value, base)
            else:
                block = tables.captioned(value, caption)
            written.append(textwrap.indent(f"\n{block}\n", part.indent))
        elif reached:
            problems.append(
                Problem(part.line, f"a {part.caption} caption must stand below a fence that gives one")
            )
    problems += _uncaptioned(pending, fence_line)
    return Page("".join(written), drawn, problems)
