"""Time the package against its peers, and write docs/benchmarks.md.

Ratios of CPU time, on one thread, interleaved in one process: on a busy machine both sides of a
ratio suffer alike.
"""

import os

# Before what reads them is imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["KERAS_BACKEND"] = "torch"

import datetime
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import cases
import torch
from memory import memory
from models import models
from table import Case, Row, duration, grid, measure, table
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
# Benchmarks

How long the package's functions take, beside the same functions of others.

*Written by `make bench` on {date}, with {versions}; {machine}. Not by hand, and not at each build
of the site: run the command to have your own.*

Each pair is timed in turn, in one process, by the CPU's clock. A **ratio** is the peer's time
divided by ours, the median of the repeats with their range: above 1, ours is faster. Times belong
to the machine; ratios carry over to others, roughly. **Ours / limit** is how far we are from what
the work costs at the least: the drawing of as many normals or uniforms, the filling of memory, or,
for orthogonal weights, as many multiplications in one matrix product as the reflectors need,
$2 m k^2 - \\tfrac23 k^3$ for $m$ rows and $k$ columns."""

WHOLE = """\
Against AnyInit, which scales a whole model too: our rules against its theory, our LSUV against its
measured mode. **Signal** is the rms of a layer's output, on a batch of normal inputs: that of the
last layer, and in brackets the smallest and the largest of all layers."""


def main() -> None:
    """Measure all and write the page."""
    torch.set_num_threads(1)
    parts = [introduction()]
    for title, source in SECTIONS.items():
        rows = list(measured(source()))
        parts += [f"## {title}", table(rows) if rows else "Neither is installed here."]
    parts += [
        "## Whole models",
        WHOLE,
        whole(),
        "## Memory",
        "At the peak, beyond the tensor itself, in units of the tensor.",
        usage(),
    ]
    parts += [notes()]
    PAGE.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")


def measured(source: Iterator[Case]) -> Iterator[Row]:
    """Measure case by case, and say so: it takes minutes."""
    for case in source:
        row = measure(case)
        print(table([row]).splitlines()[-1], flush=True)
        yield row


def whole() -> str:
    """Return the table of whole models."""
    lines = []
    for row, ours, peer in models():
        ratios = f"**{median(row.ratios):.2f}** [{row.ratios[0]:.2f}, {row.ratios[-1]:.2f}]"
        times = (duration(row.ours), duration(row.peer), ratios)
        lines.append((row.name, *times, signal(ours), signal(peer)))
        print(lines[-1], flush=True)
    return grid(("Case", "Ours", "AnyInit", "Ratio", "Our signal", "AnyInit's"), lines)


def signal(by_layer: Sequence[float]) -> str:
    """Return the last layer's signal, and the range over all."""
    return f"**{by_layer[-1]:.2g}** [{min(by_layer):.2g}, {max(by_layer):.2g}]"


def usage() -> str:
    """Return the table of extra memory."""
    lines = ((row.name, f"{row.ours:.2f}", f"{row.peer:.2f}") for row in memory())
    return grid(("Case", "Ours", "torch"), lines)


def introduction() -> str:
    """Return the page's head: what wrote it, when and where."""
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
    return INTRODUCTION.format(
        date=datetime.date.today(),
        versions=", ".join([f"Python {platform.python_version()}", *versions]),
        machine=f"{os.cpu_count()} cores, {platform.machine().replace('_', '-')}, one thread",
    )


def notes() -> str:
    """Return what is missing, by name."""
    absent = [name for name in cases.FRAMEWORKS if importlib.util.find_spec(name) is None]
    return f"Not installed, so not measured: {', '.join(absent)}." if absent else ""


if __name__ == "__main__":
    main()
