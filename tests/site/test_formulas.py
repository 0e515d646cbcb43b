"""Formulas are rendered in the build, once, and a wrong one stops it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import katex
import pytest
import sites

ROOT = sites.ROOT

CONFIG = """
site_name: Formulas
theme: {name: material, font: false}
extra_css: [assets/katex/katex.min.css]
hooks: [stages.py]
markdown_extensions:
  - toc: {permalink: true}
  - pymdownx.arithmatex: {generic: true}
plugins:
  - search
  - mkdocstrings: {handlers: {python: {paths: [.]}}}
"""
HOME = r"""
# The gain $\sqrt{2} < 2$

Inline $a<b$, and in a block

$$
\begin{aligned}
\mathbb{E}[x^2] &= \tfrac12 n \sigma_w^2 \\
&\approx \exp(\log 1) - \sin 0
\end{aligned}
$$

## Why $\sigma_w^2$

`$code$` is not a formula.
"""
API = "# API\n\n::: initguide.law\n"
LAW = '''
def law() -> float:
    r"""Return $\\frac{2}{n}$.

    $$\\operatorname{Var}[W] = \\frac{2}{n_\\text{in}}$$
    """
    return 2.0
'''
ENVIRONMENT = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}


class Site:
    """A small site, and what its last build said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**ENVIRONMENT, "INITGUIDE_CACHE": str(folder / "cache")}
        self.write("mkdocs.yml", CONFIG)
        self.write("stages.py", sites.hook("formulas", folder=ROOT / "scripts/site"))
        self.write("docs/index.md", HOME)
        self.write("docs/api.md", API)
        self.write("initguide/law.py", LAW)
        self.write("initguide/__init__.py", "")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.folder / "site" / name).read_text(encoding="utf-8")

    def build(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict"],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            encoding="utf-8",
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("formulas"))
    built = site.build()
    assert built.returncode == 0, built.stderr
    return site


@pytest.mark.parametrize(("page", "formulas"), [("index.html", 4), ("api/index.html", 2)])
def test_formulas_of_pages_and_docstrings_are_html_and_mathml(site, page, formulas):
    html = site.read(page)
    assert len(re.findall(r"<math[ >]", html)) == html.count('class="katex-html"') == formulas
    assert html.count('<div class="formula"') == 1
    assert "arithmatex" not in html
    assert "data-formula" not in html
    assert not re.findall(r'<script[^>]*"([^"]*katex[^"]*)"', html)


def test_the_fonts_of_a_page_are_those_of_its_formulas(site):
    html = site.read("index.html")
    assert katex.faces(html) == ["KaTeX_Main-Regular", "KaTeX_AMS-Regular", "KaTeX_Math-Italic"]
    assert katex.faces("<p>no formula</p>") == []
    for face in katex.faces(html):
        assert (site.folder / f"site/assets/katex/fonts/{face}.woff2").is_file()


def test_formulas_keep_only_the_classes_that_the_stylesheet_names(site):
    style = site.read("assets/katex/katex.min.css")
    formulas = re.findall(
        r'<span class="katex-html".*?(?=<math|</p>|</div>)', site.read("index.html")
    )
    found = [name for html in formulas for name in re.findall(r'class="([^"]*)"', html)]
    classes = {name for names in found for name in names.split()}
    assert {"mathnormal", "mathbb", "vlist"} < classes
    assert "mord" not in classes
    assert {name for name in classes if not re.search(rf"\.{name}\b", style)} == set()


def test_code_keeps_its_dollars(site):
    assert "<code>$code$</code>" in site.read("index.html")


def test_long_displays_are_reached_by_the_keyboard_and_short_ones_are_not_in_its_way(site):
    assert '<div class="formula" tabindex="0"' in site.read("index.html")
    assert '<div class="formula"><' in site.read("api/index.html")


def test_titles_contents_and_search_hold_readable_text(site):
    assert re.search(
        r'href="#why-[^"]*" class="md-nav__link">\s*<span[^>]*>\s*Why σ_w\^2\s',
        (site.read("index.html")),
    )
    sections = json.loads(site.read("search/search_index.json"))["docs"]
    home = next(section for section in sections if section["location"] == "")
    assert home["title"] == "The gain √2 &lt; 2"
    assert "Inline a &lt; b" in home["text"]
    assert "E[x^2] = 1/2nσ_w^2 ≈ exp(log1)−sin0" in home["text"]


def test_stylesheet_fonts_and_licence_are_part_of_the_site(site):
    style = site.read("assets/katex/katex.min.css")
    fonts = set(re.findall(r"url\(([^)]*\.woff2)\)", style))
    folder = site.folder / "site/assets/katex"
    assert fonts == {f"fonts/{path.name}" for path in (folder / "fonts").iterdir()}
    assert len(fonts) >= 20
    assert "MIT" in site.read("assets/katex/LICENSE.txt")
    # Relative, so that the site may live below any path.
    assert '<link rel="stylesheet" href="../assets/katex/katex.min.css">' in site.read(
        "api/index.html"
    )


def test_a_warm_build_starts_no_node(site):
    breaks_node = {"NODE_OPTIONS": "--require=/no/such/module.js"}
    warm = site.build(**breaks_node)
    assert warm.returncode == 0, warm.stderr
    cold = site.build(**breaks_node, INITGUIDE_CACHE=str(site.folder / "empty"))
    assert cold.returncode != 0
    assert "KaTeX stopped" in cold.stderr


def test_tex_errors_are_all_reported_with_file_line_and_formula(tmp_path):
    site = Site(tmp_path)
    site.write("docs/index.md", "# Home\n\nGood $x_1$.\n\nBad $\\frac{a$ and $x_$.\n")
    site.write("docs/other.md", "# Other\n\n$$\n\\nosuch{a}\n+ b\n$$\n")
    site.write("initguide/law.py", LAW.replace("{n}$.", "{n$."))
    for _ in range(2):  # An error is not cached.
        built = site.build()
        assert built.returncode != 0
        assert "docs/index.md:5: TeX: Unexpected end of input" in built.stderr
        assert "    \\frac{a" in built.stderr
        assert "docs/index.md:5: TeX: Expected group after '_'" in built.stderr
        assert "docs/other.md:4: TeX: Undefined control sequence: \\nosuch" in built.stderr
        assert "initguide/law.py:3: TeX: Unexpected end of input" in built.stderr
        assert "    \\frac{2}{n" in built.stderr
        assert "Aborted with 4 errors in strict mode" in built.stdout
