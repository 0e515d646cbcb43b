"""Run a model itself, and afterwards restore all that its forward changed.

A private copy of a model would need the memory of its parameters again, and a loss could not read
the attributes that the forward sets. So the model runs itself. Before, the content of each object
that the forward can reach is noted. Afterwards, each object holds its own content again.
"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from initguide._contents import Contents
from initguide._isolation import in_use
from initguide._state import on_gpus
from initguide._torch_internals import memory_of, writes_in_place
from initguide._tree import tensors


@contextmanager
def side_effects_undone(model: nn.Module, *others: Any) -> Iterator[None]:
    """Restore everything but the values of the parameters after a forward pass and a loss.

    This covers buffers, attributes of any kind, modes, hooks, gradients, `requires_grad`, the
    globals that the forward reaches, and random states. A generator that the forward reads goes on.

    Args:
        model: The model that runs; of its parameters, the gradients are set aside.
        *others: Other objects that the forward may change, such as its arguments.
    """
    contents = Contents()
    contents.note(model, *others)
    # The fast path of attention packs a padded batch into a nested tensor, which has no variance.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with in_use(contents, *on_gpus(model.parameters())):
            for parameter in model.parameters():
                # A loss that calls backward would add to an existing gradient.
                parameter.grad = None
            # Each function of torch takes longer while these are watched.
            with ValuesKept(contents.large) if contents.large else nullcontext():
                yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def contents_kept(*values: Any) -> Iterator[None]:
    """Restore what some values hold, such as the tensors of a batch."""
    contents = Contents()
    contents.note(*values)
    try:
        yield
    finally:
        contents.close()


class ValuesKept(TorchFunctionMode):
    """Restore large tensors that a forward writes to, such as a moving average of weights.

    Few models do this. So the values of a tensor are copied only before a function writes to it.
    """

    def __init__(self, kept: Iterable[Tensor]) -> None:
        super().__init__()
        self._held: dict[int, list[Tensor]] = {}
        self._written = Contents()
        for tensor in kept:
            self._held.setdefault(memory_of(tensor), []).append(tensor)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        written = [*args[:1]] if writes_in_place(func) else []
        if "out" in kwargs:
            written.append(kwargs["out"])
        # Most functions write to nothing.
        for tensor in tensors(written) if written else ():
            for kept in self._held.pop(memory_of(tensor), []):
                self._written.note_values(kept)
        return func(*args, **kwargs)

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._written.close()


@contextmanager
def training_undone(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Restore all that training steps change: the weights and the optimizer as well."""
    attributes, state = dict(vars(optimizer)), dict(optimizer.state)
    groups = [(group, dict(group)) for group in optimizer.param_groups]
    # An optimizer may hold parameters of other models, or of the loss.
    held = {*model.parameters(), *(p for group, _ in groups for p in group["params"])}
    gradients, values = [(p, p.grad) for p in held], Contents()
    for parameter in held:
        if parameter.requires_grad:
            values.note_values(parameter)
    # Few forwards write to frozen parameters, which may be large.
    frozen = ValuesKept(p for p in held if not p.requires_grad)
    # The steps change copies of the state. The parameters in it stay the same objects.
    same: dict[int, Any] = {id(parameter): parameter for parameter in held}
    try:
        optimizer.state.update(copy.deepcopy(state, same))
        for group, before in groups:
            group.update(copy.deepcopy(before, same))
        for parameter in held:
            parameter.grad = None
        with frozen, side_effects_undone(model):
            yield
    finally:
        vars(optimizer).clear()
        vars(optimizer).update(attributes)
        restored: list[tuple[Any, Any]] = [(optimizer.state, state), *groups]
        for mapping, before in restored:
            mapping.clear()
            mapping.update(before)
        values.close()
        for parameter, gradient in gradients:
            parameter.grad = gradient
