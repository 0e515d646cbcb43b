r"""Initialize a whole model by rules: plan it, read the plan, then carry it out.

A [Rule][initguide.Rule] pairs parameters with a method. [plan][initguide.plan] finds the rule of
each parameter, its fans, the activation that follows and the standard deviation, and changes
nothing. [initialize_][initguide.initialize_] draws the values.
"""

import inspect
import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import nn

from initguide._checks import check_model, check_number, one_of
from initguide._isolation import isolated
from initguide._state import random_states_kept
from initguide._torch_internals import unwrapped
from initguide.graph.trace import Trace, trace_private
from initguide.model.params import (
    parametrizations_in_eval_mode,
    params_of,
    private_parametrizations,
)
from initguide.model.plan import Plan
from initguide.model.resolve import check_decided, make_plan
from initguide.model.rule import Rule
from initguide.model.trained import trained_among
from initguide.recipes.deliberate import with_deliberate_starts
from initguide.recipes.registry import RECIPES

Recipe = str | Sequence[Rule | str]
"""The name of one of the [RECIPES][initguide.RECIPES], or a list of rules and names."""
# The recipes that keep deliberate starts unless the caller says otherwise.
KEEPING = ("auto",)


def plan(
    model: nn.Module,
    recipe: Recipe = "auto",
    *,
    example: Any = None,
    keep_deliberate: bool | None = None,
    **options: Any,
) -> Plan:
    r"""Return what each parameter of a model will hold, and change nothing.

    $$\text{parameter} \mapsto (\text{rule}, \text{fans}, \text{activation that follows})
    \mapsto (\text{distribution}, \text{mean}, \text{std})$$

    The first rule that matches a parameter decides. A tied weight appears once, by its first name,
    and a rule may match any of its names. To find the activation that follows a layer, the forward
    of a private copy runs on proxies, and is traced through norms, dropout, reshapes and residual
    sums. A note names each operation that the trace does not know.

    A forward that branches on values, or loops until a value is reached, cannot run on proxies. The
    notes say so. Then give an `example`: the copy runs on it once, and the plan shows the
    activations of that run. This takes memory for a second set of parameters.

    Names are those of the model itself, even where `DistributedDataParallel`, `DataParallel` or
    `torch.compile` wraps it or a part of it.

    A recipe leaves frozen and quantized parameters unchanged, such as pretrained weights beside a
    new head, and the plan says so. A frozen norm keeps its statistics as well. Your own rules apply
    to these parameters too.

    The recipe `"auto"` also keeps **deliberate starts**, and the plan lists them: values that no
    random draw leaves. These are weights that are all zero, constant, or near an identity; biases
    that are constant but not zero, in order, or far to one side; and scales that are not one. A
    weight of zeros is kept only where the forward shows that it can learn and that the signal goes
    around it. Dense random weights are drawn anew. A parameter that the recipe does not know must
    hold such values, and is kept. On the meta device and in sharded tensors nothing can be
    recognized, and the plan says so.

    A weight under spectral norm gets the values that are drawn before they are divided by their
    largest singular value. So the scale of the draw does not change what the layer computes.

    Args:
        model: Any module; it may be on the meta device.
        recipe: A name from [RECIPES][initguide.RECIPES], or a list of rules and such names. A name
            in a list adds the rules of that recipe.
        example: A batch for the forward, on the model's device: a tuple of arguments, a dict of
            keyword arguments, or one argument. None runs the forward on proxies.
        keep_deliberate: Whether recipes keep deliberate starts. If None, `"auto"` keeps them, and
            the recipes that name one method for everything do not. Your own rules never do.
        **options: The options of the recipe, such as `n_layers` for those of code bases.

    Returns:
        A [Plan][initguide.Plan], which prints as a table.

    Raises:
        ValueError: The recipe is unknown, a parameter has no rule, one of your rules matches
            nothing, a method does not accept its parameter, a parameter is lazy, or there is none
            to initialize. The error names it. Or the forward does not accept the example.
        TypeError: `model` is not a module, or the recipe holds something else.

    Source:
        K. He et al. (2015), *Delving Deep into Rectifiers*, and the sources of each method.

    Examples:
        ```python
        from torch import nn

        import initguide as init

        model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
        print(init.plan(model))
        '''
        parameter  shape     layer   fan_in  before  law                 std
        0.weight   100 × 64  Linear      64  relu    kaiming_normal_  0.1768
        2.weight   10 × 100  Linear     100  linear  lecun_normal_       0.1
        biases, norms and their statistics: 2 × zeros_
        '''
        ```
    """
    check_model(model)
    model = unwrapped(model)
    with private_parametrizations(model):
        return _plan(model, recipe, example, keep_deliberate, options)


