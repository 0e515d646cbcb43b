"""The formulas: TeX in pages and docstrings becomes HTML and MathML in the build.

pymdownx.arithmatex marks them. They are collected once every page is Markdown no longer, so that
one node process renders them all, and the reader's browser needs no script.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from html import escape, unescape
from pathlib import Path

import katex
from jinja2 import Environment
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import AnchorLink

log = logging.getLogger("mkdocs.hooks.formulas")

# The template links the stylesheet from here.
ASSETS = "assets/katex"
# Longer ones may be wider than a phone; they scroll, and the keyboard must reach what scrolls.
LONG = 30

_MARKED = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_IN_TITLE = re.compile(r"\\\((.*?)\\\)")
_PLACEHOLDER = re.compile(r'<(?:span|div) data-formula="(\d+)">.*?</(?:span|div)>')

# The HTML that takes the placeholders' place, by their number.
_shown: list[str] = []


def on_config(config: MkDocsConfig) -> None:
    """Have KaTeX ready."""
    katex.install()


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add KaTeX's stylesheet and fonts to the site."""
    for name, content in katex.assets().items():
        files.append(File.generated(config, f"{ASSETS}/{name}", content=content))


def on_env(env: Environment, config: MkDocsConfig, files: Files) -> None:
    """Render the formulas of all pages; leave readable text until the search index has read it."""
    _shown.clear()
    pages = [file.page for file in files.documentation_pages() if file.page and file.page.content]
    found = [[_formula(match) for match in _MARKED.finditer(page.content or "")] for page in pages]
    rendered = katex.render(formula for formulas in found for formula in formulas)
    for page, formulas in zip(pages, found, strict=True):
        for formula in dict.fromkeys(formulas):
            result = rendered[formula]
            if isinstance(result, katex.Rejected):
                _report(page, formula, result.reason, config)
        _put_text(page, rendered)


def on_page_context(context: dict, page: Page, config: MkDocsConfig, nav: object) -> dict:
    """Put the rendered formulas into the page, and tell the template which fonts they use."""
    page.content = _PLACEHOLDER.sub(lambda match: _shown[int(match[1])], page.content or "")
    context["formula_fonts"] = katex.faces(page.content)
    return context


def _formula(match: re.Match[str]) -> katex.Formula:
    return katex.Formula(unescape(match[3]).strip(), display=match[2] == "[")


def _put_text(page: Page, rendered: dict[katex.Formula, katex.Rendered | katex.Rejected]) -> None:
    def placeholder(match: re.Match[str]) -> str:
        formula = _formula(match)
        result = rendered[formula]
        if isinstance(result, katex.Rejected):
            return f'<code class="rejected">{escape(formula.tex)}</code>'
        _shown.append(_box(result) if formula.display else result.html)
        tag = "div" if formula.display else "span"
        return f'<{tag} data-formula="{len(_shown) - 1}">{escape(result.text)}</{tag}>'

    def text(match: re.Match[str]) -> str:
        result = rendered.get(katex.Formula(unescape(match[1]).strip(), display=False))
        return escape(result.text) if isinstance(result, katex.Rendered) else match[0]

    page.content = _MARKED.sub(placeholder, page.content or "")
    # MkDocs assigns its weak_property like this itself.
    page.title = _IN_TITLE.sub(text, str(page.title))  # pyright: ignore[reportAttributeAccessIssue]
    for item in _all_items(page.toc):
        item.title = _IN_TITLE.sub(text, item.title)


def _box(formula: katex.Rendered) -> str:
    focus = ' tabindex="0" role="group" aria-label="formula"' if len(formula.text) > LONG else ""
    return f'<div class="formula"{focus}>{formula.html}</div>'


def _all_items(items: Iterable[AnchorLink]) -> Iterator[AnchorLink]:
    for item in items:
        yield item
        yield from _all_items(item.children)


def _report(page: Page, formula: katex.Formula, reason: str, config: MkDocsConfig) -> None:
    log.error("%s: TeX: %s\n    %s", _place(page, formula, config), reason, formula.tex)


def _place(page: Page, formula: katex.Formula, config: MkDocsConfig) -> str:
    """Return file and line of a formula: in the page's source, or in a docstring it shows."""
    root = Path(config.config_file_path).parent
    source = Path(config.docs_dir, page.file.src_uri)
    first, *others = formula.tex.splitlines()
    if not formula.display:
        first = f"${first}" if others else f"${first}$"
    for path in (source, *sorted((root / "initguide").rglob("*.py"))):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for number, line in enumerate(text.splitlines(), 1):
            if first.strip() in line:
                return f"{path.relative_to(root).as_posix()}:{number}"
    return source.relative_to(root).as_posix()
