"""What the weights of a layer are, whatever the layer calls them."""

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
    """A layer's main weight, and what judging it takes.

    Attributes:
        shape: Its shape, for people.
        fan_in: Its fan-in; of packed gates and projections, that of one block.
        rms: Its root mean square.
        zero: Whether it, or what ends the layer, is zero throughout.
        copies: How many units have the weights of another one.
        tensor: The weight.
    """

    shape: str
    fan_in: float
    rms: float
    zero: bool
    copies: int
    tensor: Tensor


def weights_of(name: str, module: Any, found: Trace) -> Weights:
    """Return the weights of a layer; to read parametrized ones may move their buffers."""
    keys = _names(module)
    parts = [dequantized(getattr(module, key).detach()) for key in keys]
    main = parts[0]
    last = module.out_proj.weight if isinstance(module, nn.MultiheadAttention) else main
    # Of recurrent layers, units are copies if they also read the state alike.
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
    """Return whether equal rows see different inputs, or are no units."""
    embedding = isinstance(module, (nn.Embedding, nn.EmbeddingBag))
    return embedding or getattr(module, "groups", 1) > 1


def same(one: Weights, other: Weights) -> bool:
    """Return whether two layers' weights are bit-identical though each has its own."""
    a, b = one.tensor, other.tensor
    if a.shape != b.shape or a.device != b.device or a.data_ptr() == b.data_ptr():
        return False
    return torch.equal(a, b)


def drawn(weights: Weights) -> bool:
    """Return whether a weight holds more than zeros and ones, as identities and constants do."""
    return len(weights.tensor.flatten()[:1000].unique()) > 2


def kind(module: nn.Module) -> str:
    """Return the class's name as its user knows it."""
    return type(module).__name__.removeprefix("Parametrized")