def _plan(
    model: nn.Module,
    recipe: Recipe,
    example: Any,
    keep_deliberate: bool | None,
    options: dict[str, Any],
) -> Plan:
    keeping = KEEPING if keep_deliberate is None else RECIPES if keep_deliberate else ()
    # The gain of an activation of the user's own comes from calls of it, and a parametrized weight
    # is computed by the user's code.
    with isolated(model, values=example is not None) as private:
        traced = trace_private(model, private, example)
        rules = _rules(recipe, model, traced, options)
        # A parameter that no rule names may still hold a deliberate start.
        may_keep = any(name in keeping for _, name in rules)
        made = make_plan(params_of(model), rules, traced, leave_undecided=may_keep)
        result = with_deliberate_starts(made, traced, keeping)
        check_decided(result, traced)
    if all(entry.is_skipped for entry in made.entries):
        kinds = ", ".join(dict.fromkeys(type(module).__name__ for module in model.modules()))
        skipped = [f"{e.param.name!r}, which is {e.param.skip_reason}" for e in made.entries]
        got = f"only such as {skipped[0]}: give it a rule" if skipped else f"none in {kinds}"
        raise ValueError(f"model must have a parameter to initialize; got {got}")
    return result


@torch.no_grad()
def initialize_(
    model: nn.Module,
    recipe: Recipe = "auto",
    *,
    seed: int | None = None,
    example: Any = None,
    keep_deliberate: bool | None = None,
    overwrite_trained: bool = False,
    **options: Any,
) -> Plan:
    r"""Initialize a whole model.

    $$w_i = F(\text{seed},\ \text{name},\ i)$$

    Here $i$ is the position in the full tensor. With a seed, a value depends only on these three:
    not on the order of the parameters, on other parameters, or on how the model is sharded.

    Weights that were plainly trained are overwritten as well, and a warning says how many. It looks
    at no more than 12 weights, and never at frozen ones.

    Args:
        model: Any module; its parameters change in place.
        recipe: As in [plan][initguide.plan].
        seed: An integer. If None, it is drawn from torch's global generator. If
            `torch.distributed` is initialized, all processes then take the seed of the first one,
            so each of them must call this function.
        example: As in [plan][initguide.plan].
        keep_deliberate: As in [plan][initguide.plan].
        overwrite_trained: Whether to draw weights anew that look trained, without a warning.
        **options: As in [plan][initguide.plan].

    Returns:
        The [Plan][initguide.Plan] that was carried out.

    Raises:
        ValueError: As in [plan][initguide.plan]; or a parameter is on the meta device or expanded,
            or a parametrized weight cannot be set.
        TypeError: As in [plan][initguide.plan]; or the seed is not an integer.

    On any error the model and the random state are as they were before.

    Source:
        K. He et al. (2015), *Delving Deep into Rectifiers*, and the sources of each method.

    Examples:
        ```python
        from torch import nn

        import initguide as init

        model = nn.Sequential(nn.Linear(50, 400), nn.ReLU(), nn.Linear(400, 10))
        init.initialize_(model, seed=0)
        print(f"{model[0].weight.std():.2f}")  # sqrt(2 / 50) = 0.2
        #> 0.20
        init.initialize_(model, [init.Rule("2.weight", "zeros_"), "xavier"], seed=0)
        print(model[2].weight.abs().max().item())
        #> 0.0
        ```
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
        raise TypeError(f"seed must be an integer; got {seed!r}")
    made = plan(model, recipe, example=example, keep_deliberate=keep_deliberate, **options)
    made.check()
    if not overwrite_trained:
        _warn_of_trained(made)
    state = torch.get_rng_state()
    try:
        number = _drawn_seed() if seed is None else int(seed)
        with parametrizations_in_eval_mode(model), random_states_kept():
            made.write_(number)
    except BaseException:
        torch.set_rng_state(state)
        raise
    return made


def _warn_of_trained(made: Plan) -> None:
    """Warn if weights that a recipe overwrites look trained."""
    weights = {
        entry.param.name: entry.param.tensor
        for entry in made.entries
        if entry.recipe and entry.sampler.std and entry.param.tensor.ndim > 1
    }
    found, count = trained_among(weights)
    if found:
        warnings.warn(
            f"{len(found)} of the {count} weights that were looked at seem to be trained, such as "
            f"{found[0]!r}, and are overwritten: pass overwrite_trained=True if that is meant, or "
            "freeze what must stay",
            # Past the wrapper of `no_grad`.
            stacklevel=4,
        )


def _drawn_seed() -> int:
    """Return a seed from torch's global generator; of several processes, that of the first."""
    seed = int(torch.randint(2**62, (), device="cpu").item())
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return seed
    seeds = [seed]
    torch.distributed.broadcast_object_list(seeds, src=0)
    return seeds[0]


