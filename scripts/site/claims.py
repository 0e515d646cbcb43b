"""The claims: their experiments run before the pages that show them, as many as there are cores.

They take minutes, longer than a page may; what they give is kept (see cache.py), and the examples,
the table of claims and the tests take it from there.
"""

import os
import subprocess
import sys

import cache
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files

TABLE = "examples/index.md"
_RUN = [sys.executable, "-m", "initguide.experiments.claims"]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Run each experiment that no earlier build has run with these sources and versions."""
    key = cache.key("claims")
    if files.get_file_from_path(TABLE) is None or cache.load(key):
        return
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "INITGUIDE_RECORDS": str(cache.records()),
    }
    ran = subprocess.run(
        _RUN, cwd=cache.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise PluginError(f"the claims' experiments must run; they said\n{ran.stderr}")
    cache.store(key, True)
