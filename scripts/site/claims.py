"""The claims: one job for each; the examples, the table of claims and the tests take its rows.

Each claim's experiment runs by itself and is kept by itself (see `runner.py`). The folder of
records brings together the rows of those claims that hold for the sources as they are now.
"""

import contextlib
import os
import re
from pathlib import Path

import cache
from runner import Job, known
from steps import Run

FOLDER = Path("initguide", "experiments", "claims")

_GENERATED = "<!-- generated: claims -->"


def jobs() -> list[Job]:
    """Return a job for each file that holds a claim."""
    paths = sorted((cache.ROOT / FOLDER).glob("*.py"))
    names = [path.stem for path in paths if "\nCLAIM = " in path.read_text(encoding="utf-8")]
    return [Job((FOLDER / f"{name}.py").as_posix(), "claim", (name,), name) for name in names]


def needed_by(source: str, claims: list[Job]) -> tuple[str, ...]:
    """Return the names of the claims' jobs whose rows a page's source asks for."""
    if _GENERATED in source:
        return tuple(job.name for job in claims)
    words = set(re.findall(r"\w+", source))
    return tuple(job.name for job in claims if job.arguments[0] in words)


def records(now: cache.Hashes) -> Path:
    """Return a folder with the rows of each claim that holds for these hashes of our files.

    Other sources have another folder, because a page or a test may add rows to it.
    """
    package = [f"{name} {value}" for name, value in now.items() if name.startswith("initguide/")]
    folder = cache.FOLDER / f"records-{cache.key(*package)}"
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for job in jobs():
        if run := known(job, now):
            keep(run, folder)
    return folder


def keep(run: Run, folder: Path) -> None:
    """Put the rows of a claim that has run into the folder of records."""
    for name, content in run.outputs:
        if not (folder / name).exists():
            with contextlib.suppress(FileNotFoundError):
                cache.write(folder / name, content)
