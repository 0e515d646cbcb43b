"""What most recipes share: norms, biases, the gates of recurrent layers, embeddings."""

from torch import Tensor, nn

from initguide.graph.custom_layers import Dense
from initguide.graph.layer_info import NORMS
from initguide.model.rule import Rule

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
LSTM = (nn.LSTM, nn.LSTMCell)
# What sums its inputs, but for the projections that attention keeps to itself.
TORCHS = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)
DENSE = (*TORCHS, Dense)


def remembering_(tensor: Tensor) -> Tensor:
    """Fill the bias of an LSTM with zeros, that of the forget gate with ones."""
    tensor.zero_().chunk(4)[1].fill_(1.0)
    return tensor


# The last rules of a recipe: a weight may stand in a module whose name holds "bias".
NEUTRAL = [
    Rule("*running_var", "ones_", on=NORMS),
    Rule("*running_mean", "zeros_", on=NORMS),
    Rule("*num_batches_tracked", "zeros_", on=NORMS),
    Rule("*weight", "ones_", on=NORMS),
    Rule("*weight", "constant_", on=nn.PReLU, val=0.25),
    # torch adds two biases in each gate: one of them takes the value.
    Rule("*bias_ih*", remembering_, on=LSTM),
    Rule("*bias*", "zeros_"),
]
GATES = [
    Rule("*weight_ih*", "xavier_uniform_", on=RECURRENT),
    Rule("*weight_h*", "orthogonal_", on=RECURRENT),
]
ATTENTION = [Rule("*_proj_weight", "xavier_uniform_", on=nn.MultiheadAttention)]
EMBEDDING = [Rule("*weight", "normal_", on=(nn.Embedding, nn.EmbeddingBag))]
# A table of biases, such as T5's of relative positions, starts as they do.
TABLES = [Rule("*bias.weight", "zeros_", on=(nn.Embedding, nn.EmbeddingBag)), *EMBEDDING]
