"""Residual networks: branches that start as nothing, or as little."""

from collections import Counter
from glob import escape

from torch import nn

from initguide.graph.layer_info import LAYERS, NORMS, PACKED
from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.auto import auto
from initguide.recipes.common import DENSE, GATES, NEUTRAL
from initguide.recipes.own import own


def zero_gamma(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: the last norm of each branch starts at zero (Goyal et al., 2017)."""
    modules = dict(model.named_modules())
    if not any(p.ends and isinstance(modules.get(n), NORMS) for n, p in trace.places.items()):
        raise ValueError(
            "recipe 'zero_gamma' must find residual branches that end in a norm; got none in the "
            "trace"
        )
    return [Rule("*weight", "zeros_", on=NORMS, ends=True), *auto(model, trace)]


def gpt2(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: std 0.02, what ends a branch by 1/sqrt(number) (Radford et al., 2019)."""
    _check_branches(trace, "gpt2")
    weights = (*DENSE, nn.Embedding, nn.EmbeddingBag)
    return [
        *own(model, trace, "normal_", std=0.02),
        *GATES,
        Rule("*weight", "normal_", on=DENSE, ends=True, times=trace.branches**-0.5, std=0.02),
        Rule("*_proj_weight", "normal_", on=nn.MultiheadAttention, std=0.02),
        Rule("*weight", "normal_", on=weights, std=0.02),
        *NEUTRAL,
    ]


def fixup(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: branches scaled by depth, their last layers and the head zero.

    The scale is $L^{-1/(2m-2)}$ for $L$ branches of $m$ layers each (Zhang et al., 2019). The
    scalar biases and multipliers of the paper are the model's own: names with "bias" start at zero,
    those with "scale" at one. The head is what no layer is behind; one that shares its weight with
    an embedding is left as it is.
    """
    _check_branches(trace, "fixup")
    modules = dict(model.named_modules())
    layers = {n: p for n, p in trace.places.items() if n in modules and _sums(modules[n])}
    counts = Counter(place.branch for place in layers.values())
    rules = []
    for name, place in layers.items():
        weight = f"{escape(name)}.weight"
        if not isinstance(modules[name], DENSE):
            continue
        if place.ends or (place.last and place.branch is None and not _shared(name, model)):
            rules.append(Rule(weight, "zeros_"))
        elif place.branch is not None:
            # A branch whose end is another's counts that as well.
            depth = max(counts[place.branch], 2)
            times = trace.branches ** (-1 / (2 * depth - 2))
            rules.append(Rule(weight, "kaiming_normal_", times=times, nonlinearity="auto"))
    scales = [
        Rule(escape(name), "ones_")
        for name, _ in model.named_parameters(remove_duplicate=False)
        if "scale" in name.rpartition(".")[2]
    ]
    return [*rules, *scales, *auto(model, trace)]


def _sums(module: nn.Module) -> bool:
    return isinstance(module, (*LAYERS, *PACKED))


def _shared(name: str, model: nn.Module) -> bool:
    """Return whether something else holds a layer's weight too, such as an embedding."""
    weight = model.get_submodule(name).weight
    return sum(getattr(m, "weight", None) is weight for m in model.modules()) > 1


def _check_branches(trace: Trace, recipe: str) -> None:
    if not trace.branches:
        raise ValueError(f"recipe {recipe!r} must find residual branches; got none in the trace")
