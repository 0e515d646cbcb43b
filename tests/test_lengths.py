"""The guide's pages as long as a reader has patience for: whole pages, first figures, code."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from mkdocs.utils.yaml import yaml_load
from playwright.sync_api import Browser, Page, Route

ROOT = Path(__file__).resolve().parents[1]
LONG = ("guide/best-practices/", "guide/exercises/")
# A page to look things up, which begins with a table of symptoms.
SYMPTOMS = "how-to/debug/"
# One screen that is a card, and a page of questions: neither begins with a figure.
NO_FIGURE = ("guide/summary/", "guide/exercises/", "guide/myths/")

MEASURE = """() => {
    const article = document.querySelector("article");
    const box = (element) => element.getBoundingClientRect();
    const open = (element) => !element.closest("details:not([open])");
    const shown = [...article.querySelectorAll("figure, svg, canvas, .playground")]
        .filter((element) => open(element) && box(element).height > 60);
    const code = [...article.querySelectorAll(".highlight")].filter(open);
    return {
        page: box(article).height,
        table: Math.min(
            1e9, ...[...article.querySelectorAll("table")].map((element) => box(element).top),
        ),
        figure: Math.min(1e9, ...shown.map((element) => box(element).top + scrollY)),
        code: Math.max(0, ...code.map((element) => box(element).height)),
    };
}"""


def core() -> list[str]:
    """Return the addresses of the guide's pages, from the nav."""
    nav = yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    (guide,) = (entry["Guide"] for entry in nav if "Guide" in entry)
    files = []
    while guide:
        entry = guide.pop(0)
        values = [entry] if isinstance(entry, str) else list(entry.values())
        for value in values:
            if isinstance(value, list):
                guide = [*value, *guide]
            else:
                files.append(value)
    return [f"{name.removesuffix('.md').removesuffix('index').rstrip('/')}/" for name in files]


def wait_for_the_type(route: Route):
    """Serve the stylesheet so that a page waits for its type, however late it comes.

    For readers a page does not wait, and in the wider type that it has then it is longer.
    """
    answer = route.fetch()
    style = answer.text()
    assert style.count("font-display: optional") == 1
    route.fulfill(response=answer, body=style.replace("display: optional", "display: block"))


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route("**/assets/site.css", wait_for_the_type)
    yield page
    page.close()


@pytest.fixture(scope="module")
def measured(page: Page, address: str) -> dict[str, dict[str, float]]:
    found = {}
    for url in [*core(), SYMPTOMS]:
        page.goto(urljoin(address, url))
        page.wait_for_load_state("networkidle")
        page.evaluate("() => document.fonts.ready")
        found[url] = page.evaluate(MEASURE)
    return found


@pytest.mark.parametrize("url", core())
def test_a_page_of_the_guide_is_short(measured: dict[str, dict[str, float]], url: str):
    assert measured[url]["page"] <= (7000 if url in LONG else 5000)


def test_the_page_of_symptoms_is_short_and_begins_with_their_table(
    measured: dict[str, dict[str, float]],
):
    assert measured[SYMPTOMS]["page"] <= 8000
    assert measured[SYMPTOMS]["table"] <= 400


@pytest.mark.parametrize("url", [url for url in core() if url not in NO_FIGURE])
def test_the_first_figure_is_in_sight(measured: dict[str, dict[str, float]], url: str):
    assert measured[url]["figure"] <= 900


@pytest.mark.parametrize("url", core())
def test_open_code_is_short(measured: dict[str, dict[str, float]], url: str):
    assert measured[url]["code"] <= 300


def test_the_table_of_claims_fits_a_screen(page: Page, address: str):
    page.goto(urljoin(address, "examples/"))
    page.evaluate("() => document.fonts.ready")
    lines = page.locator(".claims summary")
    heights = lines.evaluate_all("all => all.map((line) => line.offsetHeight)")
    whole = page.locator(".claims").evaluate("table => table.offsetHeight")
    lines.first.press("Enter")
    opened = page.locator(".claims details").first.locator("li").first.is_visible()
    assert len(heights) > 20
    assert max(heights) < 40  # one line each
    assert whole <= 900
    assert opened
