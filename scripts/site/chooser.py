"""The chooser: its questions and answers, as a script beside the page's own.

The page has the answers as a table too, for those whose browser runs no scripts: see records.py.
"""

import cache
import runner
import serving
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

SCRIPT = "assets/chooser-answers.js"
JOB = runner.Job("scripts/site/choices/data.py", "data", ("choices.data",), "")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the script with the answers; under `mkdocs serve` once they are there."""
    if serving.is_on() and not runner.known(JOB, cache.hashes()):
        serving.later(JOB)
        return files
    found = runner.now(JOB)
    if found.problems:
        raise PluginError(f"the chooser's answers must be made; {found.problems[0].message}")
    content = f"// Written by the build.\nconst CHOOSER = {found.outputs[0]};\n"
    files.append(File.generated(config, SCRIPT, content=content))
    return files
