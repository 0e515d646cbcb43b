"""The record of a code base: which distribution it gives to each role, as formulas in text.

A formula is evaluated for each weight, so that the table of the guide and the plan read the same
text. It may use these names: `d` (the width of the model), `L` (the number of blocks), `l` (the
index of the weight's block, from 0), `n_in` and `n_out` (the fans), `sqrt`, `min`, and the options
of the recipe.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from initguide.model.rule import Rule

Distribution = Literal["normal", "cut at 3", "truncated", "uniform"]


@dataclass(frozen=True)
class Draw:
    """The distribution of one role.

    Attributes:
        distribution: "normal"; "cut at 3", a normal that is cut at three of its std, which leaves
            0.9866 of that std; "truncated", a normal cut at two whose std is exact; or "uniform".
        std: The formula of the std; for "cut at 3" that of the std before the cut.
    """

    distribution: Distribution
    std: str

    def rule(self, pattern: str, values: Mapping[str, float]) -> Rule:
        """Return the rule for the weights that a pattern matches.

        Args:
            pattern: Their names.
            values: The values of the names in the formula.
        """
        std = evaluated(self.std, values)
        if std == 0:
            return Rule(pattern, "zeros_")
        if self.distribution == "cut at 3":
            return Rule(pattern, "trunc_normal_", std=std, a=-3 * std, b=3 * std)
        if self.distribution == "uniform":
            bound = std * math.sqrt(3)
            return Rule(pattern, "uniform_", a=-bound, b=bound)
        name = "normal_" if self.distribution == "normal" else "truncated_normal_"
        return Rule(pattern, name, std=std)

    def uses(self, name: str) -> bool:
        """Return whether the formula uses a name."""
        return name in compile(self.std, "formula", "eval").co_names


def normal(std: str) -> Draw:
    """Return a normal distribution."""
    return Draw("normal", std)


def cut(std: str) -> Draw:
    """Return a normal distribution that is cut at three of its std."""
    return Draw("cut at 3", std)


def uniform(std: str) -> Draw:
    """Return a uniform distribution around zero."""
    return Draw("uniform", std)


ZERO = normal("0")


def evaluated(formula: str | float, values: Mapping[str, float]) -> float:
    """Return the value of a formula, which is text of this package, or a number unchanged."""
    if not isinstance(formula, str):
        return formula
    return float(eval(formula, {"__builtins__": {}, "sqrt": math.sqrt, "min": min, **values}))


@dataclass(frozen=True)
class CodeBase:
    """How a code base starts the weights of its models.

    Attributes:
        name: The name of the recipe.
        repository: The repository that was read, or the authors and the title of a paper.
        file: The file in it, or the number of the paper.
        draws: The distribution of each role of [WeightRole][initguide.graph.weight_roles].
        needs: The roles that a model must have.
        options: The options of the recipe, each with its default, a number or a formula; None
            means that the caller must give it.
        note: Parts that the recipe leaves out, and conditions of the formulas.
        date: The date of the state that was read.
    """

    name: str
    repository: str
    file: str
    draws: Mapping[str, Draw]
    needs: tuple[str, ...] = ("embedding", "query", "output", "up", "down")
    options: Mapping[str, str | float | None] = field(default_factory=dict)
    note: str = ""
    date: str = "2026-06"

    def draw(self, role: str) -> Draw | None:
        """Return the distribution of a role; packed weights have that of their parts."""
        if role in self.draws:
            return self.draws[role]
        if role in SAME_AS:
            return self.draw(SAME_AS[role])
        found = {self.draw(part) for part in PARTS.get(role, ())}
        return found.pop() if len(found) == 1 else None


# The roles that have the distribution of another role if a record does not name them.
SAME_AS = {"key": "query", "value": "query", "gate": "up"}
# The roles of weights that hold several matrices.
PARTS = {
    "qkv": ("query", "key", "value"),
    "key_value": ("key", "value"),
    "gate_up": ("gate", "up"),
}
