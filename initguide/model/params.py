"""The parameters and buffers of a model, each once, with the modules that hold it."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from initguide._copies import private_copy
from initguide._tree import is_quantized
from initguide.model.spectral_norm import SpectralNorm, hooked_weights, spectral_norm_of


@dataclass(frozen=True)
class Param:
    """A parameter or buffer of a model.

    Attributes:
        name: Its first name, as in `named_parameters`. A parametrized weight has the name of the
            weight itself. Under spectral norm, its values are those before the division.
        holders: For each module that holds it: the module's name, the module, and the name of the
            parameter in it. A tied weight has several.
        is_parameter: Whether it is a parameter; otherwise it is a buffer.
        is_parametrized: Whether it is computed from other tensors, as under weight normalization.
        skip_reason: Why recipes leave it unchanged: it is frozen, it holds no real numbers, or
            another parameter holds its memory. Empty if they do not.
    """

    name: str
    holders: tuple[tuple[str, nn.Module, str], ...]
    is_parameter: bool = True
    is_parametrized: bool = False
    skip_reason: str = ""

    @property
    def tensor(self) -> Tensor:
        """The tensor itself; a parametrized weight is computed anew, by a private copy."""
        _, module, key = self.holders[0]
        if not self.is_parametrized:
            norm = spectral_norm_of(module, key)
            return norm.original if norm else getattr(module, key)
        with private_parametrizations(module):
            return getattr(module, key)

    @property
    def spectral_norms(self) -> list[SpectralNorm]:
        """What divides it by its spectral norm, in each module that holds it."""
        norms = [spectral_norm_of(module, key) for _, module, key in self.holders]
        return [norm for norm in norms if norm]


@contextmanager
def parametrizations_in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Compute parametrized weights without side effects.

    In train mode, spectral norm improves its estimate each time that the weight is read.
    """
    chains = [module for module in model.modules() if isinstance(module, ParametrizationList)]
    modes = [(step, step.training) for chain in chains for step in chain.modules()]
    for step, _ in modes:
        step.training = False
    try:
        yield
    finally:
        for step, mode in modes:
            step.training = mode


@contextmanager
def private_parametrizations(model: nn.Module) -> Iterator[None]:
    """Compute parametrized weights by private copies of what computes them, in eval mode."""
    chains = [module for module in model.modules() if isinstance(module, ParametrizationList)]
    steps = [(chain, name, step) for chain in chains for name, step in chain.named_children()]
    copies = [private_copy(step).eval() for _, _, step in steps]
    try:
        for (chain, name, _), copied in zip(steps, copies, strict=True):
            setattr(chain, name, copied)
        yield
    finally:
        for chain, name, step in steps:
            setattr(chain, name, step)


def params_of(model: nn.Module) -> list[Param]:
    """Return a model's parameters and buffers, each tensor once; a parametrized weight is one."""
    found: dict[Any, tuple[str, list[tuple[str, nn.Module, str]], bool, bool]] = {}
    for owner, module, key, tensor, kind in _named_tensors(model):
        identity: Hashable = (id(module), key) if tensor is None else id(tensor)
        if tensor is not None and kind == "parameter":
            identity = memory_of(tensor)
        new = (full_name(owner, key), [], kind != "buffer", kind == "parametrized")
        found.setdefault(identity, new)[1].append((owner, module, key))
    return _with_overlaps(
        [
            Param(name, tuple(holders), is_parameter, parametrized, _skip_reason(model, holders[0]))
            for name, holders, is_parameter, parametrized in found.values()
        ]
    )


def memory_of(tensor: Tensor) -> Hashable:
    """Return what two tensors have in common if they are the same values in the same memory."""
    if not _has_memory(tensor):
        return id(tensor)
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _has_memory(tensor: Tensor) -> bool:
    is_plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided
    return is_plain and not tensor.is_meta and tensor.numel() > 0


def _with_overlaps(params: list[Param]) -> list[Param]:
    """Let recipes skip each parameter whose memory is in part that of a larger one."""
    by_storage: dict[int, list[Param]] = {}
    for param in params:
        if param.is_parameter and not param.is_parametrized and _has_memory(param.tensor):
            address = param.tensor.untyped_storage().data_ptr()
            by_storage.setdefault(address, []).append(param)
    reasons: dict[str, str] = {}
    for group in by_storage.values():
        kept: list[Param] = []
        for param in sorted(group, key=lambda p: (bool(p.skip_reason), -p.tensor.numel())):
            other = next((each for each in kept if _overlap(each.tensor, param.tensor)), None)
            if other is None:
                kept.append(param)
            else:
                reasons[param.name] = f"shares memory with {other.name}"
    return [replace(p, skip_reason=reasons.get(p.name, p.skip_reason)) for p in params]


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors with the same storage have a value in common."""
    first, second = _span(one), _span(other)
    low, high = min(first.start, second.start), max(first.stop, second.stop)
    if high - low >= len(first) + len(second):
        return False
    if one.itemsize != other.itemsize:
        return True
    used = torch.zeros((high - low) // one.itemsize, dtype=torch.bool, device="cpu")
    places = [
        used.as_strided(t.shape, t.stride(), t.storage_offset() - low // one.itemsize)
        for t in (one, other)
    ]
    places[0].fill_(True)
    return bool(places[1].any())


def _span(tensor: Tensor) -> range:
    """Return the bytes of its storage from the first to the last value of a tensor."""
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    start = tensor.storage_offset() * tensor.itemsize
    return range(start, start + (last + 1) * tensor.itemsize)


def _skip_reason(model: nn.Module, holder: tuple[str, Any, str]) -> str:
    """Return why recipes leave a parameter unchanged, or a buffer beside frozen parameters."""
    owner, module, key = holder
    norm = spectral_norm_of(module, key)
    if norm is None and is_parametrized(module, key):
        parts = [*module.parametrizations[key].parameters()]
        return "" if any(part.requires_grad for part in parts) else "frozen"
    tensor = norm.original if norm else getattr(module, key)
    if isinstance(tensor, nn.Parameter):
        kind = str(tensor.dtype) if is_quantized(tensor) else ""
        return kind or ("" if tensor.requires_grad else "frozen")
    # A norm without parameters may belong to a frozen part of the model.
    names = owner.split(".")
    for depth in range(len(names), -1, -1):
        beside = [*model.get_submodule(".".join(names[:depth])).parameters()]
        if beside:
            return "" if any(each.requires_grad for each in beside) else "frozen"
    return ""


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor | None, str]]:
    """Yield owner's name, owner, key, tensor and kind of each parameter and buffer."""
    for owner, module in model.named_modules(remove_duplicate=False):
        # The original tensors of a parametrized weight are set through the weight.
        if "parametrizations" in owner.split("."):
            continue
        if is_parametrized(module):
            for key in module.parametrizations:  # pyright: ignore[reportGeneralTypeIssues]
                norm = spectral_norm_of(module, str(key))
                if norm:
                    yield owner, module, str(key), norm.original, "parameter"
                else:
                    yield owner, module, str(key), None, "parametrized"
        hooked = {f"{key}_orig": key for key in hooked_weights(module)}
        vectors = {f"{key}_{end}" for key in hooked.values() for end in "uv"}
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            yield owner, module, hooked.get(key, key), parameter, "parameter"
        for key, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            if key not in vectors:
                yield owner, module, key, buffer, "buffer"


def full_name(owner: str, key: str) -> str:
    """Return the full name of a parameter from its owner's name and its name in the owner."""
    return f"{owner}.{key}" if owner else key
