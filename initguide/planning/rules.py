r"""Initialize a whole model by rules: say what each parameter shall be, look at it, then do it.

A [Rule][initguide.Rule] pairs parameters with a law. [plan][initguide.plan] finds the rule of each
parameter, and with it the fan, the activation that follows and the standard deviation, and changes
nothing. [initialize_][initguide.initialize_] carries the plan out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from initguide.checks import check_model, one_of
from initguide.fans import Fans, fans, packed_in
from initguide.gains import unit_gain
from initguide.guard import random_states_kept
from initguide.planning.laws import keep_, law_of
from initguide.planning.plans import Entry, Plan
from initguide.planning.rule import Rule
from initguide.planning.slots import Slot, joined, parametrizations_at_rest, slots
from initguide.recipes import RECIPES
from initguide.tracing.places import LAYERS, PACKED
from initguide.tracing.trace import Place, Trace, trace

Recipe = str | Sequence[Rule | str]


def plan(model: nn.Module, recipe: Recipe = "auto") -> Plan:
    r"""Say what each parameter of a model shall be, and change nothing.

    $$\text{parameter} \mapsto (\text{rule}, \text{fans}, \text{activation that follows})
    \mapsto (\text{law}, \text{mean}, \text{std})$$

    The first rule that matches a parameter governs it. A tied weight appears once, by its first
    name; any of its names may match. The activation that follows a layer is found by tracing the
    model's forward on symbols, through norms, dropout, reshapes and residual sums; what is not
    found is said in a note.

    A recipe leaves as it is, and the plan says so, what is frozen (`requires_grad=False`; with it
    the statistics of its norms) or quantized, such as pretrained weights beside a new head. Rules
    of your own govern those as well.

    Args:
        model: Any module; it may be on the meta device.
        recipe: A name from [RECIPES][initguide.RECIPES], or a list of rules and such names, whose
            rules are then inserted.

    Returns:
        A [Plan][initguide.Plan]; print it.

    Raises:
        ValueError: The recipe is unknown, a parameter has no rule, a rule of your own governs
            nothing, a law does not fit, a parameter is lazy, or there is none to initialize. The
            error names it.
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
    with parametrizations_at_rest(model):
        return _plan(model, recipe)


def _plan(model: nn.Module, recipe: Recipe) -> Plan:
    held, found = slots(model), trace(model)
    plan = planned(held, _rules(recipe, model, found), found)
    if all(entry.left for entry in plan.entries):
        kinds = ", ".join(dict.fromkeys(module._get_name() for module in model.modules()))
        left = [f"{entry.slot.name!r}, which is {entry.slot.rests}" for entry in plan.entries]
        got = f"only such as {left[0]}: give it a rule" if left else f"none in {kinds}"
        raise ValueError(f"model must have a parameter to initialize; got {got}")
    return plan


def planned(held: Sequence[Slot], rules: Sequence[tuple[Rule, bool]], found: Trace) -> Plan:
    """Return the plan for parameters and buffers by rules, each with whether it must be used."""
    entries, ungoverned, used = [], [], set()
    for slot in held:
        match = _match(slot, [rule for rule, own in rules if own or not slot.rests], found)
        if match is None and slot.rests and slot.parameter and not slot.tensor.is_meta:
            match = _match(slot, [_at_rest(slot.rests)], found)
        if match is not None:
            rule, place, module, key, name = match
            used.add(id(rule))
            entries.append(_entry(slot, rule, place, module, key, found, name))
        elif slot.parameter or slot.tensor.is_meta:
            ungoverned.append(slot.name)
    if ungoverned:
        names = ", ".join(ungoverned[:5]) + (", …" if len(ungoverned) > 5 else "")
        uses = [found.uses.get(name) for name in ungoverned[:5]]
        done = ", ".join(dict.fromkeys(use.label for use in uses if use and use.label))
        what = f" (the forward's {done} tells no law)" if done else ""
        raise ValueError(
            f"each parameter must have a rule; got none for {names}: "
            f"put Rule({ungoverned[0]!r}, ...) in front of the recipe, or 'keep' behind it to "
            f"leave them as they are{what}"
        )
    idle = [rule for rule, own in rules if own and id(rule) not in used]
    if idle:
        raise ValueError(f"each rule must govern something; got none for {idle[0]!r}")
    return Plan(tuple(entries))


