"""What `mkdocs serve` adds: pages are shown at once, and their code runs in the background.

A page whose code has not run yet shows placeholders. When a result arrives, a file that MkDocs
watches is touched; MkDocs builds again, from the cache, and the reader's browser reloads. The page
that was asked for last runs first.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cache
import claims
import runner
from steps import Run

# A build for each result would keep the machine from running the rest.
SECONDS_BETWEEN_BUILDS = 10

_WATCHED = "arrived"


@dataclass
class _State:
    on: bool = False
    # The addresses of all pages whose code runs, and of what has not run, by the job's name.
    pages: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)
    # When each page was last asked for, by its address in the site.
    asked: dict[str, float] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    # Failed runs, which the cache does not keep, with the hashes of our files at that time.
    failed: dict[str, tuple[cache.Hashes, Run]] = field(default_factory=dict)
    # Jobs of other stages, to run with the pages.
    others: list[runner.Job] = field(default_factory=list)
    # The addresses of pages whose results have arrived since the last build.
    arrived: set[str] = field(default_factory=set)


_state = _State()


def on_startup(command: str, dirty: bool) -> None:
    """Get ready for the first page while the reader still waits for the text."""
    _state.on = command == "serve"
    if _state.on:
        runner.start()


def on_serve(server: Any, config: object, builder: object) -> None:
    """Watch for results, and note which page is asked for."""
    cache.FOLDER.mkdir(parents=True, exist_ok=True)
    (cache.FOLDER / _WATCHED).touch()
    server.watch(str(cache.FOLDER / _WATCHED))
    show = server.get_app()

    def note_and_show(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.endswith("/"):
            address = _normal(path.removeprefix(server.mount_path))
            _state.asked[address] = time.monotonic()
            if address in _state.arrived:
                build_again()
        return show(environ, start_response)

    server.set_app(note_and_show)


def on_shutdown() -> None:
    """End the processes that run."""
    _workers.want([], cache.FOLDER)


def is_on() -> bool:
    """Return whether this is `mkdocs serve`."""
    return _state.on


def is_running() -> bool:
    """Return whether pages show placeholders because their code still runs."""
    return _state.on and bool(_state.waiting)


def message() -> str:
    """Return the text of a placeholder."""
    total = len(_state.pages)
    return f"running, {total - len(set(_state.waiting.values()))} of {total} pages done"


def was_asked_for(address: str) -> bool:
    """Return whether a reader has asked for the page with this address in the site."""
    return _normal(address) in _state.asked


def build_again() -> None:
    """Have MkDocs build again: there is more to show."""
    (cache.FOLDER / _WATCHED).touch()


def later(job: runner.Job) -> None:
    """Run a job of another stage in the background too, before the pages."""
    _state.others.append(job)


def runs(
    jobs: Sequence[runner.Job], addresses: dict[str, str], now: cache.Hashes
) -> dict[str, Run | None]:
    """Return the known results, and run the other jobs in the background."""
    found = {job.name: _known(job, now) for job in jobs}
    _state.addresses = addresses
    _state.arrived.clear()
    _state.pages = set(addresses.values())
    _state.waiting = {name: at for name, at in addresses.items() if found[name] is None}
    missing = [job for job in jobs if found[job.name] is None]
    _workers.want([*_state.others, *missing], claims.records(now))
    _state.others.clear()
    return found


def _known(job: runner.Job, now: cache.Hashes) -> Run | None:
    before, failed = _state.failed.get(runner.key(job), ({}, None))
    return runner.known(job, now) or (failed if before == now else None)


def _ran(job: runner.Job, run: Run) -> None:
    now = cache.hashes()
    if run.problems:
        _state.failed[runner.key(job)] = now, run
    if job.function == "claim":
        claims.keep(run, claims.records(now))
        return
    address = _normal(_state.addresses.get(job.name, ""))
    first = not _state.arrived
    _state.arrived.add(address)
    _state.waiting.pop(job.name, None)
    if address in _state.asked or not _state.waiting:
        build_again()
    elif first:
        timer = threading.Timer(SECONDS_BETWEEN_BUILDS, build_again)
        timer.daemon = True
        timer.start()


def _urgency(job: runner.Job) -> float:
    return _state.asked.get(_normal(_state.addresses.get(job.name, "none")), 0)


def _normal(address: str) -> str:
    """Return a page's address in the site; that of the home page is empty."""
    return address.removeprefix("./")


_workers = runner.Workers(_ran, _urgency)
