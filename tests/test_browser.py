"""The built site in a real browser: wide and on a phone, light and dark, with and without scripts.

Every page is opened, and every test reports all pages' problems at once.
"""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
OBSERVE = (ROOT / "tests" / "observe.js").read_text(encoding="utf-8")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
# Not the server's root: the site must work below any path.
BELOW = "some/where"
WIDE, PHONE = 1280, 390
LIMIT = 150_000
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NO_BROWSER = (
    "THE BROWSER TESTS DID NOT RUN: no Chromium was found. "
    "Get one with `apt-get install chromium`, or without root with `playwright install chromium`."
)
# Images load when scrolled to; here, at once. True when all that is shown has arrived.
ARRIVED = """async () => {
  const images = [...document.querySelectorAll('.md-content img')];
  for (const image of images) image.loading = 'eager';
  await document.fonts.ready;
  return images.every((image) => image.complete || !image.checkVisibility());
}"""


class Visits(NamedTuple):
    """What opening every page showed."""

    pages: list[str]
    looks: list[str]
    console: list[str]
    elsewhere: list[str]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = shutil.which("chromium") or playwright.chromium.executable_path
    if not Path(path).exists():
        required = os.environ.get("INITGUIDE_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)(NO_BROWSER)
    browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once; there is no need to where no browser will look at it."""
    folder = tmp_path_factory.mktemp("server") / BELOW
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def pages(site: Path) -> list[str]:
    found = sorted(path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))
    assert found, "the site has no pages"
    return ["" if page == "." else f"{page}/" for page in found]


@pytest.fixture(scope="module")
def visits(browser: Browser, address: str, pages: list[str]) -> Visits:
    visits = Visits(pages, [], [], [])
    context = browser.new_context(viewport={"width": WIDE, "height": 900}, color_scheme="light")
    page = _watched(context, address, visits)
    for url in pages:
        for width in (WIDE, PHONE):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(address + url)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                visits.looks.extend(_look(page, f"{url or '/'} ({width} px, {scheme})"))
    context.close()
    return visits


def _watched(context: BrowserContext, address: str, visits: Visits) -> Page:
    page = context.new_page()
    here = urlsplit(address).netloc

    def note(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != here:
            visits.elsewhere.append(f"{page.url} asks for {request.url}")

    def answered(response: Any) -> None:
        if response.status >= 400:
            visits.console.append(f"{page.url}: {response.status} for {response.url}")

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            visits.console.append(f"{page.url}: {message.text}")

    context.on("request", note)
    context.on("response", answered)
    page.on("console", said)
    page.on("pageerror", lambda error: visits.console.append(f"{page.url}: {error}"))
    return page


def _look(page: Page, where: str) -> list[str]:
    # A page without scripts has no timers either, so the waiting is done here.
    for _ in range(100):
        if page.evaluate(ARRIVED):
            break
        page.wait_for_timeout(20)
    return [f"{where}: {problem}" for problem in page.evaluate(OBSERVE)]


def _listed(problems: list[str]) -> str:
    return "\n".join(["", *dict.fromkeys(problems)])


def test_pages_look_right_at_both_widths_in_both_schemes(visits: Visits):
    assert not visits.looks, _listed(visits.looks)


def test_no_page_has_an_error_in_the_console(visits: Visits):
    assert not visits.console, _listed(visits.console)


def test_no_page_asks_another_host_for_anything(visits: Visits):
    assert not visits.elsewhere, _listed(visits.elsewhere)


@pytest.mark.usefixtures("browser")
def test_no_page_weighs_too_much(site: Path):
    sizes = {path.relative_to(site): path.stat().st_size for path in site.rglob("*.html")}
    heavy = [f"{path}: {size:,} bytes" for path, size in sizes.items() if size >= LIMIT]
    assert not heavy, _listed(heavy)


def test_text_formulas_and_figures_need_no_script(browser: Browser, address: str, pages: list[str]):
    context = browser.new_context(
        viewport={"width": PHONE, "height": 900}, java_script_enabled=False
    )
    page = context.new_page()
    problems = []
    for url in pages:
        page.goto(address + url)
        problems += _look(page, url or "/")
    context.close()
    assert not problems, _listed(problems)


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (WIDE, "dark")])
def test_axe_finds_no_serious_violation(
    browser: Browser, address: str, pages: list[str], width: int, scheme: Any
):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    problems = []
    for url in _one_of_each_kind(pages):
        page.goto(address + url)
        page.add_script_tag(path=AXE)
        result = page.evaluate("axe.run({resultTypes: ['violations']})")
        for violation in result["violations"]:
            if violation["impact"] in ("serious", "critical"):
                first = violation["nodes"][0]
                problems.append(
                    f"{url or '/'}: {violation['id']}, {len(violation['nodes'])} times: "
                    f"{first['html'][:120]} {first['failureSummary']}"
                )
    context.close()
    assert not problems, _listed(problems)


def _one_of_each_kind(pages: list[str]) -> list[str]:
    """Return the home page and the last page of each folder: pages of a kind share their markup."""
    return ["", *{Path(url).parent: url for url in pages if url}.values()]
