"""All recipes by name: published initializations of whole models, as functions that give rules."""

from collections.abc import Callable

from initguide.model.rule import Rule
from initguide.recipes.auto import auto
from initguide.recipes.code_bases.rules import code_base_recipes
from initguide.recipes.heads import focal, ppo
from initguide.recipes.implicit import finer, siren
from initguide.recipes.one_method import kaiming, keep, lora, orthogonal, spectral, xavier
from initguide.recipes.residual import fixup, gpt2, zero_gamma
from initguide.recipes.scales import adaln_zero, dyt, layer_scale, rezero, skipinit
from initguide.recipes.sequences import chrono, s4d
from initguide.recipes.torch_defaults import torch_defaults

RECIPES: dict[str, Callable[..., list[Rule]]] = {
    "auto": auto,
    "torch": torch_defaults,
    "xavier": xavier,
    "kaiming": kaiming,
    "orthogonal": orthogonal,
    "zero_gamma": zero_gamma,
    "gpt2": gpt2,
    "fixup": fixup,
    "spectral": spectral,
    "layer-scale": layer_scale,
    "rezero": rezero,
    "skipinit": skipinit,
    "adaln-zero": adaln_zero,
    "dyt": dyt,
    "siren": siren,
    "finer": finer,
    "chrono": chrono,
    "s4d": s4d,
    "ppo": ppo,
    "focal": focal,
    "lora": lora,
    "keep": keep,
    **code_base_recipes(),
}
"""The recipes by name, for [plan][initguide.plan] and [initialize_][initguide.initialize_].

Each is a function that returns the rules for a model and its trace. Some take options.

- `"auto"`: He, Xavier or LeCun, by the activation that follows the layer. The last layer of each
  residual branch without a norm is scaled by one over the square root of their number.
- `"torch"`: the values that torch draws when it builds the layers.
- `"xavier"`, `"kaiming"`, `"orthogonal"`: one method for all weights.
- `"zero_gamma"`: as `"auto"`, with the last norm of each residual branch at zero.
- `"gpt2"`: std 0.02, and less at the end of each residual branch.
- `"fixup"`: residual networks without norms; the last layer of each branch and the head at zero.
- `"spectral"`: the spectral norm of each matrix is about the root of its outputs over its inputs.
- `"layer-scale"` (with `value`), `"rezero"`, `"skipinit"`: learned scales at the ends of residual
  branches start small or at zero. `"adaln-zero"`: so do the layers that modulate norms.
- `"dyt"` (with `alpha`): the factor inside each dynamic tanh.
- `"siren"` (with `omega`), `"finer"` (with `bias_bound`): networks of sines.
- `"chrono"` (with `steps`): gates of an LSTM or a GRU for a memory of many steps. `"s4d"`: diagonal
  state-space layers.
- `"ppo"`: orthogonal, with a small policy head. `"focal"` (with `prior`): a class head that starts
  at the share of a rare class.
- `"lora"`: low-rank adapters; everything else stays as it is.
- `"keep"`: leaves unchanged all parameters that no earlier rule matches.
- `"torchtitan-llama3"`, `"megatron"`, `"gpt-neox"`, `"mamba"`, `"dit"` and others: what published
  code bases draw. `"deepnorm"`, `"t-fixup"`, `"small-init"`, `"mup"`, `"completep"` and `"switch"`:
  published methods for Transformers. All of these take `n_layers`, the number of blocks, if the
  trace does not find it.
"""