def _rules(
    recipe: Recipe, model: nn.Module, traced: Trace, options: dict[str, Any]
) -> list[tuple[Rule, str]]:
    """Return the rules in order, each with the name of its recipe; the caller's have none."""
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            names = dict.fromkeys((*get_close_matches(recipe, RECIPES), *RECIPES))
            raise ValueError(f"recipe must be {one_of(names)}; got {recipe!r}")
        make = RECIPES[recipe]
        _check_options(recipe, make, options)
        return [(rule, recipe) for rule in make(model, traced, **options)]
    if not isinstance(recipe, Sequence):
        raise TypeError(f"recipe must be a name or a list of rules; got {recipe!r}")
    named = [item for item in recipe if isinstance(item, str) and item in RECIPES]
    taking = [name for name in named if _options_of(RECIPES[name])]
    if options and not taking:
        raise TypeError(f"recipe must hold one with options; got {next(iter(options))!r}")
    rules: list[tuple[Rule, str]] = []
    for item in recipe:
        if isinstance(item, str):
            rules += _rules(item, model, traced, options if item in taking else {})
        elif isinstance(item, Rule):
            rules.append((item, ""))
        else:
            raise TypeError(f"recipe must hold rules and names of recipes; got {item!r}")
    return rules


def _options_of(make: Callable[..., list[Rule]]) -> list[inspect.Parameter]:
    """Return the options that a recipe takes; one for all stands for any name."""
    parameters = inspect.signature(make).parameters.values()
    return [each for each in parameters if each.kind in (each.VAR_KEYWORD, each.KEYWORD_ONLY)]


def _check_options(recipe: str, make: Callable[..., list[Rule]], options: dict[str, Any]) -> None:
    """Raise an error for an option that a recipe does not have, or one that it needs."""
    known = {each.name: each for each in _options_of(make)}
    if options and not known:
        raise TypeError(f"recipe {recipe!r} has no options; got {next(iter(options))!r}")
    # The recipes of code bases take any name, and check their options themselves.
    if any(each.kind is each.VAR_KEYWORD for each in known.values()):
        return
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"recipe {recipe!r} has the options {', '.join(known)}; got {name!r}")
        check_number(name, value)
    for name, each in known.items():
        if each.default is each.empty and name not in options:
            raise ValueError(f"recipe {recipe!r} needs the option {name!r}; got none")
