"""Measure the peak memory of a call beyond its tensor, each call in a new process."""

import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

_SHAPES = ((4096, 4096), (16384, 512), (512, 16384))
CASES = [(name, shape) for name in ("orthogonal_", "trunc_normal_") for shape in _SHAPES]

# A first, small call loads libraries. The tensor is written to, so that its memory is allocated. On
# Linux a child process starts with its parent's peak in getrusage, so the peak is read from /proc.
_PROGRAM = """
import importlib, pathlib, resource, sys
import torch

def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

torch.set_num_threads(1)
module, name, *shape = sys.argv[1:]
function = getattr(importlib.import_module(module), name)
options = {"trunc_normal_": {"std": 0.02, "a": -0.04, "b": 0.04}}.get(name, {})
function(torch.empty(600, 600), **options)
tensor = torch.empty([int(size) for size in shape]).fill_(1.0)
before = peak()
function(tensor, **options)
print((peak() - before) / tensor.nbytes)
"""


class Memory(NamedTuple):
    """The extra memory of a call at its peak, in units of the tensor."""

    name: str
    ours: float
    peer: float


def memory() -> Iterator[Memory]:
    """Yield the extra memory of ours and of torch's, case by case."""
    for name, shape in CASES:
        ours, peer = (extra(module, name, shape) for module in ("initguide", "torch.nn.init"))
        yield Memory(f"`{name}` {' × '.join(map(str, shape))}", ours, peer)


def extra(module: str, name: str, shape: tuple[int, ...]) -> float:
    """Return the extra memory of one call, in units of its tensor."""
    command = [sys.executable, "-c", _PROGRAM, module, name, *map(str, shape)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ran.stdout)
