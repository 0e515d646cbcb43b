"""Pages at addresses of earlier versions: each leads to where the text is now.

They need no script, so they work from a folder, offline and under the site's policy.
"""

import logging
import posixpath
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

_log = logging.getLogger("mkdocs.redirects")

# From the old address to the new one.
MOVED = {
    f"guide/methods/{name}/": f"advanced/{name}/"
    for name in (
        "delta-orthogonal",
        "icnr",
        "identity",
        "sparse",
        "truncated-normal",
        "variance-scaling",
    )
} | {"how-to/deploy/": "deploy/"}


def on_post_build(config: MkDocsConfig) -> None:
    """Write a page for each old address."""
    write(Path(config.site_dir), MOVED, config)


def write(site: Path, moved: dict[str, str], config: MkDocsConfig) -> None:
    """Write the pages; warn, which fails a strict build, where there is no page to lead to."""
    template = config.theme.get_env().get_template("moved.html")
    for old, new in moved.items():
        if not (site / new / "index.html").is_file():
            _log.warning("%s must lead to a page of the site; got %s", old, new)
            continue
        # With its file, so that it works without a server too.
        target = posixpath.join(posixpath.relpath(new, old), "index.html")
        path = site / old / "index.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template.render(config=config, target=target), encoding="utf-8")
