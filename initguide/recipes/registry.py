"""All recipes by name: published initializations of whole models, as functions that give rules."""

from collections.abc import Callable

from torch import nn

from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.auto import auto
from initguide.recipes.one_method import kaiming, keep, orthogonal, xavier
from initguide.recipes.residual import fixup, gpt2, zero_gamma
from initguide.recipes.torch_defaults import torch_defaults

RECIPES: dict[str, Callable[[nn.Module, Trace], list[Rule]]] = {
    "auto": auto,
    "torch": torch_defaults,
    "xavier": xavier,
    "kaiming": kaiming,
    "orthogonal": orthogonal,
    "zero_gamma": zero_gamma,
    "gpt2": gpt2,
    "fixup": fixup,
    "keep": keep,
}
