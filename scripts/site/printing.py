"""The whole module on one page, to print or to keep as a PDF: `print/`.

It holds the guide's pages in the order of the nav. Each anchor begins with the name of its page,
and links between the pages stay inside it. It is not in the nav. Search and robots leave it out.

Paper shows figures and tables without the code behind them, and no figures that move.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

FOLDER = "guide/"
URL = "print/"

_ATTRIBUTE = re.compile(r'(?<=\s)(id|for|name|aria-labelledby|aria-describedby)="([^"]+)"')
_ADDRESS = re.compile(r'(?<=\s)(href|src)="([^"]*)"')
_DARK = re.compile(r'<img [^>]*#only-dark"[^>]*>\s*')
_CODE_BEHIND = re.compile(
    r'<details class="code">\s*<summary>The code that .*?</details>\s*', re.DOTALL
)
_LIVE = re.compile(r'<div class="playground"[^>]*>.*?</div>', re.DOTALL)

# By the page's place in the nav.
_contents: dict[int, tuple[Page, str]] = {}


def on_config(config: MkDocsConfig) -> None:
    """Forget the build before."""
    _contents.clear()


def on_page_context(context: dict, page: Page, config: MkDocsConfig, nav: Navigation) -> None:
    """Keep the finished content of a page of the module."""
    if page.file.src_uri.startswith(FOLDER):
        _contents[nav.pages.index(page)] = (page, page.content or "")


def on_post_build(config: MkDocsConfig) -> None:
    """Write the page."""
    # Pages are built by the names of their files.
    contents = [content for _, content in sorted(_contents.items())]
    names = {page.url: slug(page.url) for page, _ in contents}
    parts = [
        {"title": page.title, "name": names[page.url], "content": moved(text, page.url, names)}
        for page, text in contents
    ]
    template = config.theme.get_env().get_template("print.html")
    path = Path(config.site_dir, URL, "index.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Their names hold a hash of their content.
    page = template.render(config=config, parts=parts)
    path.write_text(page, encoding="utf-8")


def slug(url: str) -> str:
    """Return a page's name in the anchors."""
    return url.strip("/").replace("/", "-")


def moved(html: str, url: str, names: dict[str, str]) -> str:
    """Return a page's content as it stands among the others, below `print/`."""
    own = names[url]

    def attribute(found: re.Match[str]) -> str:
        values = " ".join(f"{own}--{value}" for value in found[2].split())
        return f'{found[1]}="{values}"'

    def address(found: re.Match[str]) -> str:
        return f'{found[1]}="{_address(found[2], url, names)}"'

    still = _LIVE.sub("<p>(Here the site has a live figure.)</p>", _CODE_BEHIND.sub("", html))
    light = _DARK.sub("", still).replace(' loading="lazy"', "").replace("#only-light", "")
    return re.sub(
        r"<[a-zA-Z][^<>]*>",
        lambda tag: _ADDRESS.sub(address, _ATTRIBUTE.sub(attribute, tag[0])),
        light,
    )


def _address(link: str, url: str, names: dict[str, str]) -> str:
    if re.match(r"[a-z]+:", link):
        return link
    path, _, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(url, path)) if path else url.rstrip("/")
    page = f"{target}/"
    if page in names:
        return f"#{names[page]}--{anchor}" if anchor else f"#{names[page]}"
    moved_path = posixpath.relpath(target, URL) + ("/" if path.endswith("/") else "")
    return f"{moved_path}#{anchor}" if anchor else moved_path
