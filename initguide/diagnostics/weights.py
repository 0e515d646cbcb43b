"""The weights of a layer, under whichever name the layer holds them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from initguide._tree import dequantized
from initguide.diagnostics.statistics import copies, moments
from initguide.graph.custom_layers import custom_layer
from initguide.graph.trace import Trace
from initguide.model.params import full_name


@dataclass(frozen=True)
class Weights:
    """A layer's main weight, and the facts that the checks need.

    Attributes:
        shape: Its shape as text.
        fan_in: Its fan-in; for packed gates and projections, the fan-in of one block.
        rms: Its root mean square.
        zero: Whether it, or the last weight of the layer, is zero everywhere.
        copies: How many units have the same weights as another unit.
        tensor: The weight.
    """

    shape: str
    fan_in: float
    rms: float
    zero: bool
    copies: int
    tensor: Tensor


def weights_of(name: str, module: Any, found: Trace) -> Weights:
    """Return the weights of a layer; reading parametrized weights may change their buffers."""
    keys = _names(module)
    parts = [dequantized(getattr(module, key).detach()) for key in keys]
    main = parts[0]
    last = module.out_proj.weight if isinstance(module, nn.MultiheadAttention) else main
    # Units of a recurrent layer are copies only if they also read the state in the same way.
    rows = torch.cat(parts, 1) if isinstance(module, (nn.RNNBase, nn.RNNCellBase)) else main
    transposed = getattr(module, "transposed", False) or custom_layer(module).layout == "in_out"
    rms = moments(main, None)[2]
    return Weights(
        shape=" × ".join(map(str, main.shape)),
        fan_in=found.fans(full_name(name, keys[0]), module, keys[0]).fan_in,
        rms=float(rms),
        zero=not last.detach().any(),
        copies=0 if _apart(module) else copies(rows.transpose(0, 1) if transposed else rows),
        tensor=main,
    )


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
    return len(weights.tensor.flatten()[:1000].unique()) > 2


def kind(module: nn.Module) -> str:
    """Return the name of the class, without the prefix of a parametrization."""
    return type(module).__name__.removeprefix("Parametrized")
