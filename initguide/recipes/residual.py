"""Recipes for residual networks: their branches start at zero, or small."""

from collections import Counter
from glob import escape

from torch import nn

from initguide.graph.layer_info import LAYERS, NORMS, PACKED
from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.auto import auto
from initguide.recipes.common import GATE_RULES, LINEAR_LAYERS, NORM_AND_BIAS_RULES, TABLES
from initguide.recipes.custom_params import custom_param_rules


def zero_gamma(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: the last norm of each branch starts at zero (Goyal et al., 2017)."""
    modules = dict(model.named_modules())
    layers = trace.layers.items()
    if not any(info.ends and isinstance(modules.get(name), NORMS) for name, info in layers):
        raise ValueError(
            "recipe 'zero_gamma' must find residual branches that end in a norm; got none in the "
            "trace"
        )
    return [Rule("*weight", "zeros_", on=NORMS, ends=True), *auto(model, trace)]


def gpt2(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules: std 0.02, and $0.02/\sqrt{N}$ at the end of each of $N$ branches.

    (Radford et al., 2019.)
    """
    _check_branches(trace, "gpt2")
    small: float = trace.branch_count**-0.5
    ends = [name for name, info in trace.layers.items() if info.ends]
    return [
        *custom_param_rules(model, trace, dict.fromkeys(ends, small), "normal_", std=0.02),
        *GATE_RULES,
        Rule("*weight", "normal_", on=LINEAR_LAYERS, ends=True, times=small, std=0.02),
        Rule("*_proj_weight", "normal_", on=nn.MultiheadAttention, std=0.02),
        Rule("*weight", "normal_", on=(*LINEAR_LAYERS, *TABLES), std=0.02),
        *NORM_AND_BIAS_RULES,
    ]


def fixup(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: branches scaled by depth, their last layers and the head at zero.

    The scale is $N^{-1/(2m-2)}$ for $N$ branches of $m$ layers each (Zhang et al., 2019). The
    model itself must hold the paper's scalar biases and multipliers: names with "bias" start at
    zero, and names with "scale" at one. The head is the layer that no other follows. A head that
    shares its weight with an embedding is not set to zero.
    """
    _check_branches(trace, "fixup")
    modules = dict(model.named_modules())
    layers = {
        name: info
        for name, info in trace.layers.items()
        if isinstance(modules.get(name), (*LAYERS, *PACKED))
    }
    counts = Counter(info.branch for info in layers.values())
    rules = []
    for name, info in layers.items():
        weight = f"{escape(name)}.weight"
        if not isinstance(modules[name], LINEAR_LAYERS):
            continue
        is_head = info.last and info.branch is None and not _is_shared(name, model)
        if info.ends or is_head:
            rules.append(Rule(weight, "zeros_"))
        elif info.branch is not None:
            # The end of this branch may be counted in another one, so a branch has two at least.
            depth = max(counts[info.branch], 2)
            times = trace.branch_count ** (-1 / (2 * depth - 2))
            rules.append(Rule(weight, "kaiming_normal_", times=times, nonlinearity="auto"))
    scales = [
        Rule(escape(name), "ones_")
        for name, _ in model.named_parameters(remove_duplicate=False)
        if "scale" in name.rpartition(".")[2]
    ]
    return [*rules, *scales, *auto(model, trace)]


def _is_shared(name: str, model: nn.Module) -> bool:
    """Return whether another module, such as an embedding, holds a layer's weight too."""
    weight = model.get_submodule(name).weight
    return sum(getattr(m, "weight", None) is weight for m in model.modules()) > 1


def _check_branches(trace: Trace, recipe: str) -> None:
    if not trace.branch_count:
        raise ValueError(f"recipe {recipe!r} must find residual branches; got none in the trace")
