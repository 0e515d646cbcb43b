"""Recipes whose point is the last layer: policy and value heads, and the prior of a rare class."""

import math
from glob import escape
from typing import Any

from torch import nn

from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.auto import auto
from initguide.recipes.common import LINEAR_LAYERS
from initguide.recipes.one_method import orthogonal


def ppo(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules: orthogonal with gain $\sqrt2$, the policy head 0.01, the value head 1.

    The value head is the last layer with "value" or "critic" in its name, or else the only one with
    a single output. The other last layers are policy heads. Biases start at zero (S. Huang et al.,
    2022, The 37 Implementation Details of Proximal Policy Optimization, core detail 2; the function
    `layer_init` in `ppo.py` of vwxyzjn/ppo-implementation-details).
    """
    heads = _heads(model, trace)
    values = _named(heads, "value", "critic")
    if not values:
        single = [name for name, size in heads.items() if size == 1]
        values = single if len(single) == 1 and len(heads) > 1 else []
    policies = [name for name in heads if name not in values]
    for role, names in (("value head", values), ("policy head", policies)):
        if not names:
            raise ValueError(f"recipe 'ppo' needs a layer with the role {role!r}; {_got(heads)}")
    gains = dict.fromkeys(policies, 0.01) | dict.fromkeys(values, 1.0)
    return [
        *(Rule(f"{escape(n)}.weight", "orthogonal_", gain=gain) for n, gain in gains.items()),
        Rule("*weight", "orthogonal_", on=LINEAR_LAYERS, gain=math.sqrt(2)),
        *orthogonal(model, trace),
    ]


def focal(model: nn.Module, trace: Trace, *, prior: float = 0.01) -> list[Rule]:
    r"""Return the rules: the class head N(0, 0.01²), with the bias $-\log((1 - \pi) / \pi)$.

    Then each class gets the probability $\pi$ at the start. The class head is the only last layer,
    or else the one with "cls", "class" or "logit" in its name (T.-Y. Lin et al., 2017, Focal Loss
    for Dense Object Detection).
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior must be between 0 and 1; got {prior}")
    heads = _heads(model, trace)
    names = [*heads] if len(heads) == 1 else _named(heads, "cls", "class", "logit")
    if not names:
        raise ValueError(f"recipe 'focal' needs a layer with the role 'class head'; {_got(heads)}")
    bias = -math.log((1 - prior) / prior)
    return [
        *(Rule(f"{escape(name)}.weight", "normal_", std=0.01) for name in names),
        *(Rule(f"{escape(name)}.bias", "constant_", val=bias) for name in names),
        *auto(model, trace),
    ]


def _heads(model: nn.Module, trace: Trace) -> dict[str, int]:
    """Return the last layers outside residual branches, each with the number of its outputs."""
    modules: dict[str, Any] = dict(model.named_modules())
    return {
        name: modules[name].weight.shape[0]
        for name, info in trace.layers.items()
        if info.last and info.branch is None and isinstance(modules.get(name), LINEAR_LAYERS)
    }


def _named(heads: dict[str, int], *words: str) -> list[str]:
    return [name for name in heads if any(word in name.lower() for word in words)]


def _got(heads: dict[str, int]) -> str:
    return f"got the last layers {', '.join(heads)}" if heads else "got no last layer"
