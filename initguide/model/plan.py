"""A plan: what each parameter of a model will hold, to be printed and to be carried out."""

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from initguide._format import (
    html_list,
    html_table,
    json_ready,
    markdown_table,
    markdown_text,
    table,
)
from initguide._sharding import zero_row_
from initguide.fans import Fans
from initguide.model.params import Param
from initguide.model.samplers import Sampler
from initguide.model.writing import set_values, undone_on_error

# The longest line below a printed table.
WIDTH = 100


@dataclass(frozen=True)
class ParamPlan:
    """What one parameter will hold.

    Attributes:
        param: The parameter.
        layer: The class of the layer that holds it.
        fans: Its fans, if it is a weight.
        before: The activation that follows the layer.
        sampler: How its values are drawn.
        padding_row: The row of an embedding that stays zero.
        note: A remark for the reader of the plan.
        recipe: The name of the recipe that chose the method; empty for a rule of the caller.
        kept: Why the present values are a deliberate start and stay; empty if they do not.
        would_draw: Whether the recipe draws it at random if the present values are not kept.
    """

    param: Param
    layer: str
    fans: Fans | None
    before: str
    sampler: Sampler
    padding_row: int | None
    note: str
    recipe: str = ""
    kept: str = ""
    would_draw: bool = False

    @property
    def is_conventional(self) -> bool:
        """Whether it is as in most networks: a bias of 0, a norm's scale of 1, or a buffer."""
        neutral = "norm" in self.layer.lower() and self.sampler.is_constant(1.0)
        zero = "bias" in self.param.name.rpartition(".")[2] and self.sampler.is_constant(0.0)
        return not self.note and (neutral or zero or not self.param.is_parameter)

    @property
    def is_skipped(self) -> bool:
        """Whether the recipe leaves it unchanged because it is frozen or not real."""
        return bool(self.param.skip_reason) and self.sampler.keeps_values

    def draw_(self, tensor: Tensor, seed: int) -> Tensor:
        """Fill a tensor of the parameter's shape."""
        self.sampler.fill_(tensor, seed, self.param.name)
        if self.padding_row is not None:
            zero_row_(tensor, self.padding_row)
        return tensor

    def write_(self, seed: int) -> None:
        """Fill the parameter in the model."""
        if self.param.is_parametrized:
            set_values(self.param, self.draw_(self.param.tensor.detach().clone(), seed))
        else:
            self.draw_(self.param.tensor, seed)
            for norm in self.param.spectral_norms:
                norm.renew_()


@dataclass(frozen=True)
class Plan:
    """What each parameter of a model will hold; printing it gives a table.

    Attributes:
        entries: One for each parameter, and for each buffer that a rule matches.
        notes: Remarks on the plan as a whole.

    Examples:
        ```python
        from torch import nn

        import initguide as init

        plan = init.plan(nn.Sequential(nn.Linear(50, 10), nn.ReLU(), nn.Linear(10, 1)))
        print([(row["parameter"], row["law"]) for row in plan.rows if row["fan_in"]])
        #> [('0.weight', 'kaiming_normal_'), ('2.weight', 'lecun_normal_')]
        print(plan.rows[0]["std"])  # sqrt(2 / 50) = 0.2
        #> 0.2
        ```
    """

    entries: tuple[ParamPlan, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dict for each parameter.

        The keys are `parameter`, `shape`, `layer`, `fan_in`, `before` (the activation that
        follows), `law` (the method), `mean`, `std` and `note`. A value is None if it is not
        known or does not apply.
        """
        return [
            {
                "parameter": entry.param.name,
                "shape": " × ".join(map(str, entry.param.tensor.shape)) or "scalar",
                "layer": entry.layer,
                "fan_in": entry.fans.fan_in if entry.fans else None,
                "before": entry.before or None,
                "law": entry.sampler.name,
                "mean": entry.sampler.mean,
                "std": entry.sampler.std,
                "note": entry.note or None,
            }
            for entry in self.entries
        ]

    def _shown_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the printed table.

        Conventional and skipped parameters are left out, and so is a column without a number or a
        word, or with zeros only.
        """
        hidden = [e.is_conventional or e.is_skipped or bool(e.kept) for e in self.entries]
        rows = [row for row, hide in zip(self.rows, hidden, strict=True) if not hide]
        empty = (None, 0.0)
        keys = [key for key in self.rows[0] if any(row[key] not in empty for row in rows)]
        return [{key: row[key] for key in keys} for row in rows]

    def _summary(self) -> list[str]:
        """Return the lines below the printed table, about the parameters that it leaves out."""
        counts = Counter(entry.sampler.name for entry in self.entries if entry.is_conventional)
        parts = ", ".join(f"{count} × {name}" for name, count in sorted(counts.items()))
        lines = [f"biases, norms and their statistics: {parts}"] if parts else []
        skipped = [entry.param for entry in self.entries if entry.is_skipped]
        for reason in dict.fromkeys(param.skip_reason for param in skipped):
            names = [param.name for param in skipped if param.skip_reason == reason]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"{reason}, left unchanged: {', '.join(names[:5])}{more}")
        kept = [f"{entry.param.name} ({entry.kept})" for entry in self.entries if entry.kept]
        if kept:
            listed = f"kept, as the model set them: {', '.join(kept)}"
            lines += textwrap.wrap(listed, WIDTH, subsequent_indent="  ", break_long_words=False)
        return [*lines, *self.notes]

    def __str__(self) -> str:
        """Return the rows as a table, with conventional parameters counted below it."""
        shown = self._shown_rows()
        return "\n".join([*([table(shown)] if shown else []), *self._summary()])

    def to_dict(self) -> dict[str, Any]:
        """Return all rows as a dict for JSON; NaN and infinity become strings."""
        return json_ready({"made_by": "plan", "rows": self.rows})

    def to_markdown(self) -> str:
        """Return the printed table as Markdown."""
        shown = self._shown_rows()
        lines = [f"- {markdown_text(line)}" for line in self._summary()]
        parts = [markdown_table(shown) if shown else "", "\n".join(lines)]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _repr_html_(self) -> str:
        """Return the printed table as HTML, which notebooks show."""
        shown, lines = self._shown_rows(), self._summary()
        return (html_table(shown) if shown else "") + (html_list(lines) if lines else "")

    def check(self) -> None:
        """Raise ValueError if a parameter has no memory of its own to write to."""
        meta = [entry.param.name for entry in self.entries if entry.param.tensor.is_meta]
        if meta:
            raise ValueError(
                f"parameters must hold memory: call model.to_empty(device=...) first; got "
                f"{meta[0]!r} on the meta device"
            )
        for entry in self.entries:
            tensor = entry.param.tensor
            sides = zip(tensor.shape, tensor.stride(), strict=True)
            is_expanded = any(size > 1 and not step for size, step in sides)
            if is_expanded and not entry.sampler.keeps_values:
                raise ValueError(
                    f"each value must have memory of its own; got {entry.param.name!r}, which is "
                    "expanded"
                )

    def write_(self, seed: int) -> None:
        """Carry the plan out; on any error, every tensor gets its values back."""
        # The functions of the caller come first, because they are the most likely to raise.
        entries = sorted(self.entries, key=lambda entry: entry.sampler.from_package)
        with undone_on_error() as save:
            for entry in entries:
                if not entry.sampler.keeps_values:
                    save(entry.param)
                    try:
                        entry.write_(seed)
                    except Exception as error:
                        error.add_note(f"raised by {entry.sampler.name} for {entry.param.name!r}")
                        raise
