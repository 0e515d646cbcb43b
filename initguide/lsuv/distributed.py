"""Processes that each hold a part of the batch: sums over all of them, and one outcome for all.

Which processes those are is read off the model: the group of DistributedDataParallel, or the mesh
of FSDP2. A plain model belongs to its own process, whatever else runs.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from initguide._sharding import is_sharded

Total = Callable[..., Sequence[float]]

# Every message has this size, so that a process that fails answers whatever the others ask.
_SLOTS = 3


class FailedElsewhereError(RuntimeError):
    """Another process failed; this one must not wait for it."""


@dataclass(frozen=True)
class Processes:
    """The process groups to sum over, one after another, and the device that they talk through."""

    groups: tuple[Any, ...] = ()
    device: torch.device | str = "cpu"


def processes_of(model: nn.Module) -> Processes:
    """Return the processes that run this model on parts of one batch."""
    for module in model.modules():
        if isinstance(module, nn.parallel.DistributedDataParallel):
            return Processes((module.process_group,), next(module.parameters()).device)
    sharded: list[Any] = [p for p in model.parameters() if is_sharded(p)]
    meshes = {p.device_mesh for p in sharded}
    if len(meshes) > 1:
        raise ValueError(f"sharded parameters must share one mesh; got {len(meshes)}")
    for mesh in meshes:
        return Processes(tuple(mesh.get_all_groups()), mesh.device_type)
    return Processes()


def total(processes: Processes, *numbers: float) -> Sequence[float]:
    """Return the sums of up to three numbers over all processes."""
    return _exchange(processes, 0.0, numbers) if processes.groups else numbers


def _exchange(processes: Processes, failed: float, numbers: Sequence[float]) -> list[float]:
    message = torch.zeros(1 + _SLOTS, dtype=torch.float64)
    message[: 1 + len(numbers)] = torch.tensor([failed, *numbers], dtype=torch.float64)
    message = message.to(processes.device)
    for group in processes.groups:
        torch.distributed.all_reduce(message, group=group)
    failures, *sums = message.tolist()
    if failures and not failed:
        raise FailedElsewhereError(
            f"every process must run the model without error; got one in {failures:.0f} of them"
        )
    return sums[: len(numbers)]


@contextmanager
def failing_together(processes: Processes) -> Iterator[None]:
    """Let an error in one process end all of them: else the others would wait for ever."""
    try:
        yield
    except FailedElsewhereError:
        raise
    except Exception:
        if processes.groups:
            _exchange(processes, 1.0, ())
        raise
    total(processes)


def from_first(processes: Processes, number: int) -> int:
    """Return what the first process has; below 2**62."""
    first = all(group.rank() == 0 for group in processes.groups)
    # Halves, since a float64 holds 53 bits.
    high, low = total(processes, *(part * first for part in divmod(number, 2**31)))
    return int(high) * 2**31 + int(low)


def check_alike(processes: Processes, generator: torch.Generator) -> None:
    """Raise ValueError unless every process would draw the same."""
    state = hashlib.blake2b(generator.get_state().numpy().tobytes(), digest_size=7).digest()
    own = int.from_bytes(state, "little")
    (others,) = total(processes, own != from_first(processes, own))
    if others:
        raise ValueError(
            "generator must be in the same state in every process; got another than the first's "
            f"in {others:.0f}"
        )


@contextmanager
def resharded(model: nn.Module) -> Iterator[None]:
    """Have FSDP2 hold its parameters in shards, before and after, and drop what it gathered."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    units: list[Any] = []
    if fsdp is not None:
        units = [module for module in model.modules() if isinstance(module, fsdp.FSDPModule)]
    for unit in units:
        unit.reshard()
    try:
        yield
    except BaseException:
        for unit in units:
            # A forward that stopped midway keeps what it gathered, and the next would use it.
            with suppress(RuntimeError, AttributeError):
                unit.reset_iter_state()
        raise
    finally:
        for unit in units:
            unit.reshard()
