"""Examples: percent scripts read as pages of Markdown, and written as notebooks and scripts."""

import ast
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import figures
from fences import Caption, Fence, Part, filled
from steps import Output, Problem, Step

_MARKER = "# %%"
_TEXT = "# %% [markdown]"
# What only the site resolves: the title of a fold, references, and links to its other pages.
_FOLD = re.compile(r"^\?\?\? .*\n?", re.MULTILINE)
_REFERENCE = re.compile(r"(?<!!)\[([^\]]+)\](?:\[[^\]]*\]|\((?!https?:)[^)\s]+\))")


def markdown(script: str) -> str:
    """Return a script as Markdown, each line where it was; ValueError if there are no cells.

    A code cell with a title, `# %% The code of the figure`, is folded under that title.
    """
    if not script.startswith(_TEXT):
        raise ValueError(f"an example must open with a '{_TEXT}' cell")
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", script))])
    lines: list[str] = []
    in_code, indent = False, ""
    for line in [*script.splitlines(), "", _MARKER]:
        if line.startswith(_MARKER):
            if in_code:
                _close(lines, indent + ticks)
            in_code = line.rstrip() != _TEXT
            title = line.removeprefix(_MARKER).strip() if in_code else ""
            indent = "    " if title else ""
            if title:
                # The blank line before the cell.
                lines[-1] = f'??? code "{title}"'
            lines.append(f"{indent}{ticks}python {{cell}}" if in_code else "")
        elif in_code:
            lines.append(indent + line if line else "")
        else:
            lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines[:-1]) + "\n"


def ipynb(parts: Sequence[Part], outputs: Sequence[Output]) -> str:
    """Return the notebook as JSON, with the outputs of its code cells."""
    cells = list(_cells(parts, iter(outputs)))
    counts = iter(range(1, len(cells) + 1))
    for number, cell in enumerate(cells, 1):
        # Cell ids must be there; random ones would make each build differ.
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] == "code":
            cell["execution_count"] = next(counts)
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def script(parts: Sequence[Part], outputs: Sequence[Output]) -> str:
    """Return the notebook as a script in cells, which prints its tables and shows its figures."""
    cells = []
    for cell in _cells(parts, iter(outputs)):
        source = cell["source"]
        if cell["cell_type"] == "markdown":
            cells.append(f"{_TEXT}\n{textwrap.indent(source, '# ', lambda _: True)}")
        else:
            has_table = any("text/markdown" in each.get("data", ()) for each in cell["outputs"])
            cells.append(f"{_MARKER}\n{_printing(source) if has_table else source}")
    shown = re.sub(r" +$", "", "\n\n".join(cells), flags=re.MULTILINE)
    return f"{shown}\n\n{_MARKER}\nimport matplotlib.pyplot as plt\n\nplt.show()\n"


def _printing(source: str) -> str:
    """Return the code of a cell with the rows printed that are its last value."""
    last = ast.parse(source).body[-1]
    before = source.splitlines()[: last.lineno - 1]
    rows = ast.get_source_segment(source, last)
    return "\n".join([*before, f"for row in {rows}:", '    print(*row.values(), sep=" | ")'])


def _close(lines: list[str], ticks: str) -> None:
    """Put the end of a code cell in place of the first blank line after it."""
    end = len(lines)
    while lines[end - 1] == "":
        end -= 1
    if end == len(lines):
        raise ValueError(f"a cell must end with a blank line; line {end} is {lines[-1]!r}")
    lines[end] = ticks


def _cells(parts: Sequence[Part], given: Iterator[Output]) -> Iterator[dict[str, Any]]:
    text = ""
    for part in parts:
        if isinstance(part, Fence) and part.step and part.step.kind == "cell":
            if _FOLD.sub("", text).strip():
                yield _text_cell(text)
            yield _code_cell(part.step, next(given, Output()))
            text = ""
        elif isinstance(part, Fence):
            text += part.shown
            if part.step:
                next(given, None)
        elif isinstance(part, Caption):
            text += f"*{' '.join(filled(part.text, given).split())}*\n"
        elif not isinstance(part, Problem):
            text += filled([part], given)
    if text.strip():
        yield _text_cell(text)


def _text_cell(text: str) -> dict[str, Any]:
    source = _REFERENCE.sub(r"\1", _FOLD.sub("", text).strip("\n"))
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code_cell(step: Step, output: Output) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = []
    if output.text:
        outputs.append({"output_type": "stream", "name": "stdout", "text": output.text})
    if output.table:
        outputs.append(_display({"text/markdown": output.table, "text/plain": output.table}))
    if output.figure:
        # Notebooks are mostly read on white.
        outputs.append(_display({"image/svg+xml": figures.variants(output.figure)[0]}))
    source = step.source.rstrip("\n")
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": outputs}


def _display(data: dict[str, str]) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": data}
