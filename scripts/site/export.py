"""A notebook that has run, as the Markdown of a page and as an .ipynb with its outputs."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import figures
import tables
from notebooks import Cell, Problem, Run, code

_COMMENT = re.compile(r"\s*<!--\s*(figure|table):\s*(.*?)\s*-->[ \t]*\n?", re.DOTALL)
_REFERENCE = re.compile(r"(?<!!)\[([^\]]+)\](?:\[[^\]]*\]|\((?!https?:)[^)\s]+\))")
_MEDIA = {"figure": "image/svg+xml", "table": "text/markdown"}


class Page(NamedTuple):
    """A notebook's Markdown, its figures' SVG by name, and what is wrong with it."""

    markdown: str
    figures: dict[str, str]
    problems: list[Problem]


def page(cells: Sequence[Cell], run: Run, name: str, base: str) -> Page:
    """Return the page of a notebook; figures are named `<name>-1`, …, below the site's `base`."""
    outputs = iter(run.outputs)
    parts: list[str] = []
    drawn: dict[str, str] = {}
    problems = [run.problem] if run.problem else []
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if cell.kind != "code":
            parts.append(_COMMENT.sub("", cell.source) if _captions(cell) else cell.source)
            continue
        captions = _captions(after)
        parts.append(_fence(cell.source, "python"))
        for output in next(outputs, []):
            kind, text = _shown(output)
            if kind == "text":
                parts.append(_fence(text, "text"))
            elif not captions or captions[0][0] != kind:
                problems.append(Problem(cell.line, f"a {kind} needs a `<!-- {kind}: … -->` below"))
            elif kind == "table":
                parts.append(tables.captioned(text, captions.pop(0)[1]))
            else:
                figure = f"{name}-{len(drawn) + 1}"
                drawn[figure] = text
                parts.append(figures.markup(figure, captions.pop(0)[1], text, base))
        if run.problem is None:
            line = after.line if after else 0
            problems += [Problem(line, f"no {k} above to caption: {text}") for k, text in captions]
    return Page("\n\n".join(parts) + "\n", drawn, problems)


def ipynb(cells: Sequence[Cell], run: Run) -> str:
    """Return the executed notebook as JSON; what only the site resolves becomes plain text."""
    counted = {cell.line: number for number, cell in enumerate(code(cells), 1)}
    outputs = iter(run.outputs)
    notebook = {
        "cells": [
            _code(cell, counted[cell.line], next(outputs, []))
            if cell.kind == "code"
            else _text(cell)
            for cell in cells
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    # Cell ids must be there; random ones would make each build differ.
    for number, cell in enumerate(notebook["cells"], 1):
        cell["id"] = f"cell-{number}"
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _captions(cell: Cell | None) -> list[tuple[str, str]]:
    """Return the (kind, caption) pairs that open a text cell."""
    return list(_opening(cell.source)) if cell and cell.kind != "code" else []


def _opening(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while found := _COMMENT.match(text, at):
        yield found[1], " ".join(found[2].split())
        at = found.end()


def _shown(output: dict[str, Any]) -> tuple[str, str]:
    data = output.get("data", {})
    for kind, media in _MEDIA.items():
        if media in data:
            return kind, data[media]
    return "text", output.get("text") or data.get("text/plain", "")


def _fence(text: str, language: str) -> str:
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _text(cell: Cell) -> dict[str, Any]:
    source = _COMMENT.sub(lambda found: f"*{' '.join(found[2].split())}*\n", cell.source)
    return {
        "cell_type": "markdown",
        "metadata": {},
        "source": _REFERENCE.sub(r"\1", source),
    }


def _code(cell: Cell, number: int, outputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": number,
        "metadata": {},
        "source": cell.source,
        "outputs": [_stored(output, number) for output in outputs],
    }


def _stored(output: dict[str, Any], number: int) -> dict[str, Any]:
    """Give a figure the colours of a light page, as notebooks are mostly read on white."""
    stored = dict(output)
    if stored["output_type"] == "execute_result":
        stored["execution_count"] = number
    data = dict(stored.get("data", {}))
    if _MEDIA["figure"] in data:
        data[_MEDIA["figure"]] = figures.variants(data[_MEDIA["figure"]])[0]
        stored["data"] = data
    return stored
