"""What the author sees under `mkdocs serve`: the text at once, the outputs when they are there."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import runner
import sites
from steps import Run

SECONDS_AT_MOST = 240

DRAWS = """# Draws

```python
import time
from pathlib import Path

import matplotlib.pyplot as plt

while not Path("go").exists():
    time.sleep(0.05)
fig, ax = plt.subplots(figsize=(4, 3))
ax.plot([1, 2])
```
<!-- figure: A line. -->

The sum is {{ 20 + 3 }}.
"""
FAILS = "# Fails\n\n```python\nx = 1 / 0\n```\n\nIts text.\n"


class Server:
    """A small site under `mkdocs serve`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"

    def text(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://{self.host}/{path}", timeout=60) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return ""

    def log(self) -> str:
        return (self.root / "log").read_text(encoding="utf-8")

    def wait_for(self, shown: Callable[[], bool]) -> None:
        end = time.monotonic() + SECONDS_AT_MOST
        while not shown():
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    files = {"docs/index.md": "# Home\n", "docs/draws.md": DRAWS, "docs/fails.md": FAILS}
    root = sites.make(tmp_path, files, modules=("pages", "rendering", "serving"))
    server = Server(root)
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(root / "absent")}
    environment.pop("INITGUIDE_CACHE", None)
    command = [sys.executable, "-m", "mkdocs", "serve", "--no-strict", "-a", server.host]
    with (root / "log").open("w") as log:
        started = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
        yield server
        started.send_signal(signal.SIGINT)
        started.wait()


def test_text_comes_first_outputs_follow_and_an_error_stops_no_other_page(server: Server):
    server.wait_for(lambda: "<h1" in server.text("draws/"))
    before = server.text("draws/")
    assert "The sum is …." in before
    assert 'width="384" height="288"' in before
    assert "<svg" in server.text("assets/figures/draws-1.light.svg")
    assert "of 2 pages done" in server.text("assets/figures/draws-1.light.svg")
    # The error is on the page and in the terminal, while the other page still runs.
    error = "docs/fails.md:4: ZeroDivisionError: division by zero"
    server.wait_for(lambda: error in server.text("fails/"))
    assert "Its text." in server.text("fails/")
    assert f"{error}\n    x = 1 / 0" in server.log()
    assert "The sum is …." in server.text("draws/")
    (server.root / "go").touch()
    server.wait_for(lambda: "The sum is 23." in server.text("draws/"))
    assert "pages done" not in server.text("assets/figures/draws-1.light.svg")
    # A corrected page is shown without its error.
    sites.write(server.root, {"docs/fails.md": FAILS.replace("1 / 0", "1 / 2")})
    server.wait_for(
        lambda: "ZeroDivision" not in (text := server.text("fails/")) and "Its text." in text
    )


def job(name: str, *needs: str) -> runner.Job:
    return runner.Job(name, "steps", (), name, needs)


def order(
    monkeypatch: pytest.MonkeyPatch, jobs: list[runner.Job], urgent: tuple[str, ...] = ()
) -> list[str]:
    """Return the order in which jobs run where one runs at a time."""
    ran: list[str] = []
    monkeypatch.setattr(runner.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(runner, "_run", lambda job, records, stopped: Run([], []))
    workers = runner.Workers(lambda job, _: ran.append(job.name), lambda job: job.name in urgent)
    workers.want(jobs, Path())
    workers.wait()
    return ran


def test_the_page_that_is_looked_at_runs_first_and_after_what_it_needs(monkeypatch):
    jobs = [job("claim a"), job("claim b"), job("x"), job("y", "claim b"), job("z", "claim a")]
    assert order(monkeypatch, jobs) == ["claim a", "claim b", "x", "y", "z"]
    assert order(monkeypatch, jobs, ("y",))[:2] == ["claim b", "y"]
    backwards = list(reversed(jobs))
    assert order(monkeypatch, backwards) == ["claim a", "z", "claim b", "y", "x"]


def test_a_job_that_nobody_wants_any_more_ends_and_one_that_is_still_wanted_goes_on(monkeypatch):
    started, ended = threading.Semaphore(0), threading.Event()
    ran: list[str] = []

    def run(job, records, stopped):
        started.release()
        while not stopped.wait(0.01) and not ended.is_set():
            pass
        return Run([], [])

    monkeypatch.setattr(runner.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(runner, "_run", run)
    workers = runner.Workers(lambda job, _: ran.append(job.name))
    workers.want([job("old"), job("kept")], Path())
    for _ in range(2):
        started.acquire()
    workers.want([job("kept"), job("new")], Path())
    started.acquire()
    ended.set()
    workers.wait()
    assert sorted(ran) == ["kept", "new"]
