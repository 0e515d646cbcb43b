"""Stored rows: the example, the table of claims and the tests share one run."""

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
# The package's files, as paths below the root, that gave the rows which this process took.
FILES: set[str] = set()


def recorded(run: Callable[P, T]) -> Callable[P, T]:
    """Store the rows of an experiment in the folder `INITGUIDE_RECORDS`, if that variable is set.

    The key of an entry depends on the function and its arguments, but not on the functions that it
    calls. So other sources or other library versions need another folder.
    """
    signature = inspect.signature(run)

    @wraps(run)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = os.environ.get("INITGUIDE_RECORDS")
        if not folder:
            return run(*args, **kwargs)
        # Defaults may be written out, and seeds may be a range: the experiment is the same.
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
            rows, files = run(*args, **kwargs), _loaded()
            _write(path, pickle.dumps((rows, files)))
        FILES.update(files)
        return rows

    return kept


def _loaded() -> list[str]:
    """Return the package's files that this process has loaded, as paths below the root."""
    root = Path(__file__).resolve().parents[3]
    found = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = [Path(file) for file in found if file and Path(file).is_relative_to(root / PACKAGE)]
    # lazy_loader reads the names of a package from the stub beside it.
    paths += [stub for path in paths if (stub := path.with_suffix(".pyi")).exists()]
    return sorted(path.relative_to(root).as_posix() for path in paths)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
