"""Small copies of the site, to be broken on purpose."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from mkdocs.utils.yaml import yaml_load

ROOT = Path(__file__).resolve().parents[1]


def make(
    root: Path,
    files: Mapping[str, str],
    modules: Sequence[str] = ("pages",),
    extensions: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write files, by their paths, below `root` beside our site's scripts and settings.

    Of the site's stages those of `modules` run. The settings are the site's own, but for the nav
    and what `settings` names; `initguide` is what `files` make of it.
    """
    # As MkDocs reads it, so that what the environment decides has its value.
    config = yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    del config["nav"], config["watch"]
    config["hooks"] = ["scripts/site/stages.py"]
    config["markdown_extensions"] += extensions
    config |= settings or {}
    # The small site needs neither, and loading them takes longer than all else.
    write(root, {"absent/torch.py": "", "absent/sklearn/__init__.py": ""})
    write(root, {"absent/sklearn/datasets.py": ""})
    write(root, {"mkdocs.yml": yaml.safe_dump(config), "initguide/__init__.py": "", **files})
    ignored = shutil.ignore_patterns("__pycache__", "theme")
    shutil.copytree(ROOT / "scripts" / "site", root / "scripts" / "site", ignore=ignored)
    (root / "scripts" / "site" / "theme").mkdir()
    write(root, {"scripts/site/stages.py": hook(*modules)})
    return root


def hook(*modules: str, folder: Path | None = None) -> str:
    """Return a hook for MkDocs with the stages of these modules, which may be in another folder."""
    path = f"import sys\n\nsys.path.insert(0, {str(folder)!r})\n" if folder else ""
    return f"{path}import plugin\n\nglobals().update(plugin.events{modules!r})\n"


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files, by their paths, below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def copy_theme(root: Path) -> None:
    """Give the small site our templates, which `make` leaves out."""
    theme = Path("scripts", "site", "theme")
    shutil.copytree(ROOT / theme, root / theme, dirs_exist_ok=True)


def build(root: Path) -> tuple[int, str]:
    """Build the site as `make build` does; return the exit code and the log."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(root / "absent")
    environment.pop("INITGUIDE_CACHE", None)
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return ran.returncode, ran.stdout + ran.stderr
