"""Context managers that restore a model, its optimizer and the global random states."""

# User code may draw from NumPy's legacy global state, so it is saved and seeded as well.
# ruff: noqa: NPY002

import copy
import random
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

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
def side_effects_undone(model: nn.Module) -> Iterator[None]:
    """Restore everything but the weights after a forward pass and a loss.

    This covers buffers, train or eval modes, gradients, `requires_grad` and random states.
    """
    devices = on_gpus(model.parameters())
    modes = [(module, module.training) for module in model.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    # The fast path of attention packs a padded batch into a nested tensor, which has no variance.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        for parameter, _, _ in parameters:
            # A loss that calls backward would add to an existing gradient.
            parameter.grad = None
        with random_states_kept(*devices):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes:
            module.training = mode
        for parameter, requires_grad, gradient in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient
        for module, name, buffer, value in buffers:
            # A forward may write to a buffer or replace it. An expanded buffer takes no writes.
            if not torch.equal(buffer, value):
                buffer.copy_(value)
            setattr(module, name, buffer)


@contextmanager
def training_undone(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Restore all that training steps change: the weights and the optimizer as well."""
    attributes, state = dict(vars(optimizer)), dict(optimizer.state)
    groups = [(group, dict(group)) for group in optimizer.param_groups]
    # An optimizer may hold parameters of other models, or of the loss.
    held = {*model.parameters(), *(p for group, _ in groups for p in group["params"])}
    # Frozen parameters do not change, and may be large.
    values = [(p, p.detach().clone() if p.requires_grad else None, p.grad) for p in held]
    # The steps change copies of the state. The parameters in it stay the same objects.
    same: dict[int, Any] = {id(parameter): parameter for parameter in held}
    try:
        optimizer.state.update(copy.deepcopy(state, same))
        for group, before in groups:
            group.update(copy.deepcopy(before, same))
        for parameter in held:
            parameter.grad = None
        with side_effects_undone(model):
            yield
    finally:
        vars(optimizer).clear()
        vars(optimizer).update(attributes)
        restored: list[tuple[Any, Any]] = [(optimizer.state, state), *groups]
        for mapping, before in restored:
            mapping.clear()
            mapping.update(before)
        with torch.no_grad():
            for parameter, value, gradient in values:
                if value is not None:
                    parameter.copy_(value)
                parameter.grad = gradient


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
