"""What a page's own process does: run its steps in one namespace, and catch what they show."""

import ast
import builtins
import contextlib
import io
import os
import sys
import traceback
import types
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cache
import figures
import printed
import records
import tables
from fences import Output, Problem, Step


class Run(NamedTuple):
    """What a page's steps gave, up to the first that failed, and what is wrong."""

    outputs: list[Output]
    problems: list[Problem]


def run(root: Path, page: str, steps: Sequence[Step]) -> Run:
    """Run the steps of a page, as a fresh interpreter at the root would; `page` is below `docs`."""
    os.chdir(root)
    os.environ["INITGUIDE_RECORDS"] = str(cache.records())
    sys.path.insert(0, str(root))
    # Dataclasses and pickle look a class's module up by its name.
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    file = f"docs/{page}"
    calls: list[tuple[int, str]] = []
    outputs: list[Output] = []
    problems: list[Problem] = []
    with _environment(), _recorded_prints(file, calls):
        for step in steps:
            try:
                outputs.append(_output(step, page, file, vars(module)))
            except BaseException as error:  # exit() and the like must not end the process unseen.
                problems.append(_problem(step, file, error))
                break
    for step in steps[: len(outputs)]:
        if step.kind == "code":
            lines = range(step.line, step.line + step.source.count("\n") + 1)
            own = [(line - step.line + 1, text) for line, text in calls if line in lines]
            problems += printed.check(step, own)
    return Run(outputs, problems)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Give every page the same look and no display; a warning has no place on a page."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("agg")
    mpl.rcdefaults()
    mpl.rcParams.update(figures.RC)
    # A reader's copy of a fence may need it; here the figure is shown anyway.
    plt.show = lambda *args, **kwargs: None
    # What the package prints by itself is not the page's, and must not get into the build's log.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("error")
        yield


@contextlib.contextmanager
def _recorded_prints(file: str, calls: list[tuple[int, str]]) -> Iterator[None]:
    """Note each print by a line of the file: the line and the text."""
    real = builtins.print

    def record(*values: object, sep: str | None = " ", end: str | None = "\n", **more: Any) -> None:
        frame = sys._getframe(1)
        if frame.f_code.co_filename != file or more.get("file"):
            real(*values, sep=sep, end=end, **more)
            return
        text = io.StringIO()
        real(*values, sep=sep, end=end, file=text)
        calls.append((frame.f_lineno, text.getvalue()))

    builtins.print = record
    try:
        yield
    finally:
        builtins.print = real


def _output(step: Step, page: str, file: str, namespace: dict[str, Any]) -> Output:
    if step.kind == "generated":
        return Output(records.block(step.source, page))
    if step.kind == "expression":
        tree = ast.parse(step.source, file, mode="eval")
        return Output(tables.cell(_evaluate(tree, step, file, namespace)))
    tree = ast.parse(step.source, file)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(ast.increment_lineno(tree, step.line - 1), file, "exec"), namespace)
    value = None
    if isinstance(last, ast.Expr):
        value = _evaluate(ast.Expression(last.value), step, file, namespace)
    return Output("", _figure(), tables.markdown(value) if tables.are_rows(value) else None)


def _evaluate(
    tree: ast.Expression, step: Step, file: str, namespace: dict[str, Any]
) -> object | None:
    return eval(compile(ast.increment_lineno(tree, step.line - 1), file, "eval"), namespace)


def _figure() -> str | None:
    """Return the one figure that is open, and close it."""
    import matplotlib.pyplot as plt

    numbers = plt.get_fignums()
    if len(numbers) > 1:
        raise ValueError(f"a fence must draw at most one figure; it drew {len(numbers)}")
    svg = figures.draw(plt.figure(numbers[0])) if numbers else None
    plt.close("all")
    return svg


def _problem(step: Step, file: str, error: BaseException) -> Problem:
    """Place an error at the innermost line of the page that it passed through."""
    line = step.line
    if isinstance(error, SyntaxError) and error.filename == file:
        line += (error.lineno or 1) - 1
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == file:
            line = frame.lineno or line
    message = "".join(traceback.format_exception_only(error)[-1:]).strip().split("\n")[0]
    return Problem(line, message)
