"""Data of the package that a page's script shows, each as a script beside the page's own.

The pages have the data as tables too, for those whose browser runs no scripts: see records.py.
"""

import cache
import runner
import serving
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

# The name of the data in each script, and the job that makes them.
SCRIPTS = {
    "assets/chooser-answers.js": (
        "CHOOSER",
        runner.Job("scripts/site/choices/data.py", "data", ("choices.data",), ""),
    ),
    "assets/code-base-stds.js": (
        "STDS",
        runner.Job("scripts/site/code_bases.py", "data", ("code_bases",), ""),
    ),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the scripts with the data; under `mkdocs serve` each once its data are there."""
    for script, (name, job) in SCRIPTS.items():
        if serving.is_on() and not runner.known(job, cache.hashes()):
            serving.later(job)
            continue
        found = runner.now(job)
        if found.problems:
            raise PluginError(f"{script} must be made; {found.problems[0].message}")
        content = f"// Written by the build.\nconst {name} = {found.outputs[0]};\n"
        files.append(File.generated(config, script, content=content))
    return files
