"""The playground: what its modules need from the package, and its modules in two files.

Colours, markers and data have one place, the package; the build hands them to the browser.
"""

import base64
import json
from pathlib import Path

import cache
import modules
import runner
import serving
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDER = "assets/playground"
# What a page, or a script of it, asks for by its address.
ENTRIES = ("app.js", "worker.js")

JOB = runner.Job("scripts/site/playground_data.py", "data", ("playground_data",), "")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the constants, as a module, and the digits; under `mkdocs serve` once they are there."""
    if serving.is_on() and not runner.known(JOB, cache.hashes()):
        serving.later(JOB)
        return files
    for name, content in generated().items():
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
    if serving.is_on() and "constants.js" not in sources:
        # The package's data are on their way: see `on_files`.
        return
    for name in sources:
        if name in ENTRIES:
            (folder / name).write_text(modules.joined(name, sources), encoding="utf-8")
        else:
            (folder / name).unlink()


def generated() -> dict[str, str | bytes]:
    """Return the files that the package gives, by their names."""
    found = runner.now(JOB)
    if found.problems:
        raise PluginError(f"the playground's data must be made; {found.problems[0].message}")
    data = json.loads(found.outputs[0])
    constants = "\n".join(
        f"export const {name} = {json.dumps(value)};" for name, value in data["constants"].items()
    )
    return {
        "constants.js": f"// Written by the build from the package.\n{constants}\n",
        "digits.bin": base64.b64decode(data["digits"]),
    }
