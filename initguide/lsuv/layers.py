"""Which layers LSUV scales, what each must have, and which weights it must not change."""

from collections.abc import Hashable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from initguide._sharding import is_sharded
from initguide._torch_internals import AttentionProjection
from initguide.graph.custom_layers import CustomLinear
from initguide.layers.convolution import CONVOLUTIONS
from initguide.model.params import memory_of
from initguide.model.spectral_norm import hooked_weights

_SCALED = (nn.Linear, *CONVOLUTIONS, CustomLinear)
# In the forward of these classes, a factor of the weight is a factor of the output.
_LINEAR_IN_WEIGHT = {layer.forward for layer in (nn.Linear, *CONVOLUTIONS, nn.MultiheadAttention)}


def weight_owner(module: nn.Module) -> Any:
    """Return the module that owns the weight of a layer's output; None if it is not scaled.

    The output of attention is that of its projection. Attention reads the weight of the projection
    and never calls it, so the projection by itself is no layer.
    """
    if isinstance(module, nn.MultiheadAttention):
        return module.out_proj
    is_layer = isinstance(module, _SCALED) and not isinstance(module, AttentionProjection)
    return module if is_layer else None


def scales_with_weight(module: nn.Module, owner: Any) -> bool:
    """Return whether a factor of the weight is known to be a factor of the layer's output."""
    return type(module).forward in _LINEAR_IN_WEIGHT and not is_parametrized(owner, "weight")


def check_layer(name: str, owner: Any) -> None:
    """Raise ValueError if the weight or the bias of a layer cannot be set."""
    for part in ("weight", "bias"):
        # Spectral norm improves its estimate each time that the weight is read.
        if part == "weight" and is_parametrized(owner, part):
            continue
        if part in hooked_weights(owner):
            raise ValueError(
                f"layer {name!r} must have a weight that can be set; got ['SpectralNorm']"
            )
        tensor = getattr(owner, part, None)
        if not isinstance(tensor, nn.Parameter) and not (part == "bias" and tensor is None):
            raise ValueError(
                f"layer {name!r} must hold its {part} as a parameter; got {type(tensor).__name__}"
            )
    if is_parametrized(owner) and any(map(is_sharded, owner.parameters())):
        kinds = [type(p).__name__ for each in owner.parametrizations.values() for p in each]
        raise ValueError(f"layer {name!r} must not be parametrized in a sharded model; got {kinds}")
    for part, tensor in owner.named_parameters():
        if not tensor.is_floating_point():
            raise ValueError(f"layer {name!r} must have a real {part}; got {tensor.dtype}")


def unscaled_weights(model: nn.Module, owners: list[Any]) -> dict[Hashable, str]:
    """Return the weights of these owners that must not change, each with the reason."""
    reasons = {
        weight_id(owner): "its bias sets steps or gates" for owner in owners if _is_shifted(owner)
    }
    reasons |= {weight_id(owner): "frozen" for owner in owners if not _requires_grad(owner)}
    # To scale an embedding that is tied to the head would change a layer that has already run.
    known = {id(owner) for owner in owners}
    for name, module in model.named_modules():
        if id(module) not in known:
            for parameter in module.parameters(recurse=False):
                reasons[memory_of(parameter)] = f"shares the weight of {name or 'model'}"
    return reasons


def _is_shifted(owner: Any) -> bool:
    """Return whether a bias is large and far to one side, as that of a step size or of a gate.

    It was set on purpose, and leaves no scale at which the output has unit variance.
    """
    bias = getattr(owner, "bias", None)
    if bias is None or is_sharded(bias) or bias.numel() < 2:
        return False
    variance, mean = torch.var_mean(bias.double(), correction=0)
    return bool(variance >= 1) and bool(mean**2 > variance)


def weight_id(owner: Any) -> Hashable:
    """Return what two owners have in common if they share a weight."""
    return id(owner) if is_parametrized(owner, "weight") else memory_of(owner.weight)


def _requires_grad(owner: Any) -> bool:
    if is_parametrized(owner, "weight"):
        return any(p.requires_grad for p in owner.parametrizations.weight.parameters())
    return owner.weight.requires_grad
