"""A page's Markdown as what runs in it and the text between.

What a page may hold, beyond plain Markdown:

- A `python` fence, indented or not, runs; all fences of a page share one namespace. With
  `{test="skip"}` after the language it is only shown. With `{cell}` it is a cell of an example:
  its printed text and the value of its last expression are shown below it.
- `<!-- figure: caption -->` right below the fence that draws a figure; `<!-- table: caption -->`
  below the fence whose last expression is a list of dicts.
- `{{ expression }}` in prose is evaluated in the page's namespace at that point, so that prose
  states only numbers which code has computed. A number is written as in tables; an f-string gives
  another form: `{{ f"{loss:.2f}" }}`. Inside code and formulas the braces are left alone.
- `code: tested` in a page's front matter leaves its code to the tests: the site only shows it.
- An image must have a text for readers who do not see it.
- `<!-- generated: name argument -->` is Markdown made from the package's records: see records.py.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import figures
import printed
import tables
from steps import Output, Problem, Step

# The longest line of code that a page shows beside its navigation.
WIDTH = 80


class Fence(NamedTuple):
    """A fence as the page shows it, and its code if that runs."""

    shown: str
    step: Step | None = None


class Caption(NamedTuple):
    """The comment that captions a figure or a table: its text, with the values still to come."""

    kind: str
    text: list[str | Step]
    line: int
    indent: str


Part = str | Step | Fence | Caption | Problem


class Page(NamedTuple):
    """A page whose code has run: its Markdown, its figures by name, and its problems."""

    markdown: str
    figures: dict[str, str]
    problems: list[Problem]


_OPEN = re.compile(r"[ \t]*(?P<ticks>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_PYTHON = re.compile(r"\s*\{?\s*\.?(?:python|py)\b")
_SKIP = re.compile(r"""\btest=["']skip["']""")
_CELL = re.compile(r"\{cell\}")
_SETTINGS = re.compile(r"(?<=\w)[ \t]*\{[^}\n]*\}")
_TOKEN = re.compile(
    r"""
      \\. | (?P<ticks>`+)(?!`) .+? (?<!`)(?P=ticks)(?!`)
    | \$\$ .+? \$\$ | \$(?![\s$]) (?:\\.|[^\\$\n]|\n(?!\s*\n))+? (?<!\s)\$(?!\d)
    | (?P<indent>^[ \t]*|) <!--\s* (?P<kind>figure|table|generated): \s*(?P<said>.*?)\s* -->
    | \{\{\s* (?P<expression>.+?) \s*\}\}
    | (?P<image> !\[\s*\][(\[] | <img\b(?![^>]*\salt=(?:"\s*[^\s"]|'\s*[^\s']))[^>]*> )
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def parse(markdown: str) -> list[Part]:
    """Return the page's parts, in order."""
    lines = markdown.splitlines(keepends=True)
    parts: list[Part] = []
    after = index = 0
    while index < len(lines):
        opened = _OPEN.match(lines[index])
        start = index = index + 1
        if not opened:
            continue
        closing = re.compile(rf"[ \t]*{opened['ticks']}{opened['ticks'][0]}*[ \t]*$")
        while index < len(lines) and not closing.match(lines[index]):
            index += 1
        parts += _tokens("".join(lines[after : start - 1]), after + 1)
        parts.append(_fence(opened["info"], lines[start - 1 : index + 1], start + 1))
        after = index = index + 1
    return [*parts, *_tokens("".join(lines[after:]), after + 1)]


def steps(parts: Sequence[Part]) -> list[Step]:
    """Return the steps to run, in order."""
    found: list[Step] = []
    for part in parts:
        if isinstance(part, Caption):
            found += steps(part.text)
        elif isinstance(part, Fence) and part.step:
            found.append(part.step)
        elif isinstance(part, Step):
            found.append(part)
    return found


def without_steps(parts: Sequence[Part]) -> list[Part]:
    """Return the page with its code to be shown and not run; what needs a run is an error."""
    kept = [Fence(part.shown) if isinstance(part, Fence) else part for part in parts]
    if found := [part for part in kept if not isinstance(part, str | Fence)]:
        raise ValueError(
            f"a page with 'code: tested' must need no run; line {found[0].line} needs one"
        )
    return kept


def weave(parts: Sequence[Part], outputs: Sequence[Output], name: str, base: str) -> Page:
    """Put the outputs into the page; figures are named `<name>-1`, … below the site's `base`.

    A run that failed has fewer outputs than steps: the steps after the failure are left out.
    """
    given = iter(outputs)
    written: list[str] = []
    drawn: dict[str, str] = {}
    problems: list[Problem] = []
    # What the last fence gave and no caption has claimed yet; None once the run has stopped.
    pending: dict[str, str] | None = {}
    line = 0
    for part in parts:
        if isinstance(part, Problem):
            problems.append(part)
            continue
        if isinstance(part, Caption):
            caption = " ".join(filled(part.text, given).split())
            if not caption:
                problems.append(Problem(part.line, f"a {part.kind} caption must not be empty"))
            value = pending.pop(part.kind, None) if pending is not None else ""
            if value is None:
                message = f"a {part.kind} caption must stand right below the fence that gives one"
                problems.append(Problem(part.line, message))
            elif value and part.kind == "figure":
                figure = f"{name}-{len(drawn) + 1}"
                drawn[figure] = value
                written.append(_block(figures.markup(figure, caption, value, base), part.indent))
            elif value:
                written.append(_block(tables.captioned(value, caption), part.indent))
                problems += _not_numbers(value, part.line)
            continue
        if not isinstance(part, str) or part.strip():
            problems += _uncaptioned(pending, line)
            pending = {} if pending is not None else None
        if not isinstance(part, Fence):
            written.append(filled([part], given))
            continue
        written.append(part.shown)
        if part.step:
            problems += _too_wide(part.step)
            output, line = next(given, None), part.step.line
            pending = None if output is None else _results(output)
            if part.step.kind == "cell" and output and output.text:
                written.append(f"\n{fenced(output.text, 'text')}\n")
    return Page("".join(written), drawn, problems + _uncaptioned(pending, line))


def placeholders(parts: Sequence[Part], message: str) -> list[Output]:
    """Return placeholders for the outputs of a page that still runs: figures of the right size."""
    outputs: list[Output] = []
    step: Step | None = None
    for part in parts:
        if isinstance(part, Caption) and step:
            figure = figures.placeholder(message, step.source) if part.kind == "figure" else None
            outputs[-1] = Output("", figure, "| |\n| :-- |\n| … |" if figure is None else None)
        elif isinstance(part, Fence) and part.step:
            step = part.step
        outputs += [Output("" if s.kind in ("code", "cell") else "…") for s in steps([part])]
    return outputs


def fenced(text: str, language: str) -> str:
    """Return a fence that holds the text, even if the text has fences."""
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _tokens(text: str, line: int) -> Iterator[str | Step | Caption | Problem]:
    end = 0
    for found in _TOKEN.finditer(text):
        if not found["kind"] and not found["expression"] and not found["image"]:
            continue
        yield text[end : found.start()]
        if found["image"]:
            at = line + text.count("\n", 0, found.start())
            yield Problem(at, "an image must have a text for readers who do not see it")
            end = found.start()
            continue
        end = found.end()
        at = line + text.count("\n", 0, found.start("said" if found["kind"] else "expression"))
        if found["kind"] in ("figure", "table"):
            said = [part for part in _tokens(found["said"], at) if isinstance(part, str | Step)]
            yield Caption(found["kind"], said, at, found["indent"])
        elif found["kind"]:
            yield Step("generated", found["said"], at, found["indent"])
        else:
            yield Step("expression", found["expression"], at)
    yield text[end:]


def _fence(info: str, lines: Sequence[str], line: int) -> Fence:
    # Braces after the language are for us alone; Material would make attributes of them.
    shown = "".join([_SETTINGS.sub("", lines[0]), *lines[1:]])
    if not _PYTHON.match(info) or _SKIP.search(info):
        return Fence(shown)
    kind = "cell" if _CELL.search(info) else "code"
    return Fence(shown, Step(kind, textwrap.dedent("".join(lines[1:-1])), line))


def filled(text: Sequence[str | Step], given: Iterator[Output]) -> str:
    """Join the text, each step replaced by its output."""
    return "".join(
        part if isinstance(part, str) else textwrap.indent(next(given, Output()).text, part.indent)
        for part in text
    )


def _results(output: Output) -> dict[str, str]:
    results = {"figure": output.figure, "table": output.table}
    return {kind: text for kind, text in results.items() if text is not None}


def _block(markdown: str, indent: str) -> str:
    return "\n" + textwrap.indent(markdown, indent) + "\n"


def _too_wide(step: Step) -> list[Problem]:
    """Return a problem for each line of a page's code that the reader would have to scroll."""
    shown = printed.lines(step.source)
    return [
        Problem(step.line + number - 1, f"a line of code must have at most {WIDTH} characters")
        for number, line in enumerate(step.source.splitlines(), 1)
        if step.kind in ("code", "cell") and len(line) > WIDTH and number not in shown
    ]


def _not_numbers(table: str, line: int) -> list[Problem]:
    """Return a problem for each row with a cell of nan: the reader cannot learn from it."""
    rows = [row for row in table.splitlines() if "nan" in re.split(r" *\| *", row)]
    return [Problem(line, f"a table must not show nan; got the row {row}") for row in rows]


def _uncaptioned(pending: dict[str, str] | None, line: int) -> list[Problem]:
    return [
        Problem(line, f"a {kind} needs a comment `<!-- {kind}: … -->` right below its fence")
        for kind in pending or ()
    ]
