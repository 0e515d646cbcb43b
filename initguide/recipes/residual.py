"""Residual networks: branches that start as nothing, or as little."""

from torch import nn

from initguide.recipes.auto import auto
from initguide.recipes.common import DENSE, GATES, NEUTRAL
from initguide.rule import Rule
from initguide.trace import NORMS, Trace


def zero_gamma(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: the last norm of each branch starts at zero (Goyal et al., 2017)."""
    _check_branches(trace, "zero_gamma")
    return [Rule("*weight", "zeros_", on=NORMS, ends=True), *auto(model, trace)]


def gpt2(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: std 0.02, what ends a branch by 1/sqrt(number) (Radford et al., 2019)."""
    _check_branches(trace, "gpt2")
    weights = (*DENSE, nn.Embedding, nn.EmbeddingBag)
    return [
        *NEUTRAL,
        *GATES,
        Rule("*weight", "normal_", on=DENSE, ends=True, times=trace.branches**-0.5, std=0.02),
        Rule("*_proj_weight", "normal_", on=nn.MultiheadAttention, std=0.02),
        Rule("*weight", "normal_", on=weights, std=0.02),
    ]


def fixup(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: branches scaled by depth, their last layers and the head zero.

    The scale is $L^{-1/(2m-2)}$ for $L$ branches of $m$ layers each (Zhang et al., 2019). The
    scalar biases and multipliers of the paper are the model's own: names with "bias" start at zero,
    those with "scale" at one.
    """
    _check_branches(trace, "fixup")
    modules = dict(model.named_modules())
    dense = {n: p for n, p in trace.places.items() if isinstance(modules[n], DENSE)}
    rules = []
    for name, place in dense.items():
        if place.branch is None:
            continue
        count = sum(other.branch == place.branch for other in dense.values())
        if place.ends:
            rules.append(Rule(f"{name}.weight", "zeros_"))
        else:
            times = trace.branches ** (-1 / (2 * count - 2))
            rules.append(
                Rule(f"{name}.weight", "kaiming_normal_", times=times, nonlinearity="auto")
            )
    outside = [name for name, place in dense.items() if place.branch is None]
    head = [Rule(f"{outside[-1]}.weight", "zeros_")] if outside[1:] else []
    return [*rules, *head, Rule("*scale*", "ones_"), *auto(model, trace)]


def _check_branches(trace: Trace, recipe: str) -> None:
    if not trace.branches:
        raise ValueError(f"recipe {recipe!r} must find residual branches; got none in the trace")
