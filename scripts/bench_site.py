"""Time the site against the goals: builds, edits, and the first page of `make serve`.

It works on a copy of the tree, and leaves the tree and its cache alone. Wall seconds depend on the
load of the machine; the CPU seconds beside them depend on it less. The cold build and the first
page are timed once. The others are timed three times, and the table shows the median.
"""

import os
import pickle
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = "guide/methods/he"
CLAIM = "initguide/experiments/claims/rumelhart_1986.py"
METHOD = "initguide/methods/icnr.py"
SECONDS_AT_MOST = 1200
# Folders that are no source of the site, or that an earlier build or set-up left.
_LEFT_OUT = (".git", ".venv", ".cache", "site", "node_modules", "tests")


class Time(NamedTuple):
    """Seconds by the clock, and seconds of all cores together."""

    wall: float
    cpu: float


def main() -> None:
    """Print each time and its goal."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, ignore=_left_out)
        if (ROOT / "node_modules").exists():
            (copy / "node_modules").symlink_to(ROOT / "node_modules")
        print("| loop | wall s | CPU s | goal s |\n| :-- | --: | --: | --: |", flush=True)
        with _served(copy) as (address, started):
            _wait_for(f"{address}/", "</html>")
            _print("first page of `make serve`, nothing kept", started(), "15")
        shutil.rmtree(copy / ".cache", ignore_errors=True)
        _print("cold strict build", _build(copy), "200")
        warm = [_build(copy) for _ in range(3)]
        _print("warm strict build, nothing changed", _median(warm), "10 (CPU)")
        for what, name, goal in (
            ("edit of one claim's file", CLAIM, "30"),
            ("edit of one method's file", METHOD, "30"),
            ("edit of a package file that no page loads", _not_loaded(copy), "10"),
        ):
            edited = [_build_after_edit(copy / name) for _ in range(3)]
            _print(f"{what}: `{name}`", _median(edited), goal)
        with _served(copy) as (address, started):
            page = copy / "docs" / f"{PAGE}.md"
            text = page.read_text(encoding="utf-8")
            _wait_for(f"{address}/{PAGE}/", "</html>")
            times = []
            for number in range(3):
                # The build before it must have ended.
                time.sleep(3)
                before = started()
                page.write_text(f"{text}\nedited-{number}\n", encoding="utf-8")
                _wait_for(f"{address}/{PAGE}/", f"edited-{number}")
                after = started()
                times.append(Time(after.wall - before.wall, after.cpu - before.cpu))
            _print("prose edit under `make serve`", _median(times), "4")


def _left_out(folder: str, names: list[str]) -> list[str]:
    # A folder `site` is the result of a build only at the root; `scripts/site` is source.
    at_root = _LEFT_OUT if Path(folder) == ROOT else ()
    return [name for name in names if name in at_root or name == "__pycache__"]


def _build(copy: Path) -> Time:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    start, before = time.perf_counter(), os.times()
    ran = subprocess.run(command, cwd=copy, env=_environment(copy), capture_output=True, text=True)
    after = os.times()
    if ran.returncode:
        sys.exit(f"the build must succeed to be timed; it said\n{ran.stdout}{ran.stderr}")
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Time(time.perf_counter() - start, cpu)


def _build_after_edit(path: Path) -> Time:
    with path.open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    copy = next(parent for parent in path.parents if (parent / "mkdocs.yml").exists())
    return _build(copy)


def _not_loaded(copy: Path) -> str:
    """Return a file of the package that no kept run has loaded: a new one if each is loaded."""
    sys.path.insert(0, str(ROOT / "scripts" / "site"))
    loaded: set[str] = set()
    for path in (copy / ".cache" / "site").iterdir():
        if path.is_file() and path.stat().st_size:
            loaded.update(pickle.loads(path.read_bytes())[1])
    files = [path.relative_to(copy).as_posix() for path in (copy / "initguide").rglob("*.py")]
    return next((name for name in sorted(files) if name not in loaded), "initguide/_new.py")


@contextmanager
def _served(copy: Path) -> Iterator[tuple[str, Callable[[], Time]]]:
    """Serve the copy; give its address, and what tells the time that it has taken."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "mkdocs", "serve", "--no-strict", "-a", host]
    start = time.perf_counter()
    with (copy / "serve.log").open("w") as log:
        server = subprocess.Popen(command, cwd=copy, env=_environment(copy), stdout=log, stderr=log)
        try:
            yield (
                f"http://{host}",
                lambda: Time(time.perf_counter() - start, _cpu_of(server.pid)),
            )
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def _cpu_of(process: int) -> float:
    """Return the CPU seconds of a process that runs; not a number where there is no /proc."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait_for(address: str, shown: str) -> None:
    end = time.monotonic() + SECONDS_AT_MOST
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=SECONDS_AT_MOST) as answer:
                if shown in answer.read().decode():
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.05)
    sys.exit(f"{address} must show {shown!r} within {SECONDS_AT_MOST} seconds; it did not")


def _median(times: list[Time]) -> Time:
    return Time(statistics.median(t.wall for t in times), statistics.median(t.cpu for t in times))


def _environment(copy: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "INITGUIDE_CACHE"}
    # The copy's package comes before an installed one.
    return {**kept, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(copy)}


def _print(what: str, taken: Time, goal: str) -> None:
    print(f"| {what} | {taken.wall:.1f} | {taken.cpu:.1f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
