"""Time the package against its peers, and write docs/benchmarks.md.

The calls of a pair alternate in one process, on one thread, and CPU time is measured. So a busy
machine slows both sides of a ratio equally.
"""

import os

# These variables are read when the libraries are imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["KERAS_BACKEND"] = "torch"

import datetime
import importlib.metadata
import importlib.util
import platform
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cases
import headline
import torch
from memory import memory
from models import models
from table import Case, Row, duration, grid, measure, ratio, table
from tools import tools

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
SECTIONS = {
    "Against torch.nn.init, function by function": cases.by_torch,
    "Orthogonal weights": cases.orthogonal,
    "NumPy": cases.arrays,
    "Keras and JAX": cases.frameworks,
    "Tools for whole models": tools,
}
INTRODUCTION = """\
# Benchmarks: one thread of a CPU

How long the package's functions take, and how long the same functions of other packages take."""

METHOD = """\
## How it was measured

*Written by `make bench` on {date}, with {versions}; {machine}. The build of the site does not
measure again. Run the command to get the numbers of your machine.*

The two functions of a pair are timed in turn, in one process, in CPU seconds. A **ratio** is the
peer's time divided by ours: the median of the repeats, with the smallest and the largest in
brackets. If it is above 1, ours is faster. It is bold if the range does not include 1. The times
are those of this machine. At 2 × 2 they are mostly the time of a call in Python.

Both sides draw the same number of values. torch, Keras and JAX draw float32, as ours do. Where a
row says float32, our NumPy functions draw it, and so do `np.linalg.qr` and `np.linalg.svd`.
`np.random.randn` and `scipy.stats.ortho_group` have float64 alone, so they compute in it.

**Ours / limit** compares our time with the smallest possible cost of the work. That is the time to
draw as many normals or uniforms, or to fill the memory. For orthogonal weights it is one matrix
product with as many multiplications as a QR decomposition needs, $2 m k^2 - \\tfrac23 k^3$ for $m$
rows and $k$ columns."""

WHOLE = """\
AnyInit initializes a whole model too. Our rules are compared with its theory, and our LSUV with its
measured mode. **Signal** is the rms of a layer's output on a batch of normal inputs: that of the
last layer, and in brackets the smallest and the largest of all layers."""


def main() -> None:
    """Measure all and write the page."""
    torch.set_num_threads(1)
    found = {title: list(measured(source())) for title, source in SECTIONS.items()}
    PAGE.write_text(page(found, whole(), usage()), encoding="utf-8")


def page(sections: Mapping[str, Sequence[Row]], whole: str, usage: str) -> str:
    """Return the page: what was found, then how, then each table in a fold."""
    parts = [
        INTRODUCTION,
        headline.sentences(sections),
        headline.figure(row for rows in sections.values() for row in rows),
        method(),
        "## All measurements",
        *(fold(title, table(rows)) for title, rows in sections.items() if rows),
        fold("Whole models, against AnyInit", f"{WHOLE}\n\n{whole}"),
        fold(
            "Memory",
            "The peak memory of a call beyond the tensor itself, in units of the tensor."
            f"\n\n{usage}",
        ),
        notes(),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def fold(title: str, text: str) -> str:
    """Return a closed block with a title."""
    return f'??? code "{title}"\n\n{textwrap.indent(text, "    ")}'


def measured(source: Iterator[Case]) -> Iterator[Row]:
    """Measure case by case and print each row, because all cases together take minutes."""
    for case in source:
        row = measure(case)
        print(table([row]).splitlines()[-1], flush=True)
        yield row


def whole() -> str:
    """Return the table of whole models."""
    lines = []
    for row, ours, peer in models():
        times = (duration(row.ours), duration(row.peer), ratio(row))
        lines.append((row.name, *times, signal(ours), signal(peer)))
        print(lines[-1], flush=True)
    return grid(("Case", "Ours", "AnyInit", "Ratio", "Our signal", "AnyInit's"), lines)


def signal(by_layer: Sequence[float]) -> str:
    """Return the signal of the last layer, and its range over all layers."""
    return f"**{by_layer[-1]:.2g}** [{min(by_layer):.2g}, {max(by_layer):.2g}]"


def usage() -> str:
    """Return the table of extra memory."""
    lines = ((row.name, f"{row.ours:.2f}", f"{row.peer:.2f}") for row in memory())
    return grid(("Case", "Ours", "torch"), lines)


def method() -> str:
    """Return how it was measured, with the date, the versions and the machine."""
    names = (
        "numpy",
        "torch",
        "scipy",
        "anyinit",
        "lsuv",
        "transformers",
        *filter(importlib.util.find_spec, cases.FRAMEWORKS),
    )
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return METHOD.format(
        date=datetime.date.today(),
        versions=", ".join([f"Python {platform.python_version()}", *versions]),
        machine=f"{os.cpu_count()} cores, {platform.machine().replace('_', '-')}, one thread",
    )


def notes() -> str:
    """Return the names of the peers that are not installed."""
    absent = [name for name in cases.FRAMEWORKS if importlib.util.find_spec(name) is None]
    return f"Not installed, so not measured: {', '.join(absent)}." if absent else ""


if __name__ == "__main__":
    main()
