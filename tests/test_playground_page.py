"""The playground in a real browser: it answers, fixes, remembers, trains, and is for everybody."""

import re
from collections.abc import Iterator

import pytest
from browsing import ROOT
from playwright.sync_api import Browser, BrowserContext, Page, expect

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PAGE = "playground/"
RACE = "guide/what-are-initializations/"
LIVE = [
    "guide/methods/xavier/",
    "guide/methods/he/",
    "guide/layer-normalization/",
]
# Sum of the layout shifts since the page began.
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Give a page on which nothing may go wrong."""
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.add_init_script(SHIFTS)
    yield page
    assert not problems


def shows(page: Page, query: str) -> None:
    """Wait until the charts show the settings of a query."""
    page.wait_for_selector(f'.playground[data-shown="{query or "?"}"]', timeout=60_000)


def test_one_click_fixes_the_start_and_back_undoes_it(page: Page, address: str):
    page.goto(address + PAGE)
    shows(page, "")
    verdict = page.locator(".pg-verdict")
    assert "Signal vanishes" in verdict.inner_text()
    page.get_by_role("button", name="Fix it: He").press("Enter")
    shows(page, "?init=he")
    assert "Sizes are right" in verdict.inner_text()
    # The button is gone, and the keyboard stands at the next one.
    assert page.evaluate("document.activeElement.textContent") == "Train it"
    assert page.url.endswith("playground/?init=he")
    page.go_back()
    shows(page, "")
    assert page.get_by_label("Initialization", exact=True).input_value() == "xavier"
    page.go_forward()
    shows(page, "?init=he")
    # What a screen reader is told, once all is quiet.
    page.wait_for_function(
        "() => document.querySelector('.pg-hidden').innerText.includes('Sizes are right')"
    )


def test_the_keyboard_moves_a_slider_and_the_address_keeps_it(page: Page, address: str):
    page.goto(address + PAGE + "?activation=tanh&init=gain&gain=1.593&depth=30")
    shows(page, "?activation=tanh&init=gain&gain=1.593&depth=30")
    entries = page.evaluate("history.length")
    page.get_by_label("Depth").press("ArrowRight")
    shows(page, "?activation=tanh&init=gain&gain=1.593&depth=31")
    assert page.url.endswith("?activation=tanh&init=gain&gain=1.593&depth=31")
    # A step of a slider is no entry in the history.
    assert page.evaluate("history.length") == entries
    page.get_by_label("LayerNorm").press("Space")
    shows(page, "?activation=tanh&init=gain&gain=1.593&depth=31&layerNorm=1")


def test_an_address_that_makes_no_sense_is_the_default(page: Page, address: str):
    page.goto(address + PAGE + "?activation=nope&depth=1e9&width=x&seed=-1&batch=7&rate=-1&utm=1")
    shows(page, "?depth=100")
    note = page.locator(".pg-wrong").inner_text()
    for said in ("activation “nope”", "depth “1e9”", "width “x”", "seed “-1”", "rate “-1”"):
        assert said in note
    assert "utm" not in note
    page.get_by_label("Depth").press("ArrowLeft")
    shows(page, "?depth=99")
    assert page.locator(".pg-wrong").count() == 0


@pytest.mark.parametrize(
    "value",
    ["__proto__", "<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "x" * 5000],
    ids=["prototype", "image", "script", "long"],
)
def test_a_hostile_address_is_shown_as_text(page: Page, address: str, value: str):
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    page.goto(address + PAGE)
    query = page.evaluate("v => new URLSearchParams({init: v, gain: v, activation: v}) + ''", value)
    page.goto(f"{address}{PAGE}?{query}")
    shows(page, "")
    note = page.locator(".pg-wrong")
    assert value[:30] in note.inner_text()
    assert len(note.inner_text()) < 300
    assert page.locator(".playground img, .playground script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("how", ["none", "refused"])
def test_without_workers_it_says_so_and_the_rest_works(browser: Browser, address: str, how: str):
    page, problems = browser.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    if how == "none":
        page.add_init_script("delete window.Worker")
    else:
        page.route("**/worker.js", lambda route: route.abort())
    page.goto(address + PAGE)
    page.get_by_text("which this browser does not have").wait_for()
    # The figure that the build drew follows at once.
    assert page.locator(".playground").bounding_box()["height"] < 200
    assert page.locator("figure").count() == 1
    page.goto(address + RACE)
    page.locator(".playground").scroll_into_view_if_needed()
    page.get_by_role("button", name="Train all three").click()
    page.get_by_text("which this browser does not have").wait_for()
    page.close()
    assert not problems


def test_the_table_and_the_snippet_follow_the_settings(page: Page, address: str):
    page.goto(address + PAGE + "?depth=12")
    shows(page, "?depth=12")
    page.click("text=Numbers by layer")
    rows = page.locator(".pg-numbers tbody tr")
    expect(rows).to_have_count(12)
    # Half of the second moment is left in each layer: 1/sqrt 2 of the rms, by theory.
    assert rows.first.locator("td").nth(1).inner_text() == "0.71"
    page.get_by_label("Initialization", exact=True).select_option("orthogonal")
    shows(page, "?init=orthogonal&depth=12")
    page.click("text=Copy the code")
    page.wait_for_selector("text=Code copied.")
    code = page.evaluate("navigator.clipboard.readText()")
    assert 'init.Rule("*weight", "orthogonal_", gain="relu", on=nn.Linear)' in code
    compile(code, "snippet", "exec")


def test_training_learns_and_says_so(page: Page, address: str):
    page.goto(address + PAGE + "?init=he&depth=4&width=32")
    shows(page, "?init=he&depth=4&width=32")
    page.get_by_role("button", name="Train it").click()
    trained(page)
    (right,) = re.findall(r"(\d+) % of the held-out", page.locator(".pg-runs").inner_text())
    assert int(right) > 60


def test_two_starts_race_and_the_runs_before_stay(page: Page, address: str):
    page.goto(address + PAGE)
    shows(page, "")
    for _ in range(2):
        page.get_by_role("button", name="Race it against the fix").click()
        trained(page)
    he, xavier, *before = page.locator(".pg-runs li").all_inner_texts()
    assert [line.partition(":")[0] for line in (he, xavier)] == ["He", "Xavier"]
    assert [line.partition(":")[0] for line in before] == ["before"] * 2
    right = [int(re.findall(r"(\d+) %", line)[0]) for line in (he, xavier)]
    assert right[0] > 60
    assert right[1] < 20


def test_a_draw_and_a_rate_are_in_the_address_and_an_example_is_one_click(page: Page, address: str):
    page.goto(address + PAGE)
    shows(page, "")
    page.get_by_role("button", name="New draw").click()
    shows(page, "?seed=1")
    page.get_by_label("Learning rate").press("ArrowRight")
    shows(page, "?seed=1&rate=0.018")
    assert page.url.endswith("?seed=1&rate=0.018")
    page.get_by_label("Examples").select_option("Sigmoid trap")
    shows(page, "?activation=sigmoid")
    assert "vanishes" in page.locator(".pg-verdict").inner_text()


def trained(page: Page) -> None:
    """Wait until no network is in training."""
    page.get_by_role("button", name="Stop", exact=True).wait_for(state="detached", timeout=60_000)


@pytest.mark.parametrize("url", LIVE)
def test_a_live_figure_comes_to_life_in_the_guide(page: Page, address: str, url: str):
    page.goto(address + url)
    figure = page.locator(".playground")
    figure.scroll_into_view_if_needed()
    page.wait_for_selector(".playground[data-shown]", timeout=60_000)
    before = figure.get_attribute("data-shown")
    page.locator(".playground").get_by_label("Depth").press("ArrowLeft")
    page.wait_for_function(
        "before => document.querySelector('.playground').dataset.shown !== before", arg=before
    )
    # It leads to the same setting in the playground, and leaves the page's own address alone.
    link = figure.get_by_role("link", name="Open in the playground").get_attribute("href")
    assert link == address + PAGE + (figure.get_attribute("data-shown") or "")
    assert page.url == address + url
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_is_accessible_keeps_still_and_fits(browser: Browser, address: str, width, scheme):
    # The page's policy refuses axe too.
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    page.add_init_script(SHIFTS)
    for url in (PAGE, RACE, LIVE[1]):
        page.goto(address + url)
        page.locator(".playground").scroll_into_view_if_needed()
        page.wait_for_selector(".playground[data-shown]", timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("window.shifts") < 0.01
        page.add_script_tag(path=AXE)
        found = page.evaluate("axe.run('.playground', {resultTypes: ['violations']})")
        assert not [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]]
    context.close()


def test_one_click_trains_three_networks_and_one_learns(page: Page, address: str):
    page.goto(address + RACE)
    page.locator(".playground").scroll_into_view_if_needed()
    page.wait_for_selector('.playground[data-shown="ready ready ready"]', timeout=60_000)
    page.get_by_role("button", name="Train all three").click()
    page.wait_for_selector(".playground:not([data-shown*=training])", timeout=120_000)
    small, he, large = page.locator(".pg-runs li").all_inner_texts()
    shares = [re.findall(r"(\d+) % right at step 300", text) for text in (small, he)]
    (low,), (high,) = shares
    assert int(low) < 30
    assert int(high) > 80
    assert re.search(r"broke down at step \d\b", large)


def test_other_pages_load_nothing_of_it(page: Page, address: str):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + "guide/summary/")
    assert not [url for url in asked if "playground/" in url.removeprefix(address)]


def test_without_a_script_it_says_so(browser: Browser, address: str):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + PAGE)
    assert "needs JavaScript" in page.locator(".playground").inner_text()
    assert page.locator("figure").count() == 1
    context.close()