@torch.no_grad()
def initialize_(model: nn.Module, recipe: Recipe = "auto", *, seed: int | None = None) -> Plan:
    r"""Initialize a whole model.

    $$w_i = F(\text{seed},\ \text{name},\ i)$$

    where $i$ is the position in the full tensor: with a seed, a value depends on nothing else, not
    on the order of the parameters, nor on the others, nor on how the model is sharded.

    Args:
        model: Any module; its parameters change in place.
        recipe: As in [plan][initguide.plan].
        seed: An integer; where None, it is drawn from torch's global generator.

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
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise TypeError(f"seed must be an integer; got {seed!r}")
    found = plan(model, recipe)
    found.check()
    state = torch.get_rng_state()
    try:
        number = int(torch.randint(2**62, ()).item()) if seed is None else seed
        with parametrizations_at_rest(model), random_states_kept():
            found.write_(number)
    except BaseException:
        torch.set_rng_state(state)
        raise
    return found


def _at_rest(reason: str) -> Rule:
    """Return a rule that leaves a parameter as it is, and says why."""
    rule = Rule("*", keep_)
    rule.note = f"{reason}, and left as it is"
    return rule


def _rules(recipe: Recipe, model: nn.Module, found: Trace) -> list[tuple[Rule, bool]]:
    """Return the rules in order, each with whether it is the caller's own."""
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ValueError(f"recipe must be {one_of(RECIPES)}; got {recipe!r}")
        return [(rule, False) for rule in RECIPES[recipe](model, found)]
    if not isinstance(recipe, Sequence):
        raise TypeError(f"recipe must be a name or a list of rules; got {recipe!r}")
    rules: list[tuple[Rule, bool]] = []
    for item in recipe:
        if isinstance(item, str):
            rules += _rules(item, model, found)
        elif isinstance(item, Rule):
            rules.append((item, True))
        else:
            raise TypeError(f"recipe must hold rules and names of recipes; got {item!r}")
    return rules


def _match(
    slot: Slot, rules: Sequence[Rule], found: Trace
) -> tuple[Rule, Place, nn.Module, str, str] | None:
    """Return the first rule for a slot, and the holder that it matched."""
    for rule in rules:
        for owner, module, key in slot.holders:
            name = joined(owner, key)
            place = found.places.get(name) or found.place(owner)
            own = slot.parameter or rule.takes_buffers
            if own and rule.governs(name, module, place):
                return rule, place, module, key, name
    return None


def _entry(
    slot: Slot, rule: Rule, place: Place, module: nn.Module, key: str, found: Trace, name: str
) -> Entry:
    tensor = slot.tensor
    options = {key: _followed(key, value, place) for key, value in rule.options.items()}
    use = found.uses.get(name)
    # A table of vectors sums nothing, nor does a factor.
    weight = use is None or use.kind in ("weight", "unknown") or isinstance(module, LAYERS)
    whole = tensor.ndim > 1 and tensor.numel() > 0 and weight

    def fans_of() -> Fans:
        return fans(tensor.shape) if rule.shape_fans else found.fans(name, module, key)

    try:
        packed = 1 if rule.shape_fans else packed_in(module, key)
        law = law_of(rule.law, tensor, fans_of, packed, rule.times, options)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{rule!r} must fit {slot.name!r}; got: {error}") from error
    # A module that stands in two places has two names, but ties nothing.
    tied = list({id(holder): joined(at, own) for at, holder, own in slot.holders[::-1]}.values())
    notes = [f"tied with {', '.join(tied[-2::-1])}"] if len(tied) > 1 else []
    if rule.note:
        notes.append(rule.note)
    rows = [getattr(holder, "padding_idx", None) for _, holder, _ in slot.holders]
    padding = None if law.keeps else next((row for row in rows if row is not None), None)
    if padding is not None:
        notes.append(f"row {padding} is padding, and zero")
    # What follows matters to weights alone, and not to a table.
    stands = name in found.places or isinstance(module, (*LAYERS, *PACKED))
    if whole and place.note and stands and not isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        notes.append(place.note)
    return Entry(
        slot=slot,
        layer=_kind(module),
        fans=fans_of() if whole else None,
        before=place.label if whole else "",
        law=law,
        padding=padding,
        note="; ".join(notes),
    )


def _followed(key: str, value: Any, place: Place) -> Any:
    """Return an option of a law, where it stands for the activation that follows."""
    if key in ("gain", "nonlinearity") and isinstance(value, str) and value == "auto":
        return place.nonlinearity
    if key == "gain" and isinstance(value, str) and value == "unit":
        return unit_gain(place.nonlinearity)
    return value


def _kind(module: nn.Module) -> str:
    """Return the class's name as its user knows it."""
    name = type(module).__name__
    for prefix in ("FSDP", "Parametrized", "NonDynamicallyQuantizable"):
        name = name.removeprefix(prefix)
    return name
