"""Where a layer stands in its network: what rules and recipes ask about it."""

from dataclasses import dataclass

from torch import nn

from initguide.activations import Nonlinearity
from initguide.graph.custom_layers import Dense, Norm
from initguide.layers.convolution import CONVOLUTIONS

LAYERS = (nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, *CONVOLUTIONS, Dense)
PACKED = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
    Norm,
)
TRANSFORMER = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


@dataclass(frozen=True)
class Place:
    """Where a layer stands.

    Attributes:
        nonlinearity: What follows it; what [gain][initguide.gain] takes.
        label: The same in a word or two, for people.
        branch: The number of the residual branch that it is in, from 0; None outside.
        ends: Whether its output is the branch's, or becomes it through a norm; or it is that norm.
        last: Whether no layer is behind it.
        note: What is not known.
    """

    nonlinearity: Nonlinearity = "linear"
    label: str = "linear"
    branch: int | None = None
    ends: bool = False
    last: bool = False
    note: str = ""
