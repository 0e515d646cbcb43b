"""A page's steps and their results: the types that the builder and a page's process share."""

from typing import Any, NamedTuple


class Step(NamedTuple):
    """What the page's process does.

    It runs `code` or a `cell`, evaluates an `expression`, or makes a `generated` block.
    """

    kind: str
    source: str
    line: int
    indent: str = ""


class Output(NamedTuple):
    """What a step gave: text for the page, a figure as SVG, a table as Markdown."""

    text: str = ""
    figure: str | None = None
    table: str | None = None


class Problem(NamedTuple):
    """What is wrong, and on which line of the page."""

    line: int
    message: str


class Run(NamedTuple):
    """The outputs of a job, up to the first failure, and its problems."""

    outputs: list[Any]
    problems: list[Problem]
