"""Pages' steps run in processes of their own, a few at a time.

A server process loads the slow libraries once and is forked for each page, so that no page sees
another's names, and so that the builder itself needs no torch. It never loads initguide: each
page's process imports the sources as they are now. Where there is no fork, each process loads all.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver, get_all_start_methods, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from execute import Run, run
from fences import Problem, Step

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
SECONDS_PER_PAGE = 300

# The last is what an optimizer imports when it is made: most pages train something.
_PRELOADED = ["torch", "matplotlib.pyplot", "sklearn.datasets", "torch._dynamo"]
# One thread a page makes sums come out in one order, and pages share few cores.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONHASHSEED": "0"}


def run_all(pages: Mapping[str, Sequence[Step]]) -> dict[str, Run]:
    """Run the steps of several pages, given by their paths below `docs`."""
    if not pages:
        return {}
    with _surroundings(), ThreadPoolExecutor(min(len(pages), os.cpu_count() or 1)) as pool:
        return dict(zip(pages, pool.map(_in_a_process, pages, pages.values()), strict=True))


def start() -> None:
    """Start the server in the background, so that the first page need not wait for it."""
    with _surroundings():
        if _context().get_start_method() == "forkserver":
            forkserver.ensure_running()


def _context() -> Any:
    method = next(name for name in ("forkserver", "spawn") if name in get_all_start_methods())
    context = get_context(method)
    context.set_forkserver_preload(_PRELOADED)
    return context


def _in_a_process(page: str, steps: Sequence[Step]) -> Run:
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, page, steps))
    process.start()
    sender.close()
    try:
        if receiver.poll(SECONDS_PER_PAGE):
            return receiver.recv()
        message = f"the page's code must end within {SECONDS_PER_PAGE} seconds"
    except EOFError:
        process.join()
        message = f"the page's process died with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return Run([], [Problem(steps[0].line, message)])


def _send(sender: Connection, page: str, steps: Sequence[Step]) -> None:
    sender.send(run(ROOT, page, steps))


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """Let new processes find these modules and run on one thread; then put everything back."""
    path, environment = sys.path.copy(), os.environ.copy()
    sys.path.insert(0, str(SITE))
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)
