"""What is rendered is kept: a page's HTML is made anew only if something that decides it changed.

Three steps of a build are slow: Markdown becomes HTML, our stages link terms and citations in it,
and the search plugin reads it. What each gives is stored under a key of all that decides it. A page
with a warning is not stored, so the next build warns again.

This file holds all that we know of the inside of MkDocs's pages and of three plugins. The test of
this module builds a site from nothing and from the cache, and compares every byte.
"""

import importlib.metadata
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cache
import serving
import take_home
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import AnchorLink, TableOfContents
from mkdocs.utils import CountHandler

# Under `mkdocs serve` the reader waits no longer than this for the pages that nobody asked for.
SECONDS_PER_BUILD = 5

_DISTRIBUTIONS = (
    *("mkdocs", "mkdocs-material", "mkdocs-autorefs", "mkdocstrings", "mkdocstrings-python"),
    *("griffelib", "markdown", "pymdown-extensions", "pygments", "jinja2"),
)
# Links never lead there, and a page that draws one figure more changes no other page.
_FIGURES = "assets/figures/"


class Rendered(NamedTuple):
    """A page's HTML, and what rendering it tells MkDocs, mkdocs-autorefs and mkdocstrings."""

    content: str
    toc: TableOfContents
    title: str | None
    anchors: set[str]
    # Links to other pages' anchors, as written, by page and anchor.
    links: dict[str, dict[str, str]]
    # What autorefs can link to, as arguments of `register_anchor`.
    registered: list[tuple[tuple[Any, ...], dict[str, Any]]]
    # The objects of the inventory.
    inventory: list[dict[str, Any]]


class _Build:
    """What all keys of a build have in common, and how long it has rendered."""

    common = ""
    sources = ""
    seconds = 0.0
    stubs = 0


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Hash what may change any page: settings, links' targets, versions, and the site's code."""
    now = cache.hashes()
    targets = sorted(
        f"{file.src_uri} {file.url}" for file in files if not file.src_uri.startswith(_FIGURES)
    )
    settings = cache.hash_of(Path(config.config_file_path))
    site = [f"{name} {value}" for name, value in now.items() if name.startswith("scripts/")]
    _Build.common = cache.key(
        "common", settings, str(config.site_url), _versions(), *targets, *site
    )
    package = [f"{name} {value}" for name, value in now.items() if not name.startswith("scripts/")]
    _Build.sources = cache.key("package", *package)
    _Build.seconds = _Build.stubs = 0
    _keep_search_entries(config)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Have the page rendered from the cache, if the entry still holds."""
    # Only these pages show the package's docstrings.
    sources = _Build.sources if take_home.DIRECTIVE.search(markdown) else ""
    key = cache.key("page", _Build.common, sources, page.file.src_uri, repr(page.meta), markdown)

    def render(config: MkDocsConfig, files: Files) -> None:
        kept = cache.load(key)
        if kept is not None:
            _give(kept, page, config, files)
        elif _may_wait(page):
            kept = _stub(markdown)
            _give(kept, page, config, files)
            page.present_anchor_ids = None
            _Build.stubs += 1
        else:
            kept = _render_and_keep(key, page, config, files)
        _give_inventory(kept, config)

    page.render = render


def content(*stages: Callable[..., str | None]) -> Callable[..., str]:
    """Return one stage that changes a page's HTML as these stages do, one after the other.

    They may depend on the page's address, the glossary and the bibliography, and on nothing else.
    """

    def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
        glossary = files.get_file_from_path("glossary.md")
        terms = glossary.content_string if glossary else ""
        papers = cache.hash_of(cache.ROOT / "initguide" / "papers.py")
        key = cache.key("content", _Build.common, page.file.src_uri, terms, papers, html)
        kept = cache.load(key)
        if kept is None:
            kept = html
            for stage in stages:
                kept = stage(kept, page=page, config=config, files=files) or kept
            cache.store(key, kept)
        return kept

    return on_page_content


def on_post_build(config: MkDocsConfig) -> None:
    """Build again soon if some pages have been left for later."""
    if _Build.stubs:
        serving.build_again()


def is_complete() -> bool:
    """Return whether every page has been rendered so far."""
    return not _Build.stubs


