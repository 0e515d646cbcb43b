"""What leaves the site: scripts, Markdown, lists for machines, a picture, paper, and the policy."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import policy
import printing
import pytest
import redirects
import references
import sites
import take_home
from PIL import Image
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]

# A page with tabs, printed output, a table and figures.
DOWNLOADED = "guide/summary"


# Scripts -----------------------------------------------------------------------------------------

PAGE = """\
# Title

```python
import matplotlib.pyplot as plt
print(1)
#> 1
```

## Heading {#own}

=== "Tab"

    ```python
    x = 2
    ```

```python {test="skip"}
not shown to run
```
"""


def test_a_script_is_the_code_in_cells_without_output():
    assert take_home.script(PAGE) == (
        "# Title: the page's code, from top to bottom.\n\n"
        "# %% Title\nimport matplotlib.pyplot as plt\nprint(1)\n\n"
        "# %% Heading\nx = 2\n\n# %%\nplt.show()\n"
    )
    assert take_home.script("# Only\n\ntext") == ""


def test_the_name_of_a_script_hides_no_module_of_python():
    names = {"guide/methods/random.md": "random_page.py", "guide/methods/he.md": "he.py"}
    assert {uri: take_home.script_name(uri) for uri in names} == names
    assert take_home.script_name("index.md") == "home.py"


def test_a_downloaded_script_runs(site: Path, tmp_path: Path):
    page = (site / DOWNLOADED / "index.html").read_text(encoding="utf-8")
    (name,) = re.findall(r'<a href="([\w-]+\.py)" download', page)
    script = (site / DOWNLOADED / name).read_text(encoding="utf-8")
    assert "#>" not in script
    source = (ROOT / "docs" / f"{DOWNLOADED}.md").read_text(encoding="utf-8")
    assert script.count("\n# %%") >= source.count("```python")
    run_in(tmp_path, site / DOWNLOADED / name)


def run_in(folder: Path, *arguments: str | Path) -> str:
    """Run Python in a folder without windows, and return what it prints."""
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


SHOWN = """
import contextlib, io, runpy, sys
import matplotlib.pyplot as plt

shown = []
plt.show = lambda: shown.extend(plt.get_fignums())
for path in sys.argv[1:]:
    shown.clear()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(path, run_name="__main__")
    print(len(shown), len(printed.getvalue().splitlines()))
    plt.close("all")
