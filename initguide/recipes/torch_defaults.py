"""What torch itself draws when it builds the layers."""

import math
from glob import escape

from torch import nn

from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.common import EMBEDDING, NEUTRAL, RECURRENT, TORCHS


def torch_defaults(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules of torch 2.13, its fans and its biases included."""
    rules = []
    for name, module in model.named_modules():
        prefix = f"{escape(name)}." if name else ""
        if isinstance(module, nn.Transformer):
            rules += [
                Rule(key, "xavier_uniform_", shape_fans=True)
                for key in (
                    prefix + escape(key) for key, p in module.named_parameters() if p.ndim > 1
                )
            ]
        bound = _bound(module)
        if bound is not None:
            bias = "*" if isinstance(module, RECURRENT) else "bias"
            rules.append(Rule(prefix + bias, "uniform_", on=type(module), a=-bound, b=bound))
            if isinstance(module, nn.Bilinear):
                rules.append(Rule(f"{prefix}weight", "uniform_", a=-bound, b=bound))
    # Attention's own output projection has a bias of zero.
    attention = [
        Rule("*out_proj.bias", "zeros_", on=nn.modules.linear.NonDynamicallyQuantizableLinear),
        Rule("*_proj_weight", "xavier_uniform_", on=nn.MultiheadAttention, shape_fans=True),
        Rule("*bias_[kv]", "xavier_normal_", on=nn.MultiheadAttention, shape_fans=True),
    ]
    # What acts like one of its layers has no default of torch's.
    weights = [Rule("*weight", "kaiming_uniform_", on=TORCHS, shape_fans=True, a=math.sqrt(5))]
    # A head that is tied to an embedding is given its weight, not the other way round.
    return [*attention, *rules, *EMBEDDING, *weights, *NEUTRAL]


def _bound(module: nn.Module) -> float | None:
    """Return the bound of a layer's bias, or of all its parameters if it is recurrent."""
    if isinstance(module, RECURRENT):
        return 1 / math.sqrt(module.hidden_size)
    if isinstance(module, nn.Bilinear):
        return 1 / math.sqrt(module.in1_features)
    if isinstance(module, TORCHS) and module.bias is not None:
        return 1 / math.sqrt(nn.init._calculate_fan_in_and_fan_out(module.weight)[0])
    return None
