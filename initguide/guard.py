"""What keeps a model and the random state as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def side_effects_undone(model: nn.Module) -> Iterator[None]:
    """Leave buffers and random states as they are, whatever the forward pass does to them."""
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=list(devices)):
        yield
    for buffer, value in buffers:
        buffer.copy_(value)


@contextmanager
def unchanged_on_error(model: nn.Module, generator: torch.Generator | None) -> Iterator[None]:
    """Put parameters, buffers and random state back if anything goes wrong inside."""
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.clone() for tensor in tensors]
    state = torch.get_rng_state() if generator is None else generator.get_state()
    try:
        yield
    except BaseException:
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
        if generator is None:
            torch.set_rng_state(state)
        else:
            generator.set_state(state)
        raise
