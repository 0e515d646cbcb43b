"""The page for an address that leads nowhere, which is shown at any depth below any path.

It carries its style within, since it does not know how far the site's root is away. Where the
site's address is known, the links start from there; else a script looks for the root, from the
address upwards, by a file that every build has.
"""

from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig


def on_post_build(config: MkDocsConfig) -> None:
    """Write the page over the theme's own."""
    root = urlsplit(config.site_url or "").path or "/"
    template = config.theme.get_env().get_template("not_found.html")
    page = template.render(config=config, root=root if root.endswith("/") else f"{root}/")
    (Path(config.site_dir) / "404.html").write_text(page, encoding="utf-8")
