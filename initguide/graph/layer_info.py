"""The kinds of layers, and what rules and recipes know about one layer of a model."""

from dataclasses import dataclass

from torch import nn

from initguide._torch_internals import NormBase
from initguide.activations import Nonlinearity
from initguide.graph.custom_layers import CustomLinear, CustomNorm
from initguide.layers.convolution import CONVOLUTIONS

# Layers with one weight.
LAYERS = (nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, *CONVOLUTIONS, CustomLinear)
# Layers that pack several weights into one parameter.
PACKED = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
NORMS = (
    NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
    CustomNorm,
)
# Blocks of torch whose forward cannot be traced; their layers are known.
TRANSFORMER = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def has_own_forward(module: nn.Module) -> bool:
    """Return whether the class of a module is a subclass of one of torch, with another forward."""
    kinds = type(module).__mro__
    base = next(kind for kind in kinds if kind.__module__.startswith("torch.nn."))
    return base is not nn.Module and type(module).forward is not base.forward


@dataclass(frozen=True)
class LayerInfo:
    """What the trace found out about one layer.

    Attributes:
        nonlinearity: The activation that follows, in the form that [gain][initguide.gain] takes.
        label: Its name in a printed plan.
        branch: The number of the residual branch that holds the layer, from 0; None outside.
        ends: Whether the layer ends its branch: it is the last layer, or the norm after it.
        sum_factor: The constant that the forward multiplies the sum of its branch and the skip by.
        last: Whether no layer follows it in the model.
        note: What is not known.
        between: The operations between the layer and its activation, in order.
    """

    nonlinearity: Nonlinearity = "linear"
    label: str = "linear"
    branch: int | None = None
    ends: bool = False
    sum_factor: float = 1.0
    last: bool = False
    note: str = ""
    between: tuple[str, ...] = ()
