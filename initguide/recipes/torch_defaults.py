"""The recipe "torch": the values that torch draws when it builds the layers."""

import math
from glob import escape

from torch import nn

from initguide._torch_internals import AttentionProjection
from initguide.fans import fans
from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.common import (
    EMBEDDING_RULES,
    NORM_AND_BIAS_RULES,
    RECURRENT,
    TORCH_LINEAR_LAYERS,
)


def torch_defaults(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules of torch 2.13, with its fans and its biases."""
    rules = []
    for name, module in model.named_modules():
        prefix = f"{escape(name)}." if name else ""
        if isinstance(module, nn.Transformer):
            matrices = [key for key, p in module.named_parameters() if p.ndim > 1]
            rules += [
                Rule(prefix + escape(key), "xavier_uniform_", shape_fans=True) for key in matrices
            ]
        bound = default_bound(module)
        if bound is not None:
            bias = "*" if isinstance(module, RECURRENT) else "bias"
            rules.append(Rule(prefix + bias, "uniform_", on=type(module), a=-bound, b=bound))
            if isinstance(module, nn.Bilinear):
                rules.append(Rule(f"{prefix}weight", "uniform_", a=-bound, b=bound))
    # The output projection of attention has a bias of zero.
    attention = [
        Rule("*out_proj.bias", "zeros_", on=AttentionProjection),
        Rule("*_proj_weight", "xavier_uniform_", on=nn.MultiheadAttention, shape_fans=True),
        Rule("*bias_[kv]", "xavier_normal_", on=nn.MultiheadAttention, shape_fans=True),
    ]
    # A custom linear layer has no default of torch.
    options = {"shape_fans": True, "a": math.sqrt(5)}
    weights = [Rule("*weight", "kaiming_uniform_", on=TORCH_LINEAR_LAYERS, **options)]
    # A head that is tied to an embedding takes the weight of the embedding.
    return [*attention, *rules, *EMBEDDING_RULES, *weights, *NORM_AND_BIAS_RULES]


def default_bound(module: nn.Module) -> float | None:
    """Return the bound of a layer's bias, or of all parameters of a recurrent layer."""
    if isinstance(module, RECURRENT):
        return 1 / math.sqrt(module.hidden_size)
    if isinstance(module, nn.Bilinear):
        return 1 / math.sqrt(module.in1_features)
    if isinstance(module, TORCH_LINEAR_LAYERS) and module.bias is not None:
        return 1 / math.sqrt(fans(module.weight.shape).fan_in)
    return None
