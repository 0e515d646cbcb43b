"""The Content-Security-Policy of each page, in a `<meta>` element, so that it holds on any host.

A page's policy names the page's own inline scripts and styles by their hashes. The build writes the
rules that need a header to `_headers`, which several static hosts read (see docs/deploy.md).
Style attributes are allowed, because KaTeX places its boxes with them and they run no code.
"""

import base64
import hashlib
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
# The policy comes after the encoding, which must be in a page's first kilobyte, and before any
# script, because it applies only to the elements that come later.
_START = '<meta charset="utf-8">\n'
_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style[^>]*>(?P<text>.*?)</style>", re.DOTALL)

_commands: list[str] = []


def on_startup(command: str, dirty: bool) -> None:
    """Keep the command: `mkdocs serve` adds a script to each page, which a policy would refuse."""
    _commands[:] = [command]


def on_post_build(config: MkDocsConfig) -> None:
    """Give each page its policy, and write the headers."""
    if _commands == ["serve"]:
        return
    site = Path(config.site_dir)
    for path in site.rglob("*.html"):
        path.write_text(guarded(path.read_text(encoding="utf-8")), encoding="utf-8")
    lines = "".join(f"  {name}: {value}\n" for name, value in _HEADERS.items())
    (site / "_headers").write_text(f"/*\n{lines}", encoding="utf-8")


def guarded(page: str) -> str:
    """Return the page with its policy; ValueError if it has no place for that."""
    start, charset, rest = page.partition(_START)
    if not charset or "<script" in start or "<style" in start:
        raise ValueError(f"a page must begin with {_START.strip()}; got {page[:80]!r}")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(page)}">\n'
    return start + charset + meta + rest


def policy(page: str) -> str:
    """Return the strictest policy under which the page works."""
    scripts = [
        _hash(found["text"])
        for found in _SCRIPT.finditer(page)
        if "src=" not in found["attributes"] and "json" not in found["attributes"]
    ]
    styles = [_hash(found["text"]) for found in _STYLE.finditer(page)]
    directives = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *sorted({*scripts})],
        "style-src": ["'self'", *sorted({*styles})],
        "style-src-attr": ["'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
