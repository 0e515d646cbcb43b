"""Rows that are kept: one run serves an example, the table of claims and the tests."""

import hashlib
import inspect
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PACKAGE = __name__.partition(".")[0]
# The package's files that gave the rows which this process has read from records, relative to the
# folder of the package.
FILES: set[str] = set()


def recorded(run: Callable[P, T]) -> Callable[P, T]:
    """Keep what an experiment returns in the folder that `INITGUIDE_RECORDS` names, if it is set.

    Whoever sets it must name another folder for other sources or other versions of the libraries:
    an entry's key knows the function and its arguments, not what the function calls.
    """
    signature = inspect.signature(run)

    @wraps(run)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = os.environ.get("INITGUIDE_RECORDS")
        if not folder:
            return run(*args, **kwargs)
        # A default that is written out, or a range instead of a list, is the same experiment.
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        arguments = {
            name: tuple(value) if isinstance(value, (range, list)) else value
            for name, value in given.arguments.items()
        }
        digest = hashlib.sha256(repr(sorted(arguments.items())).encode()).hexdigest()[:16]
        path = Path(folder, f"{run.__module__}.{run.__qualname__}-{digest}")
        if path.exists():
            rows, files = pickle.loads(path.read_bytes())
        else:
            rows, files = run(**arguments), _loaded()
            _write(path, pickle.dumps((rows, files)))
        FILES.update(files)
        return rows

    return kept


def _loaded() -> list[str]:
    """Return the package's files that this process has loaded, as paths below the root."""
    root = Path(sys.modules[PACKAGE].__file__ or "").parents[1]
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = (Path(file) for file in files if file)
    return sorted(
        {
            path.relative_to(root).as_posix()
            for path in paths
            if path.is_relative_to(root / PACKAGE)
        }
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
