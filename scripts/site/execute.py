"""The work of a job's process: it runs steps in one namespace, and catches their outputs."""

import ast
import builtins
import contextlib
import importlib
import io
import os
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import figures
import printed
import tables
from steps import Output, Problem, Run, Step

ROOT = Path(__file__).resolve().parents[2]
_SOURCES = ("initguide/", "scripts/site/")


def send(sender: Connection, function: str, arguments: Sequence[Any], records: Path) -> None:
    """Do a job by the name of its function; send the result, and the files that decided it."""
    given = globals()[function](*arguments, records=records)
    # Rows do not depend on how the site shows them.
    folders = _SOURCES[:1] if function == "claim" else _SOURCES
    sender.send((given, [file for file in loaded_files() if file.startswith(folders)]))


def steps(file: str, steps: Sequence[Step], *, records: Path) -> Run:
    """Run the steps of a page or an example, as a fresh interpreter at the root would.

    The outputs are one `Output` for each step. `file` is the source's path below the root.
    """
    _start_at_the_root(records)
    # Dataclasses and pickle look a class's module up by its name.
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    calls: list[tuple[int, str]] = []
    outputs: list[Output] = []
    problems: list[Problem] = []
    with _look(), _prints(file, calls):
        for step in steps:
            errors = io.StringIO()
            try:
                with contextlib.redirect_stderr(errors):
                    outputs.append(_output(step, file, vars(module)))
            except BaseException as error:  # exit() and the like must not end the process unseen.
                problems.append(_problem(step, file, error))
                break
            if text := errors.getvalue().strip():
                problems.append(Problem(step.line, f"wrote to stderr: {text}"))
                break
    for step in steps[: len(outputs)]:
        if step.kind == "code":
            lines = range(step.line, step.line + step.source.count("\n") + 1)
            own = [(line - step.line + 1, text) for line, text in calls if line in lines]
            problems += printed.check(step, own)
    return Run(outputs, problems)


def claim(name: str, *, records: Path) -> Run:
    """Run the experiment of a claim; the outputs are the names and bytes of its records."""
    with tempfile.TemporaryDirectory() as folder:
        _start_at_the_root(Path(folder))
        try:
            from initguide.experiments.claims.claim import evaluate

            evaluate(importlib.import_module(f"initguide.experiments.claims.{name}").CLAIM)
        except Exception as error:
            return Run([], [_elsewhere(error)])
        return Run([(path.name, path.read_bytes()) for path in Path(folder).iterdir()], [])


def data(module: str, *, records: Path) -> Run:
    """Return what the `data` function of a module of the site gives, as one output."""
    _start_at_the_root(records)
    try:
        return Run([importlib.import_module(module).data()], [])
    except Exception as error:
        return Run([], [_elsewhere(error)])


def loaded_files() -> list[str]:
    """Return our files that decided what this process gave, as paths below the root."""
    found = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = [Path(file) for file in found if file and Path(file).is_relative_to(ROOT)]
    # lazy_loader reads the names of a package from the stub beside it.
    paths += [stub for path in paths if (stub := path.with_suffix(".pyi")).exists()]
    recorded = sys.modules.get("initguide.experiments.claims.recorded")
    # If only the record of an experiment was read, the files count that the experiment had loaded.
    files = {path.relative_to(ROOT).as_posix() for path in paths}
    return sorted(files.union(getattr(recorded, "FILES", ())))


def _start_at_the_root(records: Path) -> None:
    os.chdir(ROOT)
    os.environ["INITGUIDE_RECORDS"] = str(records)
    sys.path.insert(0, str(ROOT))


@contextlib.contextmanager
def _look() -> Iterator[None]:
    """Give every page the same look and no display; a warning has no place on a page."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("agg")
    mpl.rcdefaults()
    mpl.rcParams.update(figures.RC)
    # A reader's copy of a fence may need it; here the figure is shown anyway.
    plt.show = lambda *args, **kwargs: None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@contextlib.contextmanager
def _prints(file: str, calls: list[tuple[int, str]]) -> Iterator[None]:
    """Note each print by a line of the file: the line and the text."""
    real = builtins.print

    def note(*values: object, sep: str | None = " ", end: str | None = "\n", **more: Any) -> None:
        frame = sys._getframe(1)
        if frame.f_code.co_filename == file and not more.get("file"):
            text = io.StringIO()
            real(*values, sep=sep, end=end, file=text)
            calls.append((frame.f_lineno, text.getvalue()))
        real(*values, sep=sep, end=end, **more)

    builtins.print = note
    try:
        yield
    finally:
        builtins.print = real


def _output(step: Step, file: str, namespace: dict[str, Any]) -> Output:
    if step.kind == "generated":
        import records

        return Output(records.block(step.source, file.removeprefix("docs/")))
    if step.kind == "expression":
        tree = ast.parse(step.source, file, mode="eval")
        return Output(tables.cell(_evaluate(tree, step, file, namespace)))
    tree = ast.parse(step.source, file)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value = None
    # What is printed is shown below a cell. Below a fence the page's source says it itself, and
    # what the package prints must not get into the build's log.
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(ast.increment_lineno(tree, step.line - 1), file, "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = _evaluate(ast.Expression(last.value), step, file, namespace)
    table = tables.markdown(value) if tables.are_rows(value) else None
    if step.kind == "code":
        return Output("", _figure(), table)
    text = shown.getvalue() + ("" if table or _is_drawn(value) else f"{value!r}\n")
    # A notebook draws a figure once before it is shown, which settles its layout.
    return Output(text, _figure(settled=True), table)


def _evaluate(
    tree: ast.Expression, step: Step, file: str, namespace: dict[str, Any]
) -> object | None:
    return eval(compile(ast.increment_lineno(tree, step.line - 1), file, "eval"), namespace)


def _is_drawn(value: object) -> bool:
    """Return whether a cell's value says nothing: None, or what `ax.plot(...)` and such return.

    That is an Artist, or a list, a tuple or an array of them, as from `plotting.histograms`.
    """
    import numpy as np
    from matplotlib.artist import Artist

    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    items = list(value) if isinstance(value, list | tuple) and value else [value]
    return value is None or all(isinstance(item, Artist) for item in items)


def _figure(settled: bool = False) -> str | None:
    """Return the one figure that is open, and close it."""
    import matplotlib.pyplot as plt

    numbers = plt.get_fignums()
    if len(numbers) > 1:
        raise ValueError(f"a fence must draw at most one figure; it drew {len(numbers)}")
    if numbers and settled:
        plt.figure(numbers[0]).canvas.draw()
    svg = figures.draw(plt.figure(numbers[0])) if numbers else None
    plt.close("all")
    return svg


def _elsewhere(error: Exception) -> Problem:
    """Return a problem that says itself where it is: in the package or the site's code."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Problem(1, f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}")


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
