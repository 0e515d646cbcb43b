"""The built site in a real browser: wide and on a phone, light and dark, with and without scripts.

Every page is opened, and every test reports all pages' problems at once.
"""

import gzip
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response

ROOT = Path(__file__).resolve().parents[1]
OBSERVE = (ROOT / "tests" / "observe.js").read_text(encoding="utf-8")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WIDE, PHONE = 1280, 390
LIMIT = 150_000
# The whole module on one page, which nobody opens by chance.
LIMITS = {Path("print/index.html"): 4_000_000}
FIRST_VIEW = 250_000, 12
# True when what is in sight has arrived, and the scripts of the page have run.
SEEN = """async () => {
  await document.fonts.ready;
  await new Promise(requestIdleCallback);
  return [...document.images].every((image) => {
    const { width, top, bottom } = image.getBoundingClientRect();
    return image.complete || !width || bottom <= 0 || top >= innerHeight;
  });
}"""
# Images load when scrolled to; here, at once. True when the scheme is on and all has arrived, that
# of the other scheme too: between this and the look at the page the scheme does not change.
ARRIVED = """async (scheme) => {
  const images = [...document.querySelectorAll('.md-content img')];
  for (const image of images) image.loading = 'eager';
  await document.fonts.ready;
  const switches = document.querySelector('[data-md-component=palette]');
  const on = { light: 'default', dark: 'slate' }[scheme];
  return images.every((image) => image.complete) &&
    (!switches || document.body.dataset.mdColorScheme === on);
}"""


# What has moved since the page began, and by how much.
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const { value, sources } of list.getEntries())
    window.shifts.push([value, ...sources.map((source) => source.node?.textContent?.slice(0, 60))]);
}).observe({ type: 'layout-shift', buffered: true });
"""


class Visits(NamedTuple):
    """What opening every page showed."""

    pages: list[str]
    looks: list[str]
    shifts: list[str]
    console: list[str]
    elsewhere: list[str]
    heavy: list[str]


@pytest.fixture(scope="module")
def visits(browser: Browser, address: str, pages: list[str]) -> Visits:
    visits = Visits(pages, [], [], [], [], [])
    context = browser.new_context(viewport={"width": WIDE, "height": 900}, color_scheme="light")
    page = _watched(context, address, visits)
    page.add_init_script(SHIFTS)
    session = context.new_cdp_session(page)
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    for url in pages:
        # As a reader's first page: nothing is there from a page before.
        session.send("Network.clearBrowserCache")
        for width in (WIDE, PHONE):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="light")
            responses.clear()
            page.goto(address + url)
            if width == WIDE and url != "print/":  # the whole module: see test_printing
                page.wait_for_function(SEEN)
                visits.heavy.extend(_too_heavy(url, responses))
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                where = f"{url or '/'} ({width} px, {scheme})"
                visits.looks.extend(_look(page, where, scheme))
            if url != "print/":  # four megabytes, drawn as they come
                visits.shifts.extend(f"{where}: {shift}" for shift in _shifts(page, where))
    context.close()
    return visits


def _too_heavy(url: str, responses: list[Response]) -> list[str]:
    weight, (most, requests) = sum(map(_weight, responses)), FIRST_VIEW
    if weight <= most and len(responses) <= requests:
        return []
    return [f"{url or '/'}: {weight:,} bytes in {len(responses)} requests"]


def _weight(response: Response) -> int:
    body = response.body()
    packed = response.url.endswith((".woff2", ".png"))
    return len(body if packed else gzip.compress(body))


def _shifts(page: Page, where: str) -> list[Any]:
    """Return what moves each time: on a busy machine a line may come late once."""
    shifts = page.evaluate("shifts")
    for _ in range(2):
        if not shifts:
            break
        page.reload()
        _look(page, where, "dark")
        shifts = page.evaluate("shifts")
    return shifts


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


def _look(page: Page, where: str, scheme: str) -> list[str]:
    # A page without scripts has no timers either, so the waiting is done here.
    for _ in range(1000):
        if page.evaluate(ARRIVED, scheme):
            break
        page.wait_for_timeout(20)
    else:
        return [f"{where}: its {scheme} scheme, fonts and images do not arrive"]
    return [f"{where}: {problem}" for problem in page.evaluate(OBSERVE)]


def _listed(problems: list[str]) -> str:
    return "\n".join(["", *dict.fromkeys(problems)])


def test_pages_look_right_at_both_widths_in_both_schemes(visits: Visits):
    assert not visits.looks, _listed(visits.looks)


def test_nothing_on_a_page_moves(visits: Visits):
    assert not visits.shifts, _listed(visits.shifts)


def test_nothing_moves_while_one_scrolls(browser: Browser, address: str):
    page = browser.new_page(viewport={"width": WIDE, "height": 900})
    page.add_init_script(SHIFTS)
    page.goto(f"{address}how-to/choose/")
    active = set()
    for _ in range(40):
        page.mouse.wheel(0, 300)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        active.update(page.locator(".md-nav--secondary .md-nav__link--active").all_inner_texts())
    shifts = page.evaluate("shifts")
    page.close()
    assert len(active) > 3
    assert not shifts


def test_no_page_has_an_error_in_the_console(visits: Visits):
    assert not visits.console, _listed(visits.console)


def test_no_page_asks_another_host_for_anything(visits: Visits):
    assert not visits.elsewhere, _listed(visits.elsewhere)


def test_first_view_of_every_page_is_light(visits: Visits):
    assert not visits.heavy, _listed(visits.heavy)


def test_no_page_weighs_too_much(site: Path):
    sizes = {path.relative_to(site): path.stat().st_size for path in site.rglob("*.html")}
    heavy = [
        f"{path}: {size:,} bytes" for path, size in sizes.items() if size >= LIMITS.get(path, LIMIT)
    ]
    assert not heavy, _listed(heavy)


def test_text_formulas_and_figures_need_no_script(browser: Browser, address: str, pages: list[str]):
    context = browser.new_context(
        viewport={"width": PHONE, "height": 900}, java_script_enabled=False
    )
    page = context.new_page()
    problems = []
    for url in pages:
        page.goto(address + url)
        problems += _look(page, url or "/", "light")
    context.close()
    assert not problems, _listed(problems)


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (WIDE, "dark")])
def test_axe_finds_no_violation(
    browser: Browser, address: str, pages: list[str], width: int, scheme: Any
):
    # The page's policy refuses axe too.
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    problems = []
    for url in _one_of_each_kind(pages):
        page.goto(address + url)
        page.add_script_tag(path=AXE)
        result = page.evaluate("axe.run({resultTypes: ['violations']})")
        for violation in result["violations"]:
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
