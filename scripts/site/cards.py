"""How a link to a page looks elsewhere: a description from its first paragraph, and a card.

Cards are drawn only where the site's address is known, for their address must be a full one; each
is kept until what it shows, or the code that draws it, changes.
"""

import hashlib
import json
import re
import subprocess
import sys
from html import escape
from pathlib import Path

import cache
import pieces
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

DRAW = Path(__file__).resolve().with_name("draw_cards.py")
LONGEST = 155

_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)

# What to draw, by the card's path in the site.
_cards: dict[str, dict[str, str]] = {}


def on_config(config: MkDocsConfig) -> None:
    """Forget the build before."""
    _cards.clear()


def on_page_context(context: dict, page: Page, config: MkDocsConfig, nav: object) -> dict:
    """Describe the page, and order its card."""
    first = _PARAGRAPH.search(page.content or "")
    page.meta.setdefault("description", escape(described(first[1] if first else "")))
    if config.site_url:
        uri = f"assets/cards/{Path(page.file.src_uri).with_suffix('.png').as_posix()}"
        title = pieces.text(str(page.title))
        _cards[uri] = {"title": title, "site": config.site_name}
        context["card"] = uri
    return context


def on_post_build(config: MkDocsConfig) -> None:
    """Draw what is not in the cache, all in one process that has matplotlib."""
    keys = {uri: _key(card) for uri, card in _cards.items()}
    drawn = {key: cache.load(key) for key in keys.values()}
    if missing := {key: _cards[uri] for uri, key in keys.items() if drawn[key] is None}:
        ran = subprocess.run(
            [sys.executable, str(DRAW)],
            input=json.dumps(missing),
            capture_output=True,
            check=True,
            encoding="utf-8",
            cwd=cache.ROOT,
        )
        for key, png in json.loads(ran.stdout).items():
            drawn[key] = bytes.fromhex(png)
            cache.store(key, drawn[key])
    for uri, key in keys.items():
        path = Path(config.site_dir, uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn[key])


def described(paragraph: str) -> str:
    """Return the text of a paragraph, cut at a word."""
    text = " ".join(pieces.text(paragraph).split())
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def _key(card: dict[str, str]) -> str:
    return hashlib.sha256(DRAW.read_bytes() + json.dumps(card).encode()).hexdigest()
