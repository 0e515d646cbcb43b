"""The weights of a layer, under whichever name the layer or the model holds them."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from initguide._tree import dequantized
from initguide.diagnostics.statistics import copies, size
from initguide.graph.custom_layers import custom_layer
from initguide.graph.trace import Trace
from initguide.model.params import full_name


@dataclass(frozen=True)
class OwnWeight:
    """A parameter that the forward uses itself, in place of a layer.

    Attributes:
        name: Its name in `named_parameters`.
        weight: Its values, as the operation takes them.
        operation: The name of the function.
        role: "weight" if it is multiplied as a matrix, "table" if its vectors are looked up or
            added, "rate" if it multiplies a time step, or "scale" if it multiplies other entries.
        fan_in: The number of inputs of one output; None if that is not known.
    """

    name: str
    weight: Tensor
    operation: str
    role: str
    fan_in: float | None


def fan_in_of(operation: str, weight: Tensor, arguments: Any) -> float | None:
    """Return how many products one output of an operation with this weight sums."""
    shape, is_first = weight.shape, bool(arguments) and arguments[0] is weight
    if operation.startswith("conv_transpose"):
        return weight.numel() / shape[1]
    if operation == "linear" or operation.startswith("conv"):
        return weight.numel() / shape[0]
    if operation in ("matmul", "mm", "bmm", "mv", "addmm", "baddbmm", "grouped_mm"):
        return shape[-1] if is_first or weight.ndim < 2 else shape[-2]
    if operation == "einsum" and isinstance(arguments[0], str) and "->" in arguments[0]:
        given, result = arguments[0].replace(" ", "").split("->")
        parts = zip(given.split(","), arguments[1:], strict=False)
        axes = next((letters for letters, each in parts if each is weight), "")
        summed = [size for size, each in zip(shape, axes, strict=False) if each not in result]
        return math.prod(summed) if len(axes) == weight.ndim else None
    if operation == "inner":
        return shape[-1]
    return shape[-2] if operation in ("rmatmul", "imatmul") else None


def is_zero(module: Any) -> bool:
    """Return whether a weight is zero everywhere; a parametrized one is not read."""
    if isinstance(module, nn.Module) and is_parametrized(module):
        return False
    last = module.out_proj if isinstance(module, nn.MultiheadAttention) else module
    weight = getattr(last, "weight", None)
    # A first look at a few values, because the whole weight may be large.
    if not isinstance(weight, Tensor) or weight.is_quantized or weight.numel() == 0:
        return False
    weight = weight.detach()
    return not weight[:1].any() and not weight.any() if weight.ndim else not weight


@dataclass(frozen=True)
class Weights:
    """A layer's main weight, and the facts that the checks need.

    Attributes:
        shape: Its shape as text.
        fan_in: Its fan-in; for packed gates and projections, the fan-in of one block; None if it
            is not known.
        rms: Its root mean square.
        last_rms: That of the layer's last weight: the output projection of attention.
        zero: Whether it, or the last weight of the layer, is zero everywhere.
        copies: How many units have the same weights as another unit.
        tensor: The weight.
    """

    shape: str
    fan_in: float | None
    rms: float
    last_rms: float
    zero: bool
    copies: int
    tensor: Tensor


def weights_of(name: str, module: Any, found: Trace) -> Weights:
    """Return the weights of a layer; reading parametrized weights may change their buffers."""
    if isinstance(module, OwnWeight):
        return _own(module)
    keys = _names(module)
    parts = [dequantized(getattr(module, key).detach()) for key in keys]
    main = parts[0]
    last = module.out_proj.weight if isinstance(module, nn.MultiheadAttention) else main
    # Units of a recurrent layer are copies only if they also read the state in the same way.
    rows = torch.cat(parts, 1) if isinstance(module, (nn.RNNBase, nn.RNNCellBase)) else main
    transposed = getattr(module, "transposed", False) or custom_layer(module).layout == "in_out"
    rms = float(size(main))
    return Weights(
        shape=_shape(main),
        fan_in=found.fans(full_name(name, keys[0]), module, keys[0]).fan_in,
        rms=rms,
        last_rms=rms if last is main else float(size(last)),
        zero=not last.detach().any(),
        copies=0 if _apart(module) else copies(rows.transpose(0, 1) if transposed else rows),
        tensor=main,
    )


def _own(own: OwnWeight) -> Weights:
    rms = float(size(own.weight))
    return Weights(
        shape=_shape(own.weight),
        fan_in=own.fan_in,
        rms=rms,
        last_rms=rms,
        zero=not own.weight.any(),
        copies=0,
        tensor=own.weight,
    )


def _shape(weight: Tensor) -> str:
    return " × ".join(map(str, weight.shape)) or "scalar"


def _names(module: Any) -> list[str]:
    if isinstance(module, nn.MultiheadAttention):
        return ["in_proj_weight" if module.in_proj_weight is not None else "q_proj_weight"]
    if isinstance(module, nn.RNNCellBase):
        return ["weight_ih", "weight_hh"]
    return ["weight_ih_l0", "weight_hh_l0"] if isinstance(module, nn.RNNBase) else ["weight"]


def _apart(module: Any) -> bool:
    """Return whether equal rows see different inputs, or are not units."""
    embedding = isinstance(module, (nn.Embedding, nn.EmbeddingBag))
    return embedding or getattr(module, "groups", 1) > 1


def same(one: Weights, other: Weights) -> bool:
    """Return whether two layers have equal weights, bit for bit, that are not shared."""
    a, b = one.tensor, other.tensor
    if a.shape != b.shape or a.device != b.device or a.data_ptr() == b.data_ptr():
        return False
    return torch.equal(a, b)


def drawn(weights: Weights) -> bool:
    """Return whether a weight was drawn: identities and constants hold only one or two values."""
    some = weights.tensor.flatten()[:1000]
    return len((torch.view_as_real(some) if some.is_complex() else some).unique()) > 2


def kind(module: nn.Module) -> str:
    """Return the name of the class, without the prefix of a parametrization."""
    return type(module).__name__.removeprefix("Parametrized")
