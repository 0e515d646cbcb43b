"""The glossary's page defines; every other page's first use of a term links there, with the text.

One source: `docs/glossary.md`, a definition list. `saturated, saturation` defines one term under
two names; a plural with s is found too. Code, headings, links and formulas are left alone.
"""

import re
from html import escape
from typing import NamedTuple

import pieces
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

PAGE = "glossary.md"
# What the reader reads; the API's pages define their own words.
_FOLDERS = ("index.md", "guide/", "advanced/", "how-to/", "examples/")
_ENTRY = re.compile(r"^(?P<names>\S.*)\n\n?:[ ]+(?P<text>.+(?:\n[ ]{4}.+)*)", re.MULTILINE)


class Term(NamedTuple):
    """A term: its anchor on the glossary's page, its names, its definition as plain text."""

    anchor: str
    names: tuple[str, ...]
    text: str


class _Linker(NamedTuple):
    pattern: re.Pattern[str]
    terms: dict[str, Term]
    url: str


_linkers: list[_Linker] = []


def parse(markdown: str) -> list[Term]:
    """Return the terms that the glossary's page defines."""
    terms = []
    for entry in _ENTRY.finditer(markdown):
        names = tuple(name.strip() for name in entry["names"].split(","))
        terms.append(Term(anchor(names[0]), names, _plain(entry["text"])))
    return terms


def anchor(name: str) -> str:
    """Return the id of a term's entry."""
    return re.sub(r"[^\w-]+", "-", name.lower()).strip("-")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Read the definitions."""
    _linkers.clear()
    if file := files.get_file_from_path(PAGE):
        terms = parse(file.content_string)
        names = {name.lower(): term for term in terms for name in term.names}
        if twice := sorted(n for t in terms for n in t.names if names[n.lower()] is not t):
            raise ValueError(f"the glossary must define each name once; got {twice}")
        _linkers.append(_Linker(_pattern(names), names, file.url))


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Link the first use of each term; on the glossary's own page, set the anchors."""
    if not _linkers:
        return html
    if page.file.src_uri == PAGE:
        return re.sub(r"<dt>(.*?)</dt>", _entry, html)
    if page.file.src_uri.startswith(_FOLDERS):
        linker = _linkers[0]
        return linked(html, linker, get_relative_url(linker.url, page.url))
    return html


def linked(html: str, linker: _Linker, url: str) -> str:
    """Return the page with each term's first use in open text linked to its definition."""
    found: set[str] = set()

    def link(match: re.Match[str]) -> str:
        name = match[0].lower()
        term = linker.terms.get(name) or linker.terms[name.removesuffix("s")]
        if term.anchor in found:
            return match[0]
        found.add(term.anchor)
        title = escape(term.text)
        return f'<a class="term" href="{url}#{term.anchor}" title="{title}">{match[0]}</a>'

    return "".join(
        linker.pattern.sub(link, piece) if is_open else piece
        for piece, is_open in pieces.split(html)
    )


def _pattern(names: dict[str, Term]) -> re.Pattern[str]:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    either = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<![\w&#/.-])(?:{either})s?(?![\w-])", re.IGNORECASE)


def _entry(found: re.Match[str]) -> str:
    name = pieces.text(found[1]).split(",")[0]
    return f'<dt id="{anchor(name)}">{found[1]}</dt>'


def _plain(text: str) -> str:
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", " ".join(text.split()))
    return re.sub(r"[`*]", "", text)
