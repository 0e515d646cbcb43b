"""Percent scripts as notebooks: read, and run in a kernel.

The builder's process imports neither torch nor matplotlib; the kernel does (see kernel.py).
"""

import os
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cache

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
SECONDS_PER_CELL = 300

_SETUP = f"__import__('sys').path.insert(0, {str(SITE)!r}); __import__('kernel').prepare()"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r"Cell In\[(\d+)\], line (\d+)")


class Cell(NamedTuple):
    """A cell of a script: its kind, its text, and the script's line that the text begins on."""

    kind: str
    source: str
    line: int


class Problem(NamedTuple):
    """What is wrong, and on which line of the script."""

    line: int
    message: str


class Run(NamedTuple):
    """A run's outputs, in nbformat's form, one list for each code cell reached."""

    outputs: list[list[dict[str, Any]]]
    problem: Problem | None = None


def read(path: Path) -> list[Cell]:
    """Return the cells of a percent script; ValueError if the file is not one."""
    import jupytext

    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    markers = [number for number, line in enumerate(lines, 1) if line.startswith("# %%")]
    cells = jupytext.reads(text, fmt="py:percent").cells
    if len(cells) != len(markers) or not cells or cells[0].cell_type != "markdown":
        raise ValueError("an example must open with a '# %% [markdown]' cell")
    # A cell's text may begin below its marker: blank lines and docstring quotes are dropped.
    found = []
    for cell, marker in zip(cells, markers, strict=True):
        source = cell.source.strip("\n")
        first = source.split("\n", 1)[0]
        later = range(marker + 1, len(lines) + 1)
        start = next((line for line in later if lines[line - 1].endswith(first)), marker + 1)
        found.append(Cell(cell.cell_type, source, start))
    return found


def code(cells: Sequence[Cell]) -> list[Cell]:
    """Return the code cells: they alone decide what a run shows."""
    return [cell for cell in cells if cell.kind == "code"]


def run_all(notebooks: Sequence[Sequence[Cell]]) -> list[Run]:
    """Run several notebooks, one kernel each, as many at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, notebooks))


def run(cells: Sequence[Cell]) -> Run:
    """Run the code cells in a fresh kernel of this interpreter; stop at the first problem."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbformat.v4 import new_code_cell, new_notebook

    sources = code(cells)
    setup, *queue = map(new_code_cell, [_SETUP, *(cell.source for cell in sources)])
    outputs: list[list[dict[str, Any]]] = []
    cell: Cell | None = None
    with tempfile.TemporaryDirectory() as folder:
        client = _client(new_notebook(cells=[setup, *queue]), folder)
        try:
            with client.setup_kernel(env=_environment(folder), cwd=str(ROOT), cleanup_kc=True):
                client.execute_cell(setup, 0, store_history=False)
                for index, (cell, queued) in enumerate(zip(sources, queue, strict=True), 1):
                    ran = client.execute_cell(queued, index)
                    outputs.append([dict(output) for output in ran.outputs])
                    if problem := _complaint(cell, outputs[-1]):
                        return Run(outputs, problem)
        except CellExecutionError as error:
            if cell is None:
                raise
            return Run(outputs, _raised(sources, cell, error))
        except (CellTimeoutError, DeadKernelError) as error:
            line = cell.line if cell else 1
            return Run(outputs, Problem(line, f"{type(error).__name__}: {_first_line(str(error))}"))
    return Run(outputs)


def _client(notebook: Any, folder: str) -> Any:
    from ipykernel.kernelspec import make_ipkernel_cmd
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class ThisInterpreter(KernelSpecManager):
        """Knows one kernel, whatever kernels the user has registered."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(argv=make_ipkernel_cmd(), language="python", name=kernel_name)

    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisInterpreter())
    manager.connection_file = f"{folder}/kernel.json"
    if os.name == "posix":
        # Kernels that start at the same moment can be given the same TCP port.
        manager.transport = "ipc"
    return NotebookClient(notebook, km=manager, timeout=SECONDS_PER_CELL, record_timing=False)


def _environment(folder: str) -> dict[str, str]:
    return {
        **os.environ,
        # Several kernels share few cores, and one thread makes sums come out in one order.
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        # A reader's own IPython start-up files and history stay out of the site.
        "IPYTHONDIR": folder,
        "INITGUIDE_RECORDS": str(cache.records()),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _raised(sources: Sequence[Cell], cell: Cell, error: Any) -> Problem:
    """Place an error at the innermost line of the script that it passed through."""
    traceback = _ANSI.sub("", error.traceback)
    frames = _FRAME.findall(traceback)
    line = cell.line
    if frames:
        number, offset = map(int, frames[-1])
        line = sources[number - 1].line + offset - 1
    value = re.sub(r" \([^()]*\.py, line \d+\)$", "", error.evalue)
    return Problem(line, f"{error.ename}: {_first_line(value)}")


def _complaint(cell: Cell, outputs: Sequence[dict[str, Any]]) -> Problem | None:
    """Take what a cell wrote to stderr for a problem: warnings have no place on a page."""
    text = "".join(output["text"] for output in outputs if output.get("name") == "stderr")
    return Problem(cell.line, f"wrote to stderr: {text.strip()}") if text.strip() else None


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]