def _render_and_keep(key: str, page: Page, config: MkDocsConfig, files: Files) -> Rendered:
    """Render the page, and keep the result unless there was a warning."""
    started = time.monotonic()
    warnings = CountHandler(level=logging.WARNING)
    logging.getLogger("mkdocs").addHandler(warnings)
    try:
        made = _render(page, config, files)
    finally:
        logging.getLogger("mkdocs").removeHandler(warnings)
    if not warnings.counts:
        cache.store(key, made)
    _Build.seconds += time.monotonic() - started
    return made


def _render(page: Page, config: MkDocsConfig, files: Files) -> Rendered:
    """Render the page as MkDocs does, and note all that it tells others."""
    anchors: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    autorefs: Any = config.plugins.get("autorefs")
    handlers: Any = getattr(config.plugins.get("mkdocstrings"), "handlers", None)
    inventory = handlers and handlers.inventory
    if autorefs:
        register = autorefs.register_anchor

        def register_and_note(page: Page, *args: Any, **kwargs: Any) -> None:
            anchors.append((args, kwargs))
            register(page, *args, **kwargs)

        autorefs.register_anchor = register_and_note
    if handlers:
        # A page adds only names that are missing, so each page gets an empty inventory.
        handlers.inventory = type(inventory)()
    try:
        Page.render(page, config, files)
        objects = [vars(item) for item in handlers.inventory.values()] if handlers else []
    finally:
        if autorefs:
            del autorefs.register_anchor
        if handlers:
            handlers.inventory = inventory
    return Rendered(
        page.content or "",
        page.toc,
        page._title_from_render,
        page.present_anchor_ids or set(),
        {file.src_uri: links for file, links in (page.links_to_anchors or {}).items()},
        anchors,
        objects,
    )


def _give(kept: Rendered, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Do everything that rendering the page would have done, except for the inventory."""
    page.content = kept.content
    page.toc = kept.toc
    page._title_from_render = kept.title
    page.present_anchor_ids = kept.anchors
    page.links_to_anchors = {
        file: anchors for uri, anchors in kept.links.items() if (file := files.src_uris.get(uri))
    }
    autorefs: Any = config.plugins.get("autorefs")
    for args, kwargs in kept.registered:
        autorefs.register_anchor(page, *args, **kwargs)


def _give_inventory(kept: Rendered, config: MkDocsConfig) -> None:
    """List the page's objects: under their own names always, under others if these are free."""
    if not kept.inventory:
        return
    handlers: Any = config.plugins["mkdocstrings"].handlers  # pyright: ignore[reportAttributeAccessIssue]
    # The stylesheet and the inventory are written for the handlers that have been used.
    handlers.get_handler("python")
    for item in kept.inventory:
        if item["priority"] == 1 or item["name"] not in handlers.inventory:
            handlers.inventory.register(**item)


def _may_wait(page: Page) -> bool:
    over = _Build.seconds > SECONDS_PER_BUILD
    return serving.is_on() and over and not serving.was_asked_for(page.url)


def _stub(markdown: str) -> Rendered:
    """Return the placeholder of a page that is rendered later: its title."""
    title = next((line[2:] for line in markdown.splitlines() if line.startswith("# ")), "")
    title = title.partition(" {")[0]
    toc = TableOfContents([AnchorLink(title, "", 1)])
    text = f'<h1>{title}</h1>\n<p class="later">This page is being made.</p>'
    return Rendered(text, toc, title or None, set(), {}, [], [])


def _keep_search_entries(config: MkDocsConfig) -> None:
    """Have the search plugin read only pages that it has not read before."""
    plugin: Any = config.plugins.get("search") or config.plugins.get("material/search")
    index: Any = getattr(plugin, "search_index", None)
    if not hasattr(index, "add_entry_from_context") or not hasattr(index, "entries"):
        return
    read = index.add_entry_from_context

    def add_entries(page: Page) -> None:
        parts = (page.url, str(page.title), repr(page.meta), page.content or "")
        key = cache.key("search", _Build.common, *parts)
        entries = cache.load(key)
        if entries is None:
            before = len(index.entries)
            read(page)
            entries = index.entries[before:]
            cache.store(key, entries)
        else:
            index.entries.extend(entries)

    index.add_entry_from_context = add_entries


@lru_cache
def _versions() -> str:
    return repr([importlib.metadata.version(name) for name in _DISTRIBUTIONS])
