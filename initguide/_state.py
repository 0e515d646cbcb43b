"""What keeps a model and the random state as they were."""

# Others may draw from NumPy's legacy global state, which is kept and seeded for that.
# ruff: noqa: NPY002

import copy
import random
import traceback
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized


def on_gpus(tensors: Iterable[Tensor]) -> set[torch.device]:
    """Return the GPUs that hold these tensors, each with a random state of its own."""
    return {tensor.device for tensor in tensors if tensor.device.type == "cuda"}


@contextmanager
def random_states_kept(*devices: torch.device) -> Iterator[None]:
    """Put the global random states of torch, NumPy and Python back at the end."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def seed_global_states(seed: int, *devices: torch.device) -> None:
    """Seed all of them."""
    torch.default_generator.manual_seed(seed)
    for device in devices:
        torch.cuda.default_generators[device.index].manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def side_effects_undone(model: nn.Module) -> Iterator[None]:
    """Leave all but the weights as it is, whatever the forward pass and the loss do to it.

    That is buffers, modes, gradients and who requires them, and random states.
    """
    devices = on_gpus(model.parameters())
    modes = [(module, module.training) for module in model.modules()]
    held = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    # Attention's fast path packs a padded batch into a nested tensor, which has no variance.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        for parameter, _, _ in held:
            # To which a loss that runs backward itself would add.
            parameter.grad = None
        with random_states_kept(*devices):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes:
            module.training = mode
        for parameter, requires_grad, gradient in held:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient
        for module, name, buffer, value in buffers:
            # A buffer may have been written to, or replaced; an expanded one cannot be written to.
            if not torch.equal(buffer, value):
                buffer.copy_(value)
            setattr(module, name, buffer)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Undo what a forward leaves behind: attributes, hooks, and randomness drawn in it."""
    # Buffers are in a dict, and so are the hooks that some models give themselves when first run.
    own = [each for module in model.modules() for each in (vars(module), *vars(module).values())]
    held = [(each, dict(each)) for each in own if isinstance(each, dict)]
    try:
        with random_states_kept():
            yield
    finally:
        for attributes, before in held:
            attributes.clear()
            attributes.update(before)


@contextmanager
def unchanged_on_error(model: nn.Module, generator: torch.Generator | None) -> Iterator[None]:
    """Put parameters and random state back if anything goes wrong inside."""
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
    """Add to an error from within a model which of its layers raised it."""
    try:
        yield
    except Exception as error:
        names = {module: name or "model" for name, module in model.named_modules()}
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        running = [frame.f_locals.get("self") for frame in frames]
        layers = [each for each in running if isinstance(each, nn.Module) and each in names]
        # The innermost call; our own errors name it themselves.
        if layers and repr(names[layers[-1]]) not in str(error):
            layer = layers[-1]
            kind = type(layer).__name__ if layer._modules else repr(layer)
            error.add_note(f"raised in {names[layer]!r}: {kind}")
        raise


def left_alone(model: nn.Module, owners: list[Any]) -> dict[int, str]:
    """Return which of the weights that these modules own must not change, each with a reason."""
    notes = {identity(owner): "frozen" for owner in owners if not _trains(owner)}
    # Scaling an embedding tied to the head would change what has run already.
    known = {id(owner) for owner in owners}
    for name, module in model.named_modules():
        if id(module) not in known:
            for parameter in module.parameters(recurse=False):
                notes[id(parameter)] = f"shares the weight of {name or 'model'}"
    return notes


def _trains(owner: Any) -> bool:
    if is_parametrized(owner, "weight"):
        return any(p.requires_grad for p in owner.parametrizations.weight.parameters())
    return owner.weight.requires_grad


def identity(owner: Any) -> int:
    """Return what two modules have in common if they share a weight."""
    return id(owner) if is_parametrized(owner, "weight") else id(owner.weight)


def without_hooks(module: nn.Module) -> nn.Module:
    """Return a module with the same parameters that calls nobody else."""
    bare = copy.copy(module)
    bare._forward_hooks, bare._forward_pre_hooks = OrderedDict(), OrderedDict()
    return bare
