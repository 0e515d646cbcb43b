"""Downloads: each page's code as one script, each page as Markdown, and llms.txt.

The script is the page's code without its printed output, which runs as it is. The Markdown is
beside the page, as `index.md`, with the numbers and figures that the build made.
"""

import posixpath
import re
import sys
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import cache
import fences
import griffe
import griffe_twins
import pieces
import printed
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

_FIGURE = re.compile(
    r"^[ \t]*//// html \| figure\n(?P<shown>.*?)^[ \t]*/// html \| figcaption\n(?P<caption>.*?)"
    r"^[ \t]*///\n\s*^[ \t]*////",
    re.DOTALL | re.MULTILINE,
)
_IMAGE = re.compile(r'<img src="([^"#]+)')
_REFERENCE = re.compile(r"\[(`[^`]+`|[^\]\n]+)\]\[initguide[\w.]*\]")
# Of images the addresses hold already: the build made them for the page's own.
_LINK = re.compile(r"(?<!!)(\[[^\]\n]*(?:\n[^\]\n]+)?\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
# In a tab it is indented.
DIRECTIVE = re.compile(r"^( *)::: (initguide[\w.]*)$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+?)(?: \{.*\})?$", re.MULTILINE)

_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
# Of a page's description: search engines show no more letters.
LONGEST = 155

# By the pages' paths below docs.
_markdown: dict[str, str] = {}
_scripts: dict[str, str] = {}
_navigation: list[Navigation] = []
# The package as griffe reads it, once per build, and the hashes of its sources.
_package: list[Any] = []
_sources: dict[str, str] = {}


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> None:
    """Keep the order of the pages."""
    _navigation[:] = [nav]
    _markdown.clear()
    _scripts.clear()
    _package.clear()
    _sources.clear()
    _sources.update(cache.hashes())


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Keep the page as Markdown, and its code."""
    uri = page.file.src_uri
    _markdown[uri] = plain(markdown, uri)
    if uri.endswith(".md") and (code := script(page.file.content_string)):
        _scripts[uri] = code


def on_page_context(context: dict, page: Page, config: MkDocsConfig, nav: object) -> dict:
    """Name the page's script for the template, and describe the page by its first paragraph."""
    uri = page.file.src_uri
    context["script_name"] = script_name(uri) if uri in _scripts else None
    first = _PARAGRAPH.search(page.content or "")
    page.meta.setdefault("description", escape(described(first[1] if first else "")))
    return context


def on_post_build(config: MkDocsConfig) -> None:
    """Write the files beside the pages, and the two that list them."""
    site = Path(config.site_dir)
    for uri, text in _markdown.items():
        path = site / _folder(uri)
        path.write_text(text, encoding="utf-8")
        if uri in _scripts:
            path.with_name(script_name(uri)).write_text(_scripts[uri], encoding="utf-8")
    root = config.site_url or ""
    (site / "llms.txt").write_text(index(_navigation[0], config, root), encoding="utf-8")
    uris = [page.file.src_uri for page in _navigation[0].pages]
    full = "\n\n".join(_markdown[uri].strip() for uri in uris if not uri.startswith("api/"))
    (site / "llms-full.txt").write_text(f"{full}\n", encoding="utf-8")


def script(markdown: str) -> str:
    """Return a page's code as a script in cells, each below the heading it stood under."""
    cells, heading, title = [], "", ""
    for part in fences.parse(markdown):
        if isinstance(part, str) and (found := _HEADING.findall(part)):
            heading, title = found[-1], title or found[0]
        elif isinstance(part, fences.Fence) and part.step:
            cells.append(f"# %% {heading}\n{printed.without(part.step.source)}")
    if not cells:
        return ""
    if any("matplotlib.pyplot as plt" in cell for cell in cells):
        cells.append("# %%\nplt.show()\n")
    return "\n".join([f"# {title}: the page's code, from top to bottom.\n", *cells])


def plain(markdown: str, uri: str) -> str:
    """Return a page's Markdown as any reader of Markdown understands it."""
    here = posixpath.dirname(_folder(uri))

    def figure(found: re.Match[str]) -> str:
        caption = " ".join(found["caption"].split())
        if image := _IMAGE.search(found["shown"]):
            return f"![{caption}]({image[1]})"
        return f"{found['shown'].strip()}\n\n*{caption}*"

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(uri), found[2]))
        # An example's script is a page; below that page's folder it is a file.
        page = target.endswith(".md") or re.fullmatch(r"examples/[^/]+\.py", target)
        path = posixpath.relpath(_folder(target) if page else target, here or ".")
        return f"{found[1]}{path}{found[3] or ''})"

    text = _FIGURE.sub(figure, markdown)
    text = _REFERENCE.sub(r"\1", _LINK.sub(link, text))

    def documented(found: re.Match[str]) -> str:
        return textwrap.indent(_documented(found[2]), found[1])

    return DIRECTIVE.sub(documented, text).strip() + "\n"


def described(paragraph: str) -> str:
    """Return the text of a paragraph, cut at a word."""
    text = " ".join(pieces.text(paragraph).split())
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def index(nav: Navigation, config: MkDocsConfig, root: str) -> str:
    """Return llms.txt: each page in order, its first paragraph, and where its Markdown is."""
    head = f"# {config.site_name}\n\n> {config.site_description}\n"
    return "\n".join([head, *_listed(nav.items, root)]) + "\n"


def _listed(items: Any, root: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Section):
            yield f"\n## {item.title}\n"
            yield from _listed(item.children, root)
        elif isinstance(item, Page):
            uri = item.file.src_uri
            yield f"- [{item.title}]({root}{_folder(uri)}): {_first(_markdown[uri])}"


def _first(markdown: str) -> str:
    """Return the first paragraph below the title, on one line."""
    paragraphs = (block.strip() for block in markdown.split("\n\n"))
    said = next((p for p in paragraphs if p and not re.match(r"[#!|<>-]|```|\?\?\?", p)), "")
    return " ".join(re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", said).split())


def _folder(uri: str) -> str:
    """Return where a page's Markdown is in the site: `guide/x.md` at `guide/x/index.md`."""
    stem = uri.rsplit(".", 1)[0]
    return "index.md" if stem == "index" else f"{stem.removesuffix('/index')}/index.md"


def script_name(uri: str) -> str:
    """Return the file name of a page's script, which must not be that of a module of Python."""
    name = posixpath.basename(posixpath.dirname(_folder(uri))) or "home"
    return f"{name}_page.py" if name in sys.stdlib_module_names else f"{name}.py"


def _documented(name: str) -> str:
    """Return an object's signature and docstring, read from its source, or from the cache."""
    key = cache.key("documented", repr(_sources), name)
    text = cache.load(key)
    if text is None:
        if not _package:
            # As mkdocstrings reads it: see mkdocs.yml.
            twins = griffe.load_extensions(griffe_twins.Twins)
            _package.append(griffe.load("initguide", search_paths=[cache.ROOT], extensions=twins))
        text = _written(name, _package[0][name.removeprefix("initguide.")])
        cache.store(key, text)
    return text


def _written(name: str, found: Any) -> str:
    """Return the signature and the docstring as Markdown."""
    target = found.final_target if isinstance(found, griffe.Alias) else found
    short = name.rsplit(".", 1)[-1]
    signature = target.signature() if isinstance(target, griffe.Function) else short
    docstring = _REFERENCE.sub(r"\1", target.docstring.value) if target.docstring else ""
    return f"## {name}\n\n```python\n{signature}\n```\n\n{docstring}"
