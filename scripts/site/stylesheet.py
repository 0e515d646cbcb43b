"""One stylesheet in place of six: each costs a reader on a slow line a turn of requests.

The theme's, the palette's, and those of `extra_css` are joined, in the order in which the theme
links them, into `assets/site.css`. One rule stays out: while the theme's script sets the colours it
forbids every element its transitions, and so styles the whole page twice more.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

JOINED = "assets/site.css"

_URL = re.compile(r"url\((?!data:|[\"']?data:)([\"']?)([^)\"']+)\1\)")
_SWITCHING = re.compile(r"\[data-md-color-switching\][^{]*\{[^}]*\}")
_LINK = re.compile(r'<link rel="stylesheet" href="([^"]*?)assets/[^"]+\.css">')


def on_post_page(output: str, **_: object) -> str:
    """Return the page with one link to the joined stylesheet in place of its links to the parts."""
    linked = _LINK.sub(rf'<link rel="stylesheet" href="\1{JOINED}">', output, count=1)
    first, end, rest = linked.partition(f'{JOINED}">')
    return first + end + _LINK.sub("", rest)


def on_post_build(config: MkDocsConfig) -> None:
    """Join the stylesheets and remove the parts."""
    site = Path(config.site_dir)
    theme = [next(site.glob(f"assets/stylesheets/{name}.*.css")) for name in ("main", "palette")]
    parts = [*theme, *(site / str(path) for path in config.extra_css)]
    text = _SWITCHING.sub("", "\n".join(_moved(part, site) for part in parts))
    (site / JOINED).write_text(text, encoding="utf-8")
    for part in parts:
        part.unlink()
    for map_ in site.glob("assets/**/*.map"):
        map_.unlink()


def _moved(part: Path, site: Path) -> str:
    """Return a stylesheet whose links hold from where the joined one stands."""
    folder = part.parent.relative_to(site).as_posix()
    start = posixpath.dirname(JOINED)

    def link(found: re.Match[str]) -> str:
        return f"url({posixpath.relpath(posixpath.join(folder, found[2]), start)})"

    text = re.sub(r"/\*# sourceMappingURL=.*?\*/", "", part.read_text(encoding="utf-8"))
    return _URL.sub(link, text).strip()
