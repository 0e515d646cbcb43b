"""Which rule governs which parameter, and what it then says of it."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from initguide.fans import Fans, fans, packed_in
from initguide.gains import unit_gain
from initguide.graph.trace import LAYERS, PACKED, Place, Trace
from initguide.model.params import Slot, joined
from initguide.model.plan import Entry, Plan
from initguide.model.rule import Rule
from initguide.model.samplers import keep_, law_of


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


def _at_rest(reason: str) -> Rule:
    """Return a rule that leaves a parameter as it is, and says why."""
    rule = Rule("*", keep_)
    rule.note = f"{reason}, and left as it is"
    return rule


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
