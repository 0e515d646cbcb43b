"""Context managers that restore parameters and the global random states."""

# User code may draw from NumPy's legacy global state, so it is saved and seeded as well.
# ruff: noqa: NPY002

import random
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


def on_gpus(tensors: Iterable[Tensor]) -> set[torch.device]:
    """Return the GPUs that hold these tensors; each has its own random state."""
    return {tensor.device for tensor in tensors if tensor.device.type == "cuda"}


@contextmanager
def random_states_kept(*devices: torch.device) -> Iterator[None]:
    """Restore the global random states of torch, NumPy and Python at the end."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def seed_global_states(seed: int, *devices: torch.device) -> None:
    """Seed the global random states of torch, NumPy and Python."""
    torch.default_generator.manual_seed(seed)
    for device in devices:
        torch.cuda.default_generators[device.index].manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def unchanged_on_error(model: nn.Module, generator: torch.Generator | None) -> Iterator[None]:
    """Restore the parameters and the random state if the block raises."""
    values = [(parameter, parameter.clone()) for parameter in model.parameters()]
    state = torch.get_rng_state() if generator is None else generator.get_state()
    try:
        yield
    except BaseException:
        for parameter, value in values:
            parameter.copy_(value)
        if generator is None:
            torch.set_rng_state(state)
        else:
            generator.set_state(state)
        raise


@contextmanager
def naming_the_layer(model: nn.Module) -> Iterator[None]:
    """Add to an error from a model's forward pass the name of the layer that raised it."""
    try:
        yield
    except Exception as error:
        names = {module: name or "model" for name, module in model.named_modules()}
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        callers = [frame.f_locals.get("self") for frame in frames]
        layers = [each for each in callers if isinstance(each, nn.Module) and each in names]
        # The innermost call is the layer. Our own errors name it already.
        if layers and repr(names[layers[-1]]) not in str(error):
            layer = layers[-1]
            is_container = next(layer.children(), None) is not None
            kind = type(layer).__name__ if is_container else repr(layer)
            error.add_note(f"raised in {names[layer]!r}: {kind}")
        raise
