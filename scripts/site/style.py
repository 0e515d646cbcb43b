"""The site's type, stylesheet and script: the site serves them itself, in as few files as possible.

Source Sans comes from npm, with its licence. The stylesheets are joined in one file, and so are the
scripts, because each file is a request before a page can be drawn.
"""

import re
from pathlib import Path
from typing import Any

import katex
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# The template and the stylesheet name the files in this folder.
FONTS = "assets/fonts"
PACKAGE = katex.ROOT / "node_modules" / "@fontsource-variable" / "source-sans-3"
FONT = PACKAGE / "files" / "source-sans-3-latin-wght-normal.woff2"
# In the folder of assets/extra.css, whose addresses start there. The theme's have none.
SHEET = "assets/site.css"
THEME = ("main.*.css", "palette.*.css")
# By the folder of each, because the addresses in a stylesheet start there.
PARTS = ("assets/katex/katex.min.css", "assets/playground/playground.css")
# Ours come first: see assets/search.js.
SCRIPT = "assets/site.js"
SCRIPTS = ("assets/search.js", "assets/reading.js", "assets/javascripts/bundle.*.min.js")

# The stylesheets of the configuration and of its plugins.
_added: list[str] = []


def on_config(config: MkDocsConfig) -> None:
    """Let the theme link the joined stylesheet in place of those of the configuration."""
    _added[:] = map(str, config.extra_css)
    config.extra_css = [SHEET]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the file of the type and its licence."""
    for path in (FONT, PACKAGE / "LICENSE"):
        name = "LICENSE.txt" if path.name == "LICENSE" else path.name
        files.append(File.generated(config, f"{FONTS}/{name}", content=path.read_bytes()))


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Join the stylesheets of the theme, of its plugins and our own, and then the scripts."""
    site = Path(config.site_dir)
    folder = site / "assets" / "stylesheets"
    sheets = [sheet for name in THEME for sheet in folder.glob(name)]
    texts = [_text(path) for path in (*sheets, *(site / name for name in _added))]
    texts += [moved(_text(site / name), name) for name in PARTS if (site / name).is_file()]
    (site / SHEET).write_text("\n".join(texts), encoding="utf-8")
    scripts = [path for name in SCRIPTS for path in site.glob(name)]
    (site / SCRIPT).write_text("\n".join(map(_text, scripts)), encoding="utf-8")


def moved(text: str, name: str) -> str:
    """Return a stylesheet whose relative addresses start at the folder of the joined one."""
    folder = Path(name).parent.relative_to(Path(SHEET).parent).as_posix()
    return re.sub(r"url\((?![\"']?(?:data:|#|/))([\"']?)", rf"url(\1{folder}/", text)


def _text(path: Path) -> str:
    # Without the address of a source map, which the site does not have.
    return re.split(r"/[/*]# sourceMappingURL", path.read_text(encoding="utf-8"))[0]
