"""The Content-Security-Policy that the built site keeps, for a host to send with every page.

It names each inline script by its hash. `_headers` holds it in the form that several static hosts
read; others want it in their own settings (see docs/how-to/deploy.md). KaTeX places its boxes with
style attributes, which run nothing: they alone are allowed inline.
"""

import base64
import hashlib
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

FILE = "_headers"

_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style[^>]*>(?P<text>.*?)</style>", re.DOTALL)


def on_post_build(config: MkDocsConfig) -> None:
    """Write the policy for what is in the site's folder."""
    site = Path(config.site_dir)
    headers = {
        "Content-Security-Policy": policy(site),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }
    lines = "".join(f"  {name}: {value}\n" for name, value in headers.items())
    (site / FILE).write_text(f"/*\n{lines}", encoding="utf-8")


def policy(site: Path) -> str:
    """Return the strictest policy under which every page of the site works."""
    scripts, styles = set(), set()
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        for found in _SCRIPT.finditer(page):
            if "src=" not in found["attributes"] and "json" not in found["attributes"]:
                scripts.add(_hash(found["text"]))
        styles.update(_hash(found["text"]) for found in _STYLE.finditer(page))
    # Compiling WebAssembly is a permission of its own.
    compiled = ["'wasm-unsafe-eval'"] if any(site.rglob("*.wasm")) else []
    directives = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *compiled, *sorted(scripts)],
        "style-src": ["'self'", *sorted(styles)],
        "style-src-attr": ["'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
