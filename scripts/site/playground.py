"""The playground: what its modules need from the package, and its modules in two files.

Colours, markers and data have one place, the package; the build hands them to the browser.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cache
import modules
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
FOLDER = "assets/playground"
# What a page, or a script of it, asks for by its address.
ENTRIES = ("app.js", "worker.js")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the constants, as a module, and the digits."""
    data = generated()
    for name, content in data.items():
        files.append(File.generated(config, f"{FOLDER}/{name}", content=content))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Make the playground's own page wide."""
    # By a class: a selector with `:has` costs a phone half of the time for all styles.
    wide = '<div class="playground" data-full' in output
    return output.replace("md-content__inner", "md-content__inner has-playground", wide)


def on_post_build(config: MkDocsConfig) -> None:
    """Join each entry with the modules that it imports, and remove these."""
    folder = Path(config.site_dir, FOLDER)
    sources = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.js")}
    for name in sources:
        if name in ENTRIES:
            (folder / name).write_text(modules.joined(name, sources), encoding="utf-8")
        else:
            (folder / name).unlink()


def generated() -> dict[str, str | bytes]:
    """Return the files that the package gives, by their names, in a process that may load it."""
    key = cache.key("playground")
    found = cache.load(key)
    if found is None:
        found = _from_the_package()
        cache.store(key, found)
    constants = "\n".join(
        f"export const {name} = {json.dumps(value)};" for name, value in found["constants"].items()
    )
    return {
        "constants.js": f"// Written by the build from the package.\n{constants}\n",
        "digits.bin": base64.b64decode(found["digits"]),
    }


def _from_the_package() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SITE / "playground_data.py")],
        # The sources beside this site, whatever is installed.
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    return json.loads(done.stdout)
