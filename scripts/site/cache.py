"""Results kept between builds, and the files that each of them depends on.

The key of an entry is the request, the interpreter and the libraries' versions. Beside its value an
entry holds a hash of each of our source files that its run loaded. If one of these files
has changed, the entry counts as absent. So an edit of one file runs again what depends on it, and
nothing else.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import pickle
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("INITGUIDE_CACHE", ROOT / ".cache" / "site"))

_DAYS_UNUSED = 30
_SOURCES = ("initguide", "scripts/site")
# What runs the code and draws its figures.
_DISTRIBUTIONS = (
    *("torch", "numpy", "scipy", "scikit-learn", "joblib", "matplotlib", "contourpy", "fonttools"),
    *("lazy-loader", "pillow"),
)

Hashes = Mapping[str, str]


def key(*parts: str | bytes) -> str:
    """Return a hash of the parts, the interpreter, and the libraries' versions."""
    digest = hashlib.sha256(_versions().encode())
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()


def hashes() -> dict[str, str]:
    """Return a hash of each Python file of the package and of the site, by its path below ROOT."""
    return {
        path.relative_to(ROOT).as_posix(): hash_of(path)
        for folder in _SOURCES
        for path in sorted((ROOT / folder).rglob("*.py*"))
        if path.suffix in (".py", ".pyi")
    }


def hash_of(path: Path) -> str:
    """Return the hash of a file's bytes; "absent" if there is no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "absent"


def load(key: str, now: Hashes | None = None) -> Any:
    """Return the value stored under the key, or None; `now` are the hashes of our files."""
    entry = _read(key)
    if entry is None:
        return None
    value, files = entry
    return value if files.items() <= (now or {}).items() else None


def store(key: str, value: object, files: Hashes | None = None) -> None:
    """Keep a value that depends on these files; an interrupted write leaves no entry."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _prune()
    write(FOLDER / key, pickle.dumps((value, dict(files or {}))))


def write(path: Path, content: bytes) -> None:
    """Write a file at once: whoever reads it meanwhile sees the old one or the new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def among(names: Iterable[str], now: Hashes) -> dict[str, str]:
    """Return the hashes of the named files."""
    return {name: now.get(name, "absent") for name in names}


def _read(key: str) -> tuple[Any, dict[str, str]] | None:
    path = FOLDER / key
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)
    try:
        return pickle.loads(content)
    except (AttributeError, ImportError):
        # A class that the entry names is gone since.
        return None


@lru_cache
def _versions() -> str:
    installed = {}
    for name in _DISTRIBUTIONS:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = "absent"
    pins = ROOT / "constraints.txt"
    # A page may state the pinned versions.
    pinned = pins.read_text(encoding="utf-8") if pins.exists() else ""
    return repr((sys.version, platform.machine(), installed, pinned))


@lru_cache
def _prune() -> None:
    """Drop entries that no build has used for a month; once per process is often enough."""
    oldest = time.time() - _DAYS_UNUSED * 24 * 3600
    for path in FOLDER.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime >= oldest:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