"""


def test_the_script_of_every_example_runs_and_shows_its_result(site: Path, tmp_path: Path):
    scripts = sorted((site / "examples").glob("*/*.py"))
    assert len(scripts) == len(list((ROOT / "docs/examples").glob("*.py")))
    lines = run_in(tmp_path, "-c", SHOWN, *scripts).splitlines()
    for path, line in zip(scripts, lines, strict=True):
        figures, printed = map(int, line.split())
        assert figures, path.name
        has_table = "<!-- table:" in (ROOT / "docs/examples" / path.name).read_text("utf-8")
        assert printed or not has_table, path.name


# Markdown and lists ------------------------------------------------------------------------------


def test_markdown_stands_without_the_sites_own_syntax():
    woven = (
        "See [He](he.md#law) and [`f_`][initguide.f_], [out](https://a.b/c.md).\n\n"
        '//// html | figure\n\n<img src="../../../assets/figures/a.light.svg#only-light" alt="x">\n'
        '<img src="../../../assets/figures/a.dark.svg#only-dark" alt="x">\n\n'
        "/// html | figcaption\n\nIt\nfalls.\n\n///\n\n////\n\n[up](../summary.md), "
        "[over\ntwo](../x/y.ipynb)\n"
    )
    assert take_home.plain(woven, "guide/methods/xavier.md") == (
        "See [He](../he/index.md#law) and `f_`, [out](https://a.b/c.md).\n\n"
        "![It falls.](../../../assets/figures/a.light.svg)\n\n[up](../../summary/index.md), "
        "[over\ntwo](../../x/y.ipynb)\n"
    )


def test_every_page_has_its_markdown_whose_links_lead_somewhere(site: Path):
    broken = []
    for page in site.rglob("index.html"):
        address = f"{page.parent.relative_to(site).as_posix()}/"
        if address == "print/" or address in redirects.MOVED:
            continue
        text = page.with_name("index.md").read_text(encoding="utf-8")
        assert "html | figcaption" not in text
        assert "<!-- figure" not in text
        assert not re.search(r"^ *::: ", text, re.MULTILINE), page
        assert "][initguide." not in re.sub(r"```.*?```", "", text, flags=re.DOTALL), page
        prose = re.sub(r"```.*?```|`[^`\n]*`|\$[^$]*\$", "", text, flags=re.DOTALL)
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)\s#]+)", prose):
            if not (page.parent / link).exists():
                broken.append(f"{page.parent.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)


def test_llms_txt_lists_every_page_once(site: Path, pages: list[str]):
    text = (site / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[.+?\]\(([^)]+)\): \S", text, re.MULTILINE)
    assert sorted(listed) == sorted(f"{url}index.md" for url in pages if url != "print/")
    assert text.startswith("# ")
    full = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert len(full) > 1000
    assert full.count("\n# ") >= 3


# Citations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("He et al., 2015", "he2015"),
        ("He et al. (2015)", "he2015"),
        ("Glorot and\nBengio (2010)", "glorot2010"),
        ("X. Glorot, Y. Bengio (2010)", "glorot2010"),
        ("Martens (2010)", "martens2010"),
    ],
)
def test_a_citation_is_linked(text: str, key: str):
    linked = references.linked(f"<p>({text}) says</p>", "../references/")
    assert linked == f'<p>(<a href="../references/#{key}">{text}</a>) says</p>'


@pytest.mark.parametrize(
    "html",
    ['<a href="x">He et al., 2015</a>', "<code>He et al., 2015</code>", "<p>She et al., 2099</p>"],
)
def test_nothing_else_is_linked(html: str):
    assert references.linked(html, "r/") == html


def test_no_citation_is_without_its_link(site: Path):
    cited = r"[A-Z][\wéÀ-ÿ-]+(?: et al\.|(?:,| and) [A-Z][\w. -]+)?,? \(?(?:19|20)\d\d\b\)?"
    unlinked = []
    for path in site.rglob("index.html"):
        if path.parent.name in ("print", "references"):
            continue
        content = (
            path.read_text(encoding="utf-8").partition("<article")[2].partition("</article")[0]
        )
        for closed in ("a", "pre", "code", "h1", "h2", "svg", "math"):
            content = re.sub(rf"<{closed}\b.*?</{closed}>", "", content, flags=re.DOTALL)
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", content))
        for found in re.findall(rf"(?:{cited})", text):
            if re.search(r"et al\.| and |^[A-Z][\w-]+ \(", found):
                unlinked.append(f"{path.parent.relative_to(site)}: {found}")
    assert not unlinked, "\n".join(unlinked)


def test_the_bibliography_leads_back(site: Path):
    page = (site / "references/index.html").read_text(encoding="utf-8")
    he = page.partition('id="he2015"')[2].partition("</li>")[0]
    assert 'Cited in <a href="../' in he
    for href in re.findall(r'href="(\.\./[^"#]*)"', he):
        assert "references/#he2015" in (site / "references" / href / "index.html").read_text()


# Shared links ------------------------------------------------------------------------------------


def test_a_description_is_cut_at_a_word():
    assert take_home.described("One <em>short</em> &amp; plain.") == "One short & plain."
    long = take_home.described("word " * 60)
    assert len(long) <= take_home.LONGEST
    assert long.endswith("word…")


def test_an_old_address_leads_to_the_new_page(site: Path):
    for old, new in redirects.MOVED.items():
        text = (site / old / "index.html").read_text(encoding="utf-8")
        assert "Content-Security-Policy" in text
        targets = re.findall(r'(?:url=|href=")([^"]+index\.html)"', text)
        assert len(targets) == 3
        assert not (ROOT / "docs" / f"{old.rstrip('/')}.md").exists()
        for target in targets:
            assert (site / old / target).resolve() == (site / new / "index.html").resolve()


@pytest.mark.parametrize("script", [True, False])
def test_a_browser_follows_the_move(browser: Browser, address: str, site: Path, script: bool):
    old, new = next(iter(redirects.MOVED.items()))
    context = browser.new_context(java_script_enabled=script)
    page = context.new_page()
    for start in (address, f"file://{site.resolve()}/"):
        page.goto(f"{start}{old}index.html")
        page.wait_for_url(f"{start}{new}index.html")
    context.close()


def test_a_move_without_a_target_fails_the_build(tmp_path: Path):
    root = sites.make(tmp_path, {"docs/index.md": "# Home\n"}, modules=("pages", "redirects"))
    sites.copy_theme(root)
    code, log = sites.build(root)
    assert code != 0
    assert "guide/methods/icnr/ must lead to a page of the site; got advanced/icnr/" in log


def test_with_an_address_each_page_has_the_picture(tmp_path: Path):
    pages = {"index": "# Home\n\nA page & its text.\n", "deep/er": "# Deeper\n\nOh.\n"}
    files = {f"docs/{name}.md": text for name, text in pages.items()}
    settings = {
        "site_url": "https://example.org/below/",
        "extra": {"feedback": "https://example.org/new?kind=page"},
    }
    root = sites.make(tmp_path, files, modules=("pages", "take_home"), settings=settings)
    sites.copy_theme(root)
    code, log = sites.build(root)
    assert code == 0, log
    page = (root / "site/deep/er/index.html").read_text(encoding="utf-8")
    shown = dict(re.findall(r'<meta (?:property|name)="([\w:]+)" content="([^"]*)"', page))
    assert shown["og:image"] == "https://example.org/below/assets/card.png"
    assert shown["og:url"] == "https://example.org/below/deep/er/"
    assert shown["og:title"] == "Deeper"
    assert shown["description"] == shown["og:description"] == "Oh."
    feedback = "https://example.org/new?kind=page&amp;title=Deeper&amp;body=Page%3A%20deep/er/"
    assert f'href="{feedback}"' in page
    home = (root / "site/index.html").read_text(encoding="utf-8")
    assert 'content="A page &amp; its text."' in home


def test_the_picture_has_the_size_that_the_pages_name(site: Path):
    card = site / "assets/card.png"
    with Image.open(card) as image:
        assert image.size == (1200, 630)
    assert card.stat().st_size < 40_000


def test_without_an_address_nothing_is_promised(site: Path):
    page = (site / "index.html").read_text(encoding="utf-8")
    assert 'property="og:title"' in page
    assert "og:image" not in page
    assert "Something wrong" not in page


# Paper -------------------------------------------------------------------------------------------


def test_moved_links_stay_whole():
    names = {"guide/a/": "guide-a", "guide/b/": "guide-b"}
    html = (
        '<h2 id="x">X<a href="#x">¶</a></h2><a href="../b/">b</a><a href="../b/#y">y</a>'
        '<a href="../../api/">api</a><img src="../../assets/f.light.svg#only-light" loading="lazy">'
        '<img src="../../assets/f.dark.svg#only-dark"><a href="https://e.org/">e</a>'
        '<input id="t" name="tabs"><label for="t">'
    )
    assert printing.moved(html, "guide/a/", names) == (
        '<h2 id="guide-a--x">X<a href="#guide-a--x">¶</a></h2><a href="#guide-b">b</a>'
        '<a href="#guide-b--y">y</a><a href="../api/">api</a><img src="../assets/f.light.svg">'
        '<a href="https://e.org/">e</a>'
        '<input id="guide-a--t" name="guide-a--tabs"><label for="guide-a--t">'
    )


def test_paper_leaves_out_the_code_behind_a_figure_and_what_moves():
    html = (
        '<details class="code"><summary>The code that draws this figure</summary><pre>a</pre>'
        '</details>\n<figure></figure><details class="code"><summary>In NumPy</summary>b</details>'
        '<div class="playground" data-settings="depth=10"><p>live</p></div><p>end</p>'
    )
    assert printing.moved(html, "guide/a/", {"guide/a/": "guide-a"}) == (
        '<figure></figure><details class="code"><summary>In NumPy</summary>b</details>'
        "<p>(Here the site has a live figure.)</p><p>end</p>"
    )


def test_the_whole_module_is_one_page_whose_links_lead_somewhere(site: Path, pages: list[str]):
    page = (site / "print/index.html").read_text(encoding="utf-8")
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    parts = {printing.slug(url) for url in pages if url.startswith("guide/")}
    assert parts <= set(ids)
    assert "The code that draws" not in page
    assert 'class="playground"' not in page
    nav = re.findall(r"guide/([\w/-]+)\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    order = [printing.slug(f"guide/{name.removesuffix('/index')}") for name in nav]
    assert re.findall(r'<li><a href="#([\w-]+)">[^<]*</a></li>', page)[: len(order)] == order
    within = re.findall(r'href="#([^"]+)"', page)
    assert set(within) <= set(ids)
    for link in re.findall(r'(?:href|src)="(\.\./[^"#]*)', page):
        assert (site / "print" / link).exists(), link
    assert 'name="robots" content="noindex"' in page
    search = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    assert not [doc for doc in search["docs"] if doc["location"].startswith("print/")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_white_and_shows_what_was_folded(browser: Browser, address: str, scheme):
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    assert (
        page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(31, 41, 51)"
    )
    hidden = [".md-header", ".md-tabs", ".md-sidebar", ".md-footer", ".page-end", ".enlarge"]
    assert [name for name in hidden if page.locator(name).first.is_visible()] == []
    assert page.locator("details.code pre").first.is_visible()
    figure = page.locator("figure img:visible")
    assert "light" in (figure.first.get_attribute("src") or "")
    context.close()


def test_a_page_becomes_a_pdf(browser: Browser, address: str):
    page = browser.new_page()
    page.goto(f"{address}{DOWNLOADED}/")
    pdf = page.pdf(format="A4")
    page.close()
    assert pdf.startswith(b"%PDF")
    sheets = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 2 <= sheets <= 20


# Policy ------------------------------------------------------------------------------------------


def test_the_policy_names_what_stands_inline():
    page = (
        '<!doctype html><head><meta charset="utf-8">\n<script>let a</script><script src="x.js">'
        '</script><script type="application/json">{}</script><style>p{}</style>'
    )
    said = policy.policy(page)
    # openssl dgst -sha256 -binary | base64
    script = "'sha256-" + _openssl("let a") + "'"
    style = "'sha256-" + _openssl("p{}") + "'"
    assert f"script-src 'self' {script};" in said
    assert f"style-src 'self' {style};" in said
    assert "unsafe-inline" not in said.replace("style-src-attr 'unsafe-inline'", "")
    guarded = policy.guarded(page)
    assert guarded.index("Content-Security-Policy") < guarded.index("<script>")
    assert said in guarded
    for unfit in ("<p>", page.replace("<head>", "<head><script>let b</script>")):
        with pytest.raises(ValueError, match=r"a page must begin with <meta charset"):
            policy.guarded(unfit)


def _openssl(text: str) -> str:
    command = "openssl dgst -sha256 -binary | openssl base64 -A"
    ran = subprocess.run(command, shell=True, input=text.encode(), capture_output=True, check=True)
    return ran.stdout.decode()


def test_headers_say_what_a_page_cannot(site: Path):
    lines = (site / "_headers").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "/*"
    assert "  Content-Security-Policy: frame-ancestors 'none'" in lines


def test_every_page_works_under_its_policy(browser: Browser, address: str, pages: list[str]):
    context = browser.new_context()
    page = context.new_page()
    violations: list[str] = []
    page.on("console", lambda said: violations.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: violations.append(str(error)))
    for url in [*pages, "404.html"]:
        page.goto(address + url)
        assert page.evaluate("document.styleSheets.length"), url
        assert page.locator("meta[http-equiv=Content-Security-Policy]").count() == 1, url
    # And what the reader does: search, enlarge, copy, change the palette.
    page.goto(f"{address}guide/methods/xavier/")
    page.get_by_role("button", name="Enlarge the figure").first.click()
    page.keyboard.press("Escape")
    page.locator(".md-code__button:visible").first.click()
    page.keyboard.press("/")
    page.keyboard.type("Xavier")
    page.wait_for_selector(".md-search-result__link")
    page.keyboard.press("Escape")
    page.locator("label[for^=__palette]:visible").click()
    page.locator(".playground").scroll_into_view_if_needed()
    page.wait_for_selector(".playground[data-shown]", timeout=60_000)
    assert not violations, "\n".join(violations)
    context.close()


@pytest.mark.parametrize(
    "url", ["", "guide/methods/xavier/", "examples/he-2015/", "playground/", "print/", "404.html"]
)
def test_a_page_refuses_an_inline_script_that_is_not_its_own(
    browser: Browser, address: str, url: str
):
    page = browser.new_page()
    page.goto(address + url)
    with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'),"
            " {textContent: 'window.ran = 1'}))"
        )
    assert page.evaluate("window.ran") is None
    page.close()
