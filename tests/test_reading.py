"""What helps the reader: definitions, copying, enlarging, searching, and a light first view."""

import ast
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import glossary
import minutes
import page_blocks
import printed
import pytest
from playwright.sync_api import Browser, Page, TimeoutError

ROOT = Path(__file__).resolve().parents[1]

GUIDE_START = ("what-are-initializations", "summary")


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=_origin(address))
    yield context.new_page()
    context.close()


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


# Copying -----------------------------------------------------------------------------------------

BLOCK = '''\
def f():
    """
    A docstring is code.
    """
    return """
text"""

for n in range(2):
    print(f(), n)
"""
many
lines
"""
print(1)  # not #> this
#> 1
'''


def test_output_is_told_from_code():
    assert printed.lines(BLOCK) == {10, 11, 12, 13, 15}
    kept = printed.without(BLOCK)
    assert "docstring" in kept
    assert kept.endswith("print(1)  # not #> this\n")
    assert printed.without("    x = 1\n    #> 1\n") == "    x = 1\n"
    assert printed.lines("$ not python\n#> 1") == {2}


def test_marking_changes_no_text():
    html = '<span class="nb">print</span>(1)\n<span class="c1">#&gt; 1</span>\n<span>x</span>\n'
    marked = page_blocks.marked(html)
    assert '<span class="output"><span class="c1">#&gt; 1</span>\n</span>' in marked
    assert re.sub("<[^>]+>", "", marked) == re.sub("<[^>]+>", "", html)
    assert page_blocks.marked("x = 1\n") == "x = 1\n"


def test_every_code_block_gets_a_button_that_names_it():
    block = '<pre class="x"><span></span><code class="y">x = 1\n</code></pre>'
    html = page_blocks.with_buttons(block + "<p>text</p>" + block)
    assert re.findall(r'data-clipboard-target="#([\w-]+)"', html) == ["code-1", "code-2"]
    assert re.findall(r'<code id="([\w-]+)" class="y">x = 1\n</code></pre>', html) == [
        "code-1",
        "code-2",
    ]
    assert html.count('<pre class="x">') == html.count("<button ") == 2
    assert "<p>text</p>" in html


def test_every_copy_button_of_a_page_copies_code_alone(page: Page, address: str):
    page.goto(f"{address}guide/methods/xavier/")
    # Most of a page's code is folded.
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    copied = []
    for block in page.locator(".md-content div.highlight").all():
        if not block.is_visible():
            continue
        block.hover()
        block.locator("[data-clipboard-target], .md-code__button").first.click()
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    assert len(copied) > 3
    for text in copied:
        ast.parse(text)
        assert "#>" not in text
        assert not printed.lines(text)
    assert page.locator(".output").count() > 3


# Tables ------------------------------------------------------------------------------------------


def test_each_table_has_a_box_and_no_empty_head():
    html = '<table><tr><th></th><th a="b"></th><th>He</th></tr></table>\n<table></table>'
    assert page_blocks.boxed(html) == (
        '<div class="table" tabindex="0"><table><tr><td></td><td a="b"></td><th>He</th></tr>'
        "</table></div>\n"
        '<div class="table" tabindex="0"><table></table></div>'
    )


def test_a_wide_table_scrolls_by_keyboard(page: Page, address: str):
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"{address}guide/framework-defaults/")
    wide = [
        box
        for box in page.locator(".table").all()
        if box.evaluate("box => box.scrollWidth > box.clientWidth + 20")
    ]
    assert wide
    wide[0].focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_table_of_the_code_bases_follows_the_keyboard(page: Page, address: str):
    page.goto(f"{address}advanced/big-models/")
    megatron = page.locator(".stds tr", has_text="megatron").first.locator("td")
    assert megatron.last.inner_text() == "0.0025"
    page.get_by_label("Blocks L").focus()
    page.keyboard.press("Home")
    assert megatron.last.inner_text() == "0.005"  # 0.02 / sqrt(2 * 8)
    lingua = page.locator(".stds tr", has_text="lingua").locator("td")
    page.get_by_label("Width d").select_option(label="16,384")
    assert lingua.nth(1).inner_text() == "0.00781"  # 1 / 128
    assert "43,776" in page.locator(".stds form").inner_text()


def test_without_scripts_the_table_of_the_code_bases_stays(browser: Browser, address: str):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{address}advanced/big-models/")
    assert page.locator(".stds form").count() == 0
    assert "0.0025" in page.locator(".stds table").inner_text()
    page.close()


# Glossary ----------------------------------------------------------------------------------------

ENTRIES = """\
fan_in
:   What a *unit* sums over,
    see [there](x.md).

dead unit, dead
:   Gives "zero" & no more.
"""


