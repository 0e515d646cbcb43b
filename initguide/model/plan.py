"""A plan: what each parameter of a model shall be, to be read and to be carried out."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from initguide._format import table
from initguide._sharding import zero_row_
from initguide.fans import Fans
from initguide.model.params import Slot
from initguide.model.samplers import Law


@dataclass(frozen=True)
class Entry:
    """What one parameter shall be.

    Attributes:
        slot: Where it is in the model.
        layer: The kind of layer that holds it.
        fans: Its fans, where it has any.
        before: The activation that follows the layer.
        law: Its law.
        padding: The row of an embedding that stays zero.
        note: What a reader should know besides.
    """

    slot: Slot
    layer: str
    fans: Fans | None
    before: str
    law: Law
    padding: int | None
    note: str

    @property
    def usual(self) -> bool:
        """Whether it is what a reader expects: a bias at zero, a norm's neutral value, a buffer."""
        neutral = "norm" in self.layer.lower() and self.law.name == "ones_"
        zero = "bias" in self.slot.name.rpartition(".")[2] and self.law.name == "zeros_"
        return not self.note and (neutral or zero or not self.slot.parameter)

    @property
    def left(self) -> bool:
        """Whether a recipe leaves it as it is."""
        return bool(self.slot.rests) and self.law.keeps

    def draw_(self, tensor: Tensor, seed: int) -> Tensor:
        """Fill a tensor of the parameter's shape."""
        self.law.fill_(tensor, seed, self.slot.name)
        if self.padding is not None:
            zero_row_(tensor, self.padding)
        return tensor


@dataclass(frozen=True)
class Plan:
    """What each parameter of a model shall be; printing it gives a table.

    Attributes:
        entries: One for each parameter, and for each buffer that a rule governs.
    """

    entries: tuple[Entry, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dict for each entry: parameter, shape, layer, fan_in, before, law, mean and std."""
        return [
            {
                "parameter": entry.slot.name,
                "shape": " × ".join(map(str, entry.slot.tensor.shape)) or "scalar",
                "layer": entry.layer,
                "fan_in": entry.fans.fan_in if entry.fans else None,
                "before": entry.before or None,
                "law": entry.law.name,
                "mean": entry.law.mean,
                "std": entry.law.std,
                "note": entry.note or None,
            }
            for entry in self.entries
        ]

    def __str__(self) -> str:
        """Return the rows as a table; what is as in any network is summed up below it."""
        usual = [entry.usual or entry.left for entry in self.entries]
        shown = [row for row, skip in zip(self.rows, usual, strict=True) if not skip]
        laws = Counter(entry.law.name for entry in self.entries if entry.usual)
        said = ", ".join(f"{count} × {law}" for law, count in sorted(laws.items()))
        lines = [f"biases, norms and their statistics: {said}"] if said else []
        left = [entry.slot for entry in self.entries if entry.left]
        for reason in dict.fromkeys(slot.rests for slot in left):
            names = [slot.name for slot in left if slot.rests == reason]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"{reason}, and left as they are: {', '.join(names[:5])}{more}")
        return "\n".join([*([table(shown, empty=(None, 0.0))] if shown else []), *lines])

    def check(self) -> None:
        """Raise ValueError if a parameter has no memory to write to."""
        meta = [entry.slot.name for entry in self.entries if entry.slot.tensor.is_meta]
        if meta:
            raise ValueError(
                f"parameters must hold memory: call model.to_empty(device=...) first; got "
                f"{meta[0]!r} on the meta device"
            )
        for entry in self.entries:
            tensor = entry.slot.tensor
            sides = zip(tensor.shape, tensor.stride(), strict=True)
            if not entry.law.keeps and any(size > 1 and not step for size, step in sides):
                raise ValueError(
                    f"each value must have memory of its own; got {entry.slot.name!r}, which is "
                    "expanded"
                )

    def write_(self, seed: int) -> None:
        """Carry the plan out; what may fail is drawn before anything is written."""
        ready = []
        with _buffers_kept_on_error([e.slot for e in self.entries if e.slot.parametrized]):
            for entry in self.entries:
                if (entry.slot.parametrized or not entry.law.ours) and not entry.law.keeps:
                    # A law may change what is there, or a part of it.
                    values = entry.slot.tensor.detach().clone()
                    try:
                        ready += _originals(entry.slot, entry.draw_(values, seed))
                    except Exception as error:
                        error.add_note(f"raised by {entry.law.name} for {entry.slot.name!r}")
                        raise
        for entry in self.entries:
            if entry.law.ours and not entry.slot.parametrized:
                entry.draw_(entry.slot.tensor, seed)
        for tensor, values in ready:
            tensor.copy_(values)


@contextmanager
def _buffers_kept_on_error(slots: list[Slot]) -> Iterator[None]:
    """Undo what the inverse of a parametrization may write: an orthogonal one moves its base."""
    chains = [slot.holders[0][1].parametrizations[slot.holders[0][2]] for slot in slots]  # pyright: ignore[reportArgumentType,reportIndexIssue]
    held = [
        (step, name, buffer, buffer.clone())
        for chain in chains
        for step in chain.modules()  # pyright: ignore[reportAttributeAccessIssue]
        for name, buffer in step.named_buffers(recurse=False)
    ]
    try:
        yield
    except BaseException:
        for step, name, buffer, value in held:
            setattr(step, name, buffer.copy_(value))
        raise


def _originals(slot: Slot, values: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return what to write where, so that a parameter, parametrized or not, has these values."""
    if not slot.parametrized:
        return [(slot.tensor, values)]
    _, module, key = slot.holders[0]
    chain: Any = module.parametrizations[key]  # pyright: ignore[reportArgumentType,reportIndexIssue]
    kinds = [type(step).__name__ for step in chain]
    held: Any = values
    parts: tuple[Tensor, ...] = ()
    try:
        for step in reversed(chain):
            held = step.right_inverse(held)
        parts = held if isinstance(held, tuple) else (held,)
        first, *others = chain
        value: Any = first(*parts)
        for step in others:
            value = step(value)
        kept = torch.allclose(value, values, rtol=1e-3, atol=1e-6)
    except (AttributeError, NotImplementedError, ValueError):
        # A step without an inverse, or one that refuses these values.
        kept = False
    if not kept:
        raise ValueError(f"{slot.name!r} must be a weight that can be set; got {kinds}")
    names = [f"original{index if len(parts) > 1 else ''}" for index in range(len(parts))]
    return [(getattr(chain, name), part) for name, part in zip(names, parts, strict=True)]
