"""What of a model is to be initialized: its parameters, each once, and its buffers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from initguide._tree import is_quantized


@dataclass(frozen=True)
class Slot:
    """A parameter or buffer, by the first name that leads to it.

    Attributes:
        name: As in `named_parameters`; that of the weight itself where it is parametrized.
        holders: The modules that hold it, with their names and what they call it: more than one
            where it is tied.
        parameter: Whether it is one; else it is a buffer.
        parametrized: Whether it is computed from others, as under weight normalization.
        rests: Why a recipe leaves it as it is, if so: it is frozen, or it holds no real numbers.
    """

    name: str
    holders: tuple[tuple[str, nn.Module, str], ...]
    parameter: bool = True
    parametrized: bool = False
    rests: str = ""

    @property
    def tensor(self) -> Tensor:
        """The tensor itself; one that is parametrized is computed anew."""
        _, module, key = self.holders[0]
        if not self.parametrized:
            return getattr(module, key)
        with parametrizations_at_rest(module):
            return getattr(module, key)

    @property
    def names(self) -> list[str]:
        """All names that lead to it."""
        return [joined(owner, key) for owner, _, key in self.holders]


@contextmanager
def parametrizations_at_rest(model: nn.Module) -> Iterator[None]:
    """Let weights be computed without side effects: spectral norm improves its estimate by each."""
    chains = [module for module in model.modules() if isinstance(module, ParametrizationList)]
    modes = [(step, step.training) for chain in chains for step in chain.modules()]
    for step, _ in modes:
        step.training = False
    try:
        yield
    finally:
        for step, mode in modes:
            step.training = mode


def slots(model: nn.Module) -> list[Slot]:
    """Return a model's parameters and buffers, each tensor once; a parametrized weight is one."""
    found: dict[Any, tuple[str, list[tuple[str, nn.Module, str]], bool, bool]] = {}
    for owner, module, key, tensor, kind in _held(model):
        identity = (id(module), key) if kind == "parametrized" else id(tensor)
        fresh = (joined(owner, key), [], kind != "buffer", kind == "parametrized")
        found.setdefault(identity, fresh)[1].append((owner, module, key))
    return [
        Slot(name, tuple(holders), parameter, parametrized, _rests(model, holders[0]))
        for name, holders, parameter, parametrized in found.values()
    ]


def _rests(model: nn.Module, holder: tuple[str, Any, str]) -> str:
    """Return why a recipe leaves a parameter as it is, or a buffer beside frozen ones."""
    owner, module, key = holder
    if is_parametrized(module, key):
        parts = [*module.parametrizations[key].parameters()]
        return "" if any(part.requires_grad for part in parts) else "frozen"
    tensor = getattr(module, key)
    if isinstance(tensor, nn.Parameter):
        kind = str(tensor.dtype) if is_quantized(tensor) else ""
        return kind or ("" if tensor.requires_grad else "frozen")
    # A norm may have no parameters, and stand in a part of the model that is frozen.
    names = owner.split(".")
    for depth in range(len(names), -1, -1):
        beside = [*model.get_submodule(".".join(names[:depth])).parameters()]
        if beside:
            return "" if any(each.requires_grad for each in beside) else "frozen"
    return ""


def _held(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor | None, str]]:
    for owner, module in model.named_modules(remove_duplicate=False):
        parts = owner.split(".")
        # The originals of a parametrized weight are set through it.
        if "parametrizations" in parts:
            continue
        if is_parametrized(module):
            for key in module.parametrizations:  # pyright: ignore[reportGeneralTypeIssues]
                yield owner, module, str(key), None, "parametrized"
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            yield owner, module, key, parameter, "parameter"
        for key, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            yield owner, module, key, buffer, "buffer"


def joined(owner: str, key: str) -> str:
    """Return a full name from that of the owner and that within it."""
    return f"{owner}.{key}" if owner else key
