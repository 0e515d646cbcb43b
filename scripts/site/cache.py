"""Results kept between builds, each under a key that changes with whatever decides the result."""

import hashlib
import importlib.metadata
import os
import pickle
import platform
import shutil
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("INITGUIDE_CACHE", ROOT / ".cache" / "site"))

_DAYS_UNUSED = 30
# What runs the code, draws its figures, or packs the outputs of a notebook.
_DISTRIBUTIONS = (
    *("torch", "numpy", "scipy", "scikit-learn", "joblib", "matplotlib", "contourpy", "fonttools"),
    *("ipython", "ipykernel", "matplotlib-inline", "jupytext", "nbclient", "nbformat"),
)


def key(*parts: str | bytes) -> str:
    """Return a hash of the parts, our sources, the interpreter and the libraries' versions."""
    digest = hashlib.sha256(_versions().encode())
    for part in (*_sources(ROOT / "initguide"), *_SITE, *_pinned(), *parts):
        encoded = part.encode() if isinstance(part, str) else part
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()


def records() -> Path:
    """Return the folder of what the experiments gave, another one for other sources or versions."""
    return FOLDER / f"records-{key('records')}"


def load(key: str) -> Any:
    """Return what is stored under the key, or None."""
    path = FOLDER / key
    try:
        value = pickle.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    os.utime(path)
    return value


def store(key: str, value: object) -> None:
    """Keep a value under the key; an interrupted write leaves nothing behind."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _prune()
    with tempfile.NamedTemporaryFile(dir=FOLDER, delete=False) as file:
        file.write(pickle.dumps(value))
    os.replace(file.name, FOLDER / key)


def _sources(folder: Path) -> list[str | bytes]:
    """Return the names and the contents of the Python files below the folder."""
    paths = sorted(folder.rglob("*.py"))
    return [
        part for path in paths for part in (path.relative_to(ROOT).as_posix(), path.read_bytes())
    ]


# Read once: what runs is what was imported, even if a file of ours is edited under `mkdocs serve`.
_SITE = _sources(Path(__file__).parent)


def _pinned() -> list[bytes]:
    """Return the pinned versions, which a page may state."""
    path = ROOT / "constraints.txt"
    return [path.read_bytes()] if path.exists() else []


@lru_cache
def _versions() -> str:
    installed = {}
    for name in _DISTRIBUTIONS:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = "absent"
    return repr((sys.version, platform.machine(), installed))


@lru_cache
def _prune() -> None:
    """Drop entries that no build has used for a month; once a process is often enough."""
    oldest = time.time() - _DAYS_UNUSED * 24 * 3600
    for path in FOLDER.iterdir():
        if path.stat().st_mtime >= oldest:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
