"""The site's type, Source Sans: from npm, with its licence, and served by the site itself."""

import katex
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# The template and the stylesheet name the files in this folder.
ASSETS = "assets/fonts"
PACKAGE = katex.ROOT / "node_modules" / "@fontsource-variable" / "source-sans-3"
NAMES = ("source-sans-3-latin-wght-normal.woff2", "source-sans-3-latin-wght-italic.woff2")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the two files of the type, upright and italic, and their licence."""
    for path in (*(PACKAGE / "files" / name for name in NAMES), PACKAGE / "LICENSE"):
        name = "LICENSE.txt" if path.name == "LICENSE" else path.name
        files.append(File.generated(config, f"{ASSETS}/{name}", content=path.read_bytes()))
