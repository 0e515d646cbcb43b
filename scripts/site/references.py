"""Citations lead to the bibliography, and the bibliography leads back.

A citation such as "He et al., 2015", "He et al. (2015)" or one with all authors becomes a link,
unless it is one already. Each entry of the bibliography lists the pages that cite it.
"""

import importlib.util
import re
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import pieces
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

PAGE = "references.md"
PAPERS = Path(__file__).resolve().parents[2] / "initguide" / "papers.py"

_CITED = re.compile(r'href="[^"]*references/#([a-z]+\d{4}[a-z]?)"')


def on_page_content(html: str, page: Page, files: Files, **_: object) -> str:
    """Link the citations that are not linked yet."""
    bibliography = files.get_file_from_path(PAGE)
    if bibliography is None or page.file.src_uri == PAGE:
        return html
    return linked(html, get_relative_url(bibliography.url, page.url))


def on_env(env: object, config: MkDocsConfig, files: Files) -> None:
    """List below each entry the pages that cite it."""
    bibliography = files.get_file_from_path(PAGE)
    if bibliography is None or bibliography.page is None:
        return
    here = bibliography.url
    citing: dict[str, list[Page]] = {}
    for file in files.documentation_pages():
        if file.page and file is not bibliography:
            for key in dict.fromkeys(_CITED.findall(file.page.content or "")):
                citing.setdefault(key, []).append(file.page)

    def entry(found: re.Match[str]) -> str:
        pages = [(at.title, get_relative_url(at.url, here)) for at in citing.get(found[2], [])]
        links = ", ".join(f'<a href="{url}">{escape(str(title))}</a>' for title, url in pages)
        return f'{found[1]}<span class="cited">Cited in {links}</span></p>' if links else found[0]

    page = bibliography.page
    page.content = re.sub(r'(<p id="([a-z0-9]+)">.*?)</p>', entry, page.content or "", flags=re.S)


def linked(html: str, url: str) -> str:
    """Return the page with its unlinked citations linked to the bibliography at `url`."""
    pattern, keys = _citations()

    def link(found: re.Match[str]) -> str:
        key = keys[_form(found[0])]
        return f'<a href="{url}#{key}">{found[0]}</a>'

    return "".join(
        pattern.sub(link, piece) if is_open else piece for piece, is_open in pieces.split(html)
    )


@lru_cache
def _citations() -> tuple[re.Pattern[str], dict[str, str]]:
    forms: dict[str, str] = {}
    ambiguous = set()
    for paper in _papers():
        for form in _forms(paper):
            if forms.setdefault(form, paper.key) != paper.key:
                ambiguous.add(form)
    keys = {form: key for form, key in forms.items() if form not in ambiguous}
    longest_first = sorted(keys, key=len, reverse=True)
    either = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest_first)
    return re.compile(rf"(?<![\w-])(?:{either})(?!\w)"), keys


def _forms(paper: Any) -> Iterator[str]:
    full = paper.authors.split(", ")
    last = [name.split()[-1] for name in full]
    who = [paper.authors, f"{full[0]} et al."] if len(full) > 2 else [paper.authors]
    who.append(f"{last[0]} et al." if len(last) > 2 else " and ".join(last))
    for name in who:
        yield f"{name} ({paper.year})"
        yield f"{name}, {paper.year}"


def _form(text: str) -> str:
    return " ".join(text.split())


def _papers() -> list[Any]:
    """Read the bibliography by its path: importing the package would bring torch."""
    spec = importlib.util.spec_from_file_location("papers", PAPERS)
    if spec is None or spec.loader is None or not PAPERS.exists():
        return []
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.PAPERS.values())
