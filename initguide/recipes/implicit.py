"""Recipes for networks of sines, which represent a signal by its coordinates."""

import math
from collections.abc import Mapping
from glob import escape

import torch
from torch import nn

from initguide.activations import FUNCTIONS, function_of
from initguide.graph.layer_info import LayerInfo
from initguide.graph.operations import depends_on
from initguide.graph.trace import Trace
from initguide.model.params import full_name
from initguide.model.rule import Rule
from initguide.recipes.common import LINEAR_LAYERS

# The recipe for a sine by its label in a plan.
_SINES = {"sin": "siren", "abs_sin": "finer"}
# The slope of a sine at zero above which an input of unit scale passes over several of its waves.
HIGH = 2.0


def siren(model: nn.Module, trace: Trace, *, omega: float = 30.0) -> list[Rule]:
    r"""Return the rules: uniform within $\sqrt{6/n}/\omega$, and $1/n$ in the first layers.

    The forward must compute $\sin(\omega (W x + b))$, itself or in a module of any name. Biases are
    uniform within $1/\sqrt{n}$, as in the code of the authors (V. Sitzmann et al., 2020, Implicit
    Neural Representations with Periodic Activation Functions).
    """
    sines = _followed_by("siren", trace)
    if not sines:
        raise ValueError("recipe 'siren' needs a layer with the role 'sine layer'; got none")
    omegas = {name: omega for name, _ in model.named_modules()}
    return _uniform(model, trace, _first(sines, trace), omegas)


def finer(model: nn.Module, trace: Trace, *, bias_bound: float, omega: float = 30.0) -> list[Rule]:
    r"""Return the rules of SIREN, with the biases of the first layers within a large bound.

    The forward must compute $\sin(\omega (|z| + 1) z)$ with $z = W x + b$ (Z. Liu et al., 2024,
    FINER: Flexible Spectral-Bias Tuning in Implicit Neural Representation by Variable-Periodic
    Activation Functions; the class `FinerLayer` in `models.py` of liuzhen0212/FINER).
    """
    sines = _followed_by("finer", trace)
    if not sines:
        raise ValueError(
            "recipe 'finer' needs a layer with the role 'sine layer of variable period'; got none"
        )
    first = _first(sines, trace)
    biases = [Rule(f"{escape(n)}.bias", "uniform_", a=-bias_bound, b=bias_bound) for n in first]
    omegas = {name: omega for name, _ in model.named_modules()}
    return [*biases, *_uniform(model, trace, first, omegas)]


def sine_rules(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules of SIREN for the layers before a sine of a high frequency, for any model.

    There an input of unit scale would become noise. The frequency is that of the forward.
    """
    waves = {name: _frequency(trace.layers[name]) for name in _followed_by("siren", trace)}
    waves = {name: omega for name, omega in waves.items() if omega > HIGH}
    rules = _uniform(model, trace, _first([*waves], trace), waves)
    for rule in rules:
        rule.note = "before a sine of a high frequency, as in SIREN"
    return rules


def recipe_for_sine(info: LayerInfo) -> str:
    """Return the recipe for a layer before a sine, or an empty text before other activations.

    A module that somebody else wrote is recognized by its values: a sine of any frequency.
    """
    if info.label in _SINES or info.label in FUNCTIONS:
        return _SINES.get(info.label, "")
    try:
        function, omega = function_of(info.nonlinearity), _frequency(info)
        if not 1e-3 < omega < 1e4:
            return ""
        x = torch.linspace(-8, 8, 101, dtype=torch.float64, device="cpu") / omega
        waves = {"siren": (omega * x).sin(), "finer": (omega * (x.abs() + 1) * x).sin()}
        values = function(x)
    except ValueError:
        return ""
    return next((name for name, y in waves.items() if torch.allclose(values, y, atol=1e-3)), "")


def _frequency(info: LayerInfo) -> float:
    """Return the slope at zero, which is the frequency of a sine; 0 if a large value shows none."""
    at = torch.tensor([-1e-6, 1e-6, 100.0], dtype=torch.float64, device="cpu")
    low, high, far = function_of(info.nonlinearity)(at).tolist()
    return (high - low) / 2e-6 if abs(far) <= 1 + 1e-9 else 0.0


def _followed_by(recipe: str, trace: Trace) -> list[str]:
    return [name for name, info in trace.layers.items() if recipe_for_sine(info) == recipe]


def _first(layers: list[str], trace: Trace) -> list[str]:
    """Return the layers that no other one of them comes before."""
    found = []
    for prefix, graph in trace.graphs:
        named = [(prefix + str(node.target), node) for node in graph.nodes]
        nodes = {n: node for n, node in named if node.op == "call_module" and n in layers}
        after = depends_on([user for node in nodes.values() for user in node.users], graph.nodes)
        found += [name for name, node in nodes.items() if node not in after]
    return found


def _uniform(
    model: nn.Module, trace: Trace, first: list[str], omegas: Mapping[str, float]
) -> list[Rule]:
    """Return the rules for the linear layers among those whose frequencies are given."""
    rules = []
    for name, module in model.named_modules():
        if not isinstance(module, LINEAR_LAYERS) or name not in omegas:
            continue
        fan_in = trace.fans(full_name(name, "weight"), module, "weight").fan_in
        bound = 1 / fan_in if name in first else math.sqrt(6 / fan_in) / omegas[name]
        rules.append(Rule(escape(full_name(name, "weight")), "uniform_", a=-bound, b=bound))
        rules.append(
            Rule(escape(full_name(name, "bias")), "uniform_", a=-(fan_in**-0.5), b=fan_in**-0.5)
        )
    return rules
