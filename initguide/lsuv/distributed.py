"""Sum over the processes that each hold a part of the batch, and fail in all of them together.

The model tells which processes share its batch: the group of DistributedDataParallel, or the mesh
of FSDP2. Any other model runs in its own process alone.
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

# All messages have this size, so that a process that fails can answer any message of the others.
_MESSAGE_SIZE = 3


class FailedElsewhereError(RuntimeError):
    """Another process failed, so this one must not wait for it."""


@dataclass(frozen=True)
class Processes:
    """The processes that share a batch.

    Attributes:
        groups: The process groups to sum over, one after another; empty for a single process.
        device: The device of the messages.
    """

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
    message = torch.zeros(1 + _MESSAGE_SIZE, dtype=torch.float64, device="cpu")
    message[: 1 + len(numbers)] = torch.tensor(
        [failed, *numbers], dtype=torch.float64, device="cpu"
    )
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
    """Raise in every process if one raises; otherwise the others would wait for ever."""
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
    """Return the number of the first process; it must be below 2**62."""
    first = all(group.rank() == 0 for group in processes.groups)
    # A float64 holds 53 bits, so the number is sent in two halves.
    high, low = total(processes, *(part * first for part in divmod(number, 2**31)))
    return int(high) * 2**31 + int(low)


def check_same_state(processes: Processes, generator: torch.Generator) -> None:
    """Raise ValueError if the generators of the processes are in different states."""
    state = hashlib.blake2b(generator.get_state().numpy().tobytes(), digest_size=7).digest()
    number = int.from_bytes(state, "little")
    (others,) = total(processes, number != from_first(processes, number))
    if others:
        raise ValueError(
            "generator must be in the same state in every process; got a state that differs from "
            f"the first process in {others:.0f}"
        )


@contextmanager
def resharded(model: nn.Module) -> Iterator[None]:
    """Make FSDP2 hold its parameters as shards before and after the block, not gathered."""
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
            # After a forward that stopped midway, the next one would use what this one gathered.
            # Only the root can be reset, and only in newer versions of torch.
            with suppress(RuntimeError, AttributeError):
                unit.reset_iter_state()
        raise
    finally:
        for unit in units:
            unit.reshard()
