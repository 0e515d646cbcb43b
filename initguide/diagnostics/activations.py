"""Watch the activations of a model: how much of a layer's output they let through."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from initguide.activations import FUNCTIONS
from initguide.diagnostics.hooks import Layer, Watch, axes
from initguide.diagnostics.statistics import counts

# Outputs between which the slope is above a twentieth of its largest value; of the steps, the ends.
_FLAT = {
    "tanh": (-0.9747, 0.9747),
    "sigmoid": (0.01266, 0.98734),
    "softsign": (-0.7764, 0.7764),
    "hardsigmoid": (0.0, 1.0),
}
_RECTIFIERS = ("relu", "relu6")
_WATCHED = {*_FLAT, *_RECTIFIERS, "hardtanh"}


class Activations(TorchFunctionMode):
    """See each activation, whether a module or a function calls it."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = getattr(func, "__name__", "").strip("_")
        if name in _WATCHED and isinstance(output, Tensor) and output.is_floating_point():
            _activation(self.watch, name, args, kwargs, output.detach())
        elif name == "pixel_shuffle" and self.watch.layers:
            self.watch.layers[-1].shuffled = True
        return output


def _activation(watch: Watch, name: str, args: Any, kwargs: Any, a: Tensor) -> None:
    layers = [layer for layer in watch.open if _followed_by(layer, name, watch)]
    if not layers or a.numel() == 0:
        return
    watch.open = [layer for layer in watch.open if layer not in layers]
    low, high = _FLAT.get(name, (0.0, 6.0))
    if name == "hardtanh":
        low, high = kwargs.get("min_val", -1.0), kwargs.get("max_val", 1.0)
    mask = _scratch(watch, a)
    if name in _RECTIFIERS or (low == 0 and name == "hardtanh"):
        torch.gt(a, 0, out=mask)
        for layer in layers:
            axis = axes(layer.module, a, None)[1]
            active = counts(mask, axis)
            layer.zeros = 1 - active.sum() / a.numel()
            layer.dead = (active == 0).sum() if len(active) == layer.units else None
        return
    torch.sub(a, (low + high) / 2, out=mask)
    share = mask.abs_().ge_((high - low) / 2).sum() / a.numel()
    for layer in layers:
        layer.saturated = share


def _followed_by(layer: Layer, name: str, watch: Watch) -> bool:
    """Return whether this call is of the activation that follows the layer."""
    label = layer.place.label.replace("_", "")
    if label == name or (label == "relu6" and name == "hardtanh"):
        return True
    if layer is not watch.layers[-1]:
        return False
    # Where the trace does not say: the next call; within somebody's own activation, a rectifier's.
    unknown = bool(layer.place.note) and label in ("linear", "unknown")
    own = layer.place.label not in FUNCTIONS and name in _RECTIFIERS
    return unknown or (own and label not in ("linear", "unknown", "output"))


def _scratch(watch: Watch, like: Tensor) -> Tensor:
    """Return memory for a mask of zeros and ones, the same for all layers."""
    held = watch.scratch
    if held is None or held.numel() < like.numel() or held.device != like.device:
        held = watch.scratch = torch.empty(like.numel(), device=like.device)
    return held[: like.numel()].view(like.shape)
