"""What keeps a model and the random state as they were."""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized


@contextmanager
def side_effects_undone(model: nn.Module) -> Iterator[None]:
    """Leave buffers and random states as they are, whatever the forward pass does to them."""
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    # Attention's fast path packs a padded batch into a nested tensor, which has no variance.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
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
        with torch.random.fork_rng(devices=[]):
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
