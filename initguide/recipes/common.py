"""Rules that most recipes share: norms, biases, the gates of recurrent layers, embeddings."""

from torch import Tensor, nn

from initguide._torch_internals import ConvBase
from initguide.graph.custom_layers import CustomLinear
from initguide.graph.layer_info import NORMS
from initguide.model.rule import Rule

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
LSTM = (nn.LSTM, nn.LSTMCell)
# Layers that multiply by a weight. (The input projections of attention are packed parameters.)
TORCH_LINEAR_LAYERS = (nn.Linear, nn.Bilinear, ConvBase)
LINEAR_LAYERS = (*TORCH_LINEAR_LAYERS, CustomLinear)
TABLES = (nn.Embedding, nn.EmbeddingBag)


def forget_gate_one_(tensor: Tensor) -> Tensor:
    """Fill an LSTM's bias with ones for the forget gate and with zeros for the other gates."""
    tensor.zero_().chunk(4)[1].fill_(1.0)
    return tensor


# These come last in a recipe: a module's name may contain "bias" while it holds a weight.
NORM_AND_BIAS_RULES = [
    Rule("*running_var", "ones_", on=NORMS),
    Rule("*running_mean", "zeros_", on=NORMS),
    Rule("*num_batches_tracked", "zeros_", on=NORMS),
    Rule("*weight", "ones_", on=NORMS),
    Rule("*weight", "constant_", on=nn.PReLU, val=0.25),
    # torch adds two biases in each gate, and one of them takes the value.
    Rule("*bias_ih*", forget_gate_one_, on=LSTM),
    Rule("*bias*", "zeros_"),
]
GATE_RULES = [
    Rule("*weight_ih*", "xavier_uniform_", on=RECURRENT),
    Rule("*weight_h*", "orthogonal_", on=RECURRENT),
]
ATTENTION_RULES = [Rule("*_proj_weight", "xavier_uniform_", on=nn.MultiheadAttention)]
EMBEDDING_RULES = [Rule("*weight", "normal_", on=TABLES)]
# A table of biases, such as T5's of relative positions, starts at zero like other biases.
TABLE_RULES = [Rule("*bias.weight", "zeros_", on=TABLES), *EMBEDDING_RULES]
