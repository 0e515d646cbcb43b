"""A page's HTML as tags and texts, and which texts may be linked."""

import re
from collections.abc import Iterator
from html import unescape

# Elements in which a link would do harm or is one too many.
_CLOSED = {
    *("a", "abbr", "button", "code", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6", "label"),
    *("math", "pre", "script", "style", "summary", "svg", "th"),
}
_CLOSED_CLASSES = ("arithmatex", "admonition-title", "md-button")
_VOID = {"br", "hr", "img", "input", "link", "meta", "source", "wbr"}
_PIECE = re.compile(r"(<!--.*?-->|<(?:\"[^\"]*\"|'[^']*'|[^>\"'])*>)", re.DOTALL)


def text(html: str) -> str:
    """Return the visible text, without the tags."""
    return unescape(re.sub(r"<[^>]+>", "", html))


def split(html: str) -> Iterator[tuple[str, bool]]:
    """Return tags and texts in order, each with whether it is text that may be linked."""
    closed: list[str] = []
    for piece in _PIECE.split(html):
        if not piece.startswith("<"):
            yield piece, not closed
            continue
        yield piece, False
        tag = re.match(r"</?([a-zA-Z][\w-]*)", piece)
        if not tag or tag[1] in _VOID or piece.endswith("/>"):
            continue
        if piece.startswith("</"):
            if closed and closed[-1] == tag[1]:
                closed.pop()
        elif closed:
            # Within, only what could be mistaken for the element's own end matters.
            if tag[1] == closed[-1]:
                closed.append(tag[1])
        elif tag[1] in _CLOSED or any(name in piece for name in _CLOSED_CLASSES):
            closed.append(tag[1])