def _linked(html: str) -> str:
    terms = glossary.parse(ENTRIES)
    names = {name: term for term in terms for name in term.names}
    return glossary.linked(html, glossary._Linker(glossary._pattern(names), names, "g/"), "../g/")


def test_a_definition_is_one_plain_text():
    first, second = glossary.parse(ENTRIES)
    assert first == ("fan_in", ("fan_in",), "What a unit sums over, see there.")
    assert second.anchor == "dead-unit"


def test_first_use_of_a_term_is_linked_and_no_other():
    linked = _linked("<p>Dead units, a dead unit, fan_in; fan_in.</p>")
    assert linked == (
        '<p><a class="term" href="../g/#dead-unit" title="Gives &quot;zero&quot; &amp; no more.">'
        'Dead units</a>, a dead unit, <a class="term" href="../g/#fan_in" '
        'title="What a unit sums over, see there.">fan_in</a>; fan_in.</p>'
    )


@pytest.mark.parametrize(
    "html",
    [
        "<h2>fan_in</h2>",
        '<h2 id="fan_in">On <em>fan_in</em></h2>',
        "<pre><code><span>fan_in</span> = 1</code></pre>",
        "<p><code>fan_in</code></p>",
        '<a href="fan_in/">The fan_in</a>',
        '<img alt="fan_in > fan_out">',
        '<span class="arithmatex">\\(fan_in\\)</span>',
        "<p>1/fan_in, my_fan_in, fan_ins_, &fan_in;</p>",
        "<!-- fan_in -->",
    ],
)
def test_nothing_else_is_touched(html: str):
    assert _linked(html) == html


def test_the_text_goes_on_behind_what_is_left_alone():
    html = '<p><a href="x"><b>fan_in</b></a><br> <code>a</code> fan_in</p>'
    assert _linked(html).endswith('title="What a unit sums over, see there.">fan_in</a></p>')


def test_glossary_defines_what_the_pages_link(site: Path):
    entries = set(re.findall(r'<dt id="([^"]+)"', (site / "glossary/index.html").read_text()))
    terms = glossary.parse((ROOT / "docs" / "glossary.md").read_text())
    assert entries == {term.anchor for term in terms}
    linked = set()
    for path in site.rglob("index.html"):
        if path.parent.name == "print":  # many pages in one
            continue
        found = re.findall(r'class="term" href="([^"]+)"', path.read_text())
        assert len(found) == len(set(found)), f"{path}: a term is linked twice"
        for href in found:
            target, _, anchor = href.partition("#")
            assert (path.parent / target).resolve() == (site / "glossary").resolve()
            linked.add(anchor)
    assert linked <= entries
    assert len(linked) > 10


def test_a_definition_shows_by_keyboard(page: Page, address: str):
    page.goto(f"{address}guide/methods/xavier/")
    term = page.locator("a.term").first
    title = term.get_attribute("title")
    assert title
    term.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelector('.md-tooltip2--active')")
    assert unescape(title) in page.locator(".md-tooltip2--active").inner_text()


# Reading time ------------------------------------------------------------------------------------


def test_minutes_count_words_and_lines_of_code():
    page = "word " * 400 + "\n```python\n" + "x = 1\n\n" * 30 + "```\n<!-- hidden words -->"
    assert minutes.total([page]) == 3
    assert minutes.total([page, page]) == 6
    assert minutes.total(["[link](a/very/long/address.md) 123"]) == 1


def test_home_says_how_long_each_part_takes(site: Path):
    home = (site / "index.html").read_text()
    times = [int(found) for found in re.findall(r">(\d+)\smin</td>", home)]
    assert len(times) == 5
    assert "<!-- minutes" not in home
    by_hand = [(ROOT / f"docs/guide/{name}.md").read_text() for name in GUIDE_START]
    assert times[0] == minutes.total(by_hand)
    assert times[2] > times[1]


# Figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 390])
def test_a_figure_can_be_enlarged_by_keyboard(page: Page, address: str, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    figure = page.locator(".md-content figure").first
    before = figure.locator("img:visible").bounding_box()
    figure.get_by_role("button", name="Enlarge the figure").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Enlarged figure")
    dialog.wait_for()
    after = dialog.locator("img:visible").bounding_box()
    assert before
    assert after
    assert after["width"] > 1.2 * before["width"]
    assert dialog.locator("img:visible").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.matches('.enlarge')")


def test_a_click_enlarges_and_a_click_beside_closes(page: Page, address: str):
    page.goto(address)
    page.locator(".md-content figure img:visible").first.click()
    dialog = page.get_by_role("dialog", name="Enlarged figure")
    dialog.wait_for()
    page.mouse.click(3, 3)
    assert not dialog.is_visible()


# Loading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("above", "asked"), [("<p>text</p>", 2), ("<h2>text</h2>", 0)])
def test_the_head_asks_for_a_figure_that_is_in_sight(above: str, asked: int):
    images = [f'<img src="../a.{s}.svg#only-{s}" loading="lazy">' for s in ("light", "dark")]
    page: Any = SimpleNamespace(content=above + "".join(2 * images))
    found = page_blocks.on_page_context({}, page)["figure_in_sight"]
    assert found == [("../a.light.svg", "light"), ("../a.dark.svg", "dark")][:asked]


def test_a_page_is_styled_once(page: Page, address: str):
    """Whenever a script changes the root or the head, the browser may style every element anew."""
    session = page.context.new_cdp_session(page)
    events: list[dict] = []
    ended: list[dict] = []
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda data: ended.append(data))
    session.send("Tracing.start", {"categories": "devtools.timeline"})
    page.goto(f"{address}guide/methods/xavier/", wait_until="networkidle")
    session.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(50)
    styled = [e["args"].get("elementCount", 0) for e in events if e["name"] == "UpdateLayoutTree"]
    elements = page.evaluate("document.querySelectorAll('body *').length")
    assert sum(count > elements / 2 for count in styled) == 1


@pytest.mark.parametrize(("scheme", "canvas"), [("light", "#ffffff"), ("dark", "#121212")])
def test_what_scrolls_has_the_scheme_of_the_page(
    browser: Browser, address: str, scheme: Any, canvas: str
):
    """The browser draws scroll bars in the scheme in which it draws its own canvas."""
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    page.evaluate("document.documentElement.style.backgroundColor = 'Canvas'")
    wanted = f"rgb({', '.join(str(byte) for byte in bytes.fromhex(canvas[1:]))})"
    page.wait_for_function(
        "(wanted) => getComputedStyle(document.documentElement).backgroundColor === wanted",
        arg=wanted,
        timeout=5000,
    )
    context.close()


def test_search_loads_when_used_and_finds_every_public_name(page: Page, address: str):
    asked = []
    said = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(address, wait_until="networkidle")
    assert not any("search_index" in url for url in asked)
    page.keyboard.press("/")
    field = page.locator(".md-search__input")
    documented = (path.read_text() for path in (ROOT / "docs" / "api").rglob("*.md"))
    names = re.findall(r"^ *::: [\w.]*?(\w+)$", "\n".join(documented), re.MULTILINE)
    assert len(names) > 80
    titles = ["Xavier", "Orthogonal", "LSUV", "He (Kaiming)", "Delta-orthogonal", "ICNR"]
    missing = []
    for name in [*names, *titles]:
        field.fill(name)
        field.press("End")  # the search listens to keys
        try:
            page.wait_for_function(
                "(name) => [...document.querySelectorAll('.md-search-result__link')].some((link) =>"
                " new URL(link.href).hash.endsWith(`.${name}`) || link.innerText.includes(name))",
                arg=name.split(" (")[0],
            )
        except TimeoutError:
            missing.append(name)
    assert any("search_index" in url for url in asked)
    assert not said, "\n".join(said)
    assert not missing, "\n".join(missing)


# Not found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["nowhere", "guide/nowhere/", "guide/methods/he/no/where.html"])
def test_not_found_leads_home_from_any_depth(
    browser: Browser, site: Path, address: str, below: str
):
    """The test's server has no page for errors: stand in for the host, which does."""
    context = browser.new_context()
    page = context.new_page()
    text = (site / "404.html").read_text()
    page.route(
        f"{address}{below}",
        lambda route: route.fulfill(status=404, content_type="text/html", body=text),
    )
    page.goto(address + below)
    page.wait_for_function(
        "(home) => document.querySelector('a[data-to=\"\"]').href === home", arg=address
    )
    for link in page.locator("a").all():
        href = link.evaluate("link => link.href")
        assert href.startswith(address)
        assert (site / href.removeprefix(address) / "index.html").is_file(), href
    doors = page.locator("a").all_inner_texts()
    assert [door.partition(":")[0] for door in doors] == ["Home", "Learn", "Fix", "Choose", "Play"]
    context.close()


def test_not_found_searches_for_the_words_of_the_address(
    browser: Browser, site: Path, address: str
):
    page = browser.new_page()
    text = (site / "404.html").read_text()
    below = "guide/methods/<b>xavier-glorot</b>"
    page.route(
        re.compile("xavier-glorot"),
        lambda route: route.fulfill(status=404, content_type="text/html", body=text),
    )
    page.goto(address + below)
    page.wait_for_function("home => document.querySelector('form').action === home", arg=address)
    assert page.locator("b").count() == 0
    page.get_by_label("Search this site").fill("xavier glorot")
    page.get_by_role("button", name="Search").click()
    first = page.locator(".md-search-result__link").first
    first.wait_for(state="attached")
    assert "guide/methods/xavier/" in (first.get_attribute("href") or "")
    page.close()
