"""The built site, a server for it, and a browser: fixtures of all tests that look at pages."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redirects
from playwright.sync_api import Browser, Playwright, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
# Not the server's root: the site must work below any path.
BELOW = "some/where"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NO_BROWSER = (
    "THE BROWSER TESTS DID NOT RUN: no Chromium was found. "
    "Get one with `apt-get install chromium`, or without root with `playwright install chromium`."
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser, or say loudly that there is none."""
    path = shutil.which("chromium")
    if path is None:
        with sync_playwright() as started:
            path = started.chromium.executable_path
    if not Path(path).exists():
        required = os.environ.get("INITGUIDE_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)(NO_BROWSER)
    return path


# A started Playwright holds an event loop, which other modules' tests must not find.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def site(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once; there is no need to where no browser will look at it.

    Whoever works on one page may name a site that is already built: `INITGUIDE_SITE=site`.
    """
    folder = tmp_path_factory.mktemp("server") / BELOW
    if already := os.environ.get("INITGUIDE_SITE"):
        folder.parent.mkdir(parents=True)
        folder.symlink_to(Path(already).resolve())
        return folder
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Leave the test's output alone."""

    root = site.parents[len(Path(BELOW).parts) - 1]
    handler = functools.partial(Handler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/{BELOW}/"
        server.shutdown()


@pytest.fixture(scope="session")
def pages(site: Path) -> list[str]:
    found = sorted(path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))
    assert found, "the site has no pages"
    addresses = ["" if page == "." else f"{page}/" for page in found]
    return [page for page in addresses if page not in redirects.MOVED]
