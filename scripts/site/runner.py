"""Each job runs in its own process, a few at a time, and its result is kept.

A job is a page, an example or a claim. A server process loads the slow libraries once and is forked
for each job, so that no job sees another's names, and so that the builder itself needs no torch.
The server never loads initguide: each job's process imports the sources as they are now. Where
there is no fork, each process loads all.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import forkserver, get_all_start_methods, get_context
from pathlib import Path
from typing import Any, NamedTuple

import cache
import execute
from steps import Problem, Run

SITE = Path(__file__).resolve().parent
SECONDS_PER_JOB = 900

# The last is what an optimizer imports when it is made: most pages train something.
_PRELOADED = ["torch", "matplotlib.pyplot", "sklearn.datasets", "torch._dynamo"]
# One thread per job makes sums come out in one order, and jobs share few cores.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONHASHSEED": "0"}
_surroundings_lock = threading.Lock()


class Job(NamedTuple):
    """What to run: a function of `execute` by its name, and its arguments.

    The name is that of its source below the project's root. What the job gives is decided by
    `asks`, which says the arguments without what does not matter, and by the files that it loads.
    `needs` are the names of the jobs whose results this one uses. A problem that has no line is
    reported on `line`.
    """

    name: str
    function: str
    arguments: tuple[Any, ...]
    asks: str
    needs: tuple[str, ...] = ()
    line: int = 1


def key(job: Job) -> str:
    """Return the cache's key of a job."""
    return cache.key("job", job.name, job.function, job.asks)


def known(job: Job, now: cache.Hashes) -> Run | None:
    """Return the earlier result of the job, if the files that it loaded are the same now."""
    return cache.load(key(job), now)


def now(job: Job) -> Run:
    """Return the result of a job that needs no other: an earlier one, or that of a run."""
    found = known(job, cache.hashes())
    if found:
        return found
    runs: list[Run] = []
    workers = Workers(lambda job, run: runs.append(run))
    workers.want([job], cache.FOLDER)
    workers.wait()
    return runs[0]


class Workers:
    """Threads that run jobs, one for each core: the most urgent first, each after its needs."""

    def __init__(
        self, ran: Callable[[Job, Run], object], urgency: Callable[[Job], float] = lambda job: 0
    ) -> None:
        """Take who hears what each job gave, in any thread, before a job that needs it starts."""
        self._ran, self._urgency = ran, urgency
        self._waiting: dict[str, Job] = {}
        self._running: dict[str, tuple[Job, threading.Event]] = {}
        self._records = Path()
        self._threads = 0
        self._changed = threading.Condition()

    def want(self, jobs: Iterable[Job], records: Path) -> None:
        """Run these jobs and no others; one of them that runs already goes on.

        `records` is the folder of the rows that the claims' experiments gave (see `claims.py`).
        """
        wanted = {job.name: job for job in jobs}
        with self._changed:
            self._records = records
            for name, (job, stopped) in self._running.items():
                if name in wanted and key(wanted[name]) == key(job):
                    del wanted[name]
                else:
                    stopped.set()
            self._waiting = wanted
            for _ in range(self._threads, min(len(wanted), os.cpu_count() or 1)):
                self._threads += 1
                threading.Thread(target=self._work, daemon=True).start()
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when no job is left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._threads)

    def _work(self) -> None:
        while started := self._next():
            job, stopped = started
            given = _run(job, self._records, stopped)
            if not stopped.is_set():
                self._ran(job, given)
            with self._changed:
                del self._running[job.name]
                self._changed.notify_all()

    def _next(self) -> tuple[Job, threading.Event] | None:
        """Return the job that starts now, or None when the last has started."""
        with self._changed:
            while self._waiting:
                for wanted in sorted(self._waiting.values(), key=self._urgency, reverse=True):
                    needed = [self._waiting[n] for n in wanted.needs if n in self._waiting]
                    job = needed[0] if needed else wanted
                    # One that runs may be an older one of the same name.
                    if not self._running.keys() & {job.name, *job.needs}:
                        self._running[job.name] = job, threading.Event()
                        del self._waiting[job.name]
                        return self._running[job.name]
                self._changed.wait()
            self._threads -= 1
            self._changed.notify_all()
            return None


def start() -> None:
    """Start the server in the background, so that the first job need not wait for it."""
    with _surroundings():
        if _context().get_start_method() == "forkserver":
            forkserver.ensure_running()


def _run(job: Job, records: Path, stopped: threading.Event) -> Run:
    """Run the job in its own process, and keep the result unless there is a problem."""
    before = cache.hashes()
    given, loaded = _in_a_process(job, records, stopped)
    files = cache.among(loaded, before)
    # A file that was edited during the run may have been loaded before or after the edit.
    if not given.problems and files.items() <= cache.hashes().items():
        cache.store(key(job), given, files)
    return given


def _in_a_process(job: Job, records: Path, stopped: threading.Event) -> tuple[Run, list[str]]:
    """Return the job's result, and the files that it loaded."""
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=execute.send,
        args=(sender, job.function, job.arguments, records),
        daemon=True,
    )
    with _surroundings():
        process.start()
    sender.close()
    try:
        for _ in range(10 * SECONDS_PER_JOB):
            if receiver.poll(0.1):
                return receiver.recv()
            if stopped.is_set():
                break
        message = f"the code must end within {SECONDS_PER_JOB} seconds"
    except EOFError:
        process.join()
        message = f"the page's process died with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return Run([], [Problem(job.line, message)]), []


def _context() -> Any:
    method = next(name for name in ("forkserver", "spawn") if name in get_all_start_methods())
    context = get_context(method)
    context.set_forkserver_preload(_PRELOADED)
    return context


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """Let new processes find these modules and run on one thread; then put everything back."""
    with _surroundings_lock:
        path, environment = sys.path.copy(), os.environ.copy()
        sys.path.insert(0, str(SITE))
        os.environ.update(_ENVIRONMENT)
        try:
            yield
        finally:
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(environment)
