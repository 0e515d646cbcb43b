"""Time the site: a build from nothing, a warm one, and reloads after an edit, against the targets.

Works on a copy of the tree, so that neither the tree nor its cache is touched.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = "guide/methods/he"
SECONDS_AT_MOST = 300
# What is not the site's source, and what an earlier build or set-up left.
_LEFT_OUT = (".git", ".venv", ".cache", "site", "node_modules", "tests")


def main() -> None:
    """Print each time and its target."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, ignore=_left_out)
        if (ROOT / "node_modules").exists():
            (copy / "node_modules").symlink_to(ROOT / "node_modules")
        _print("cold strict build", 120, _timed(lambda: _build(copy)))
        _print("warm strict build", 8, _timed(lambda: _build(copy)))
        with _served(copy) as address:
            page = copy / "docs" / f"{PAGE}.md"
            text = page.read_text(encoding="utf-8")
            prose = _edit(page, text + "\nedited-prose\n", address, "edited-prose")
            _print("reload after an edit of prose", 4, prose)
            opening = "```python\n"
            edited = text.replace(opening, f"{opening}# edited-code\n", 1)
            _print("reload after an edit of code", 8, _edit(page, edited, address, "edited-code"))
            # Every page runs again: any of them may show what the package computes.
            with (copy / "initguide" / "__init__.py").open("a", encoding="utf-8") as package:
                package.write("# edited\n")
            package_edit = _edit(page, text + "\nedited-package\n", address, "edited-package")
            _print("reload after an edit of initguide", 8, package_edit)


def _left_out(folder: str, names: list[str]) -> list[str]:
    # `scripts/site` is source; only at the root is `site` what a build made.
    at_root = _LEFT_OUT if Path(folder) == ROOT else ()
    return [name for name in names if name in at_root or name == "__pycache__"]


def _build(copy: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    ran = subprocess.run(command, cwd=copy, env=_environment(), capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"the build must succeed to be timed; it said\n{ran.stdout}{ran.stderr}")


@contextmanager
def _served(copy: Path) -> Iterator[str]:
    """Serve the copy, and give the address of the page that is edited."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "mkdocs", "serve", "-a", host]
    with (copy / "serve.log").open("w") as log:
        server = subprocess.Popen(command, cwd=copy, env=_environment(), stdout=log, stderr=log)
        try:
            address = f"http://{host}/{PAGE}/"
            _wait_for(address, "</html>")
            yield address
        finally:
            server.terminate()
            server.wait()


def _edit(page: Path, text: str, address: str, shown: str) -> float:
    """Write the page and return the seconds until its new text is served."""
    return _timed(lambda: (page.write_text(text, encoding="utf-8"), _wait_for(address, shown)))


def _wait_for(address: str, shown: str) -> None:
    end = time.monotonic() + SECONDS_AT_MOST
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=SECONDS_AT_MOST) as answer:
                if shown in answer.read().decode():
                    return
        except urllib.error.URLError:
            pass
        time.sleep(0.05)
    sys.exit(f"{address} must show {shown!r} within {SECONDS_AT_MOST} seconds; it did not")


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "INITGUIDE_CACHE"}
    return {**kept, "NO_MKDOCS_2_WARNING": "1"}


def _print(what: str, target: float, seconds: float) -> None:
    verdict = "" if seconds < target else "  MISSED"
    print(f"{what:<36}{seconds:7.1f} s   target {target:3} s{verdict}", flush=True)


if __name__ == "__main__":
    main()
