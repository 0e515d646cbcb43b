"""The record that describes a method: tables, fact boxes, plans and tests are made from it."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray
from torch import Tensor

from initguide.papers import Paper

Distribution = Literal["truncated_normal", "normal", "uniform"]
"""The distribution of the weights; the std is the same in all three."""


class Entry(NamedTuple):
    """The distribution of one entry: constant, uniform, or normal between two bounds.

    Attributes:
        kind: Which of them.
        centre: The mean of a normal before it is cut; the middle of a uniform; the constant.
        scale: The std of a normal before it is cut; half the width of a uniform.
        low: The lower bound, counted in scales from the centre.
        high: The upper bound, counted in the same way.
    """

    kind: Literal["constant", "normal", "uniform"]
    centre: float = 0.0
    scale: float = 1.0
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Method:
    """What there is to know about a method, each fact in one place.

    Attributes:
        title: Its name in prose.
        tensor: The PyTorch function.
        array: The NumPy function.
        law: The distribution of one weight, in LaTeX.
        paper: The paper that it comes from.
        use_when: What it is good for.
        avoid_when: Where it goes wrong.
        elsewhere: Its names in Keras and JAX, and how their distributions differ; may be empty.
        page: Its page, under `docs`.
        spread: For independent entries whose std comes from the fans: the distribution and the
            std, from the fans and the functions' own options.
        entry: For independent entries that need no fans: the distribution of one entry, from the
            functions' own options.
        matrix_std: For a random matrix whose entries depend on each other: the std of an entry,
            from the numbers of rows and columns and the functions' own options.
    """

    title: str
    tensor: Callable[..., Tensor]
    array: Callable[..., NDArray[Any]]
    law: str
    paper: Paper
    use_when: str
    avoid_when: str
    elsewhere: str
    page: str
    spread: Callable[..., tuple[Distribution, float]] | None = None
    entry: Callable[..., Entry] | None = None
    matrix_std: Callable[..., float] | None = None

    @property
    def names(self) -> tuple[str, str]:
        """Its names in this package: the PyTorch function, then the NumPy one."""
        return self.tensor.__name__, self.array.__name__


def method_of(function: str | Callable[..., Any]) -> Method | None:
    """Return the record of a method, by one of its functions or by its public name.

    It loads the file of this method and no other, so that a page that plans a model does not depend
    on the methods that the plan leaves out. Anything else gives None.
    """
    found: Any = function
    if isinstance(function, str):
        found = getattr(sys.modules["initguide"], function, None)
    name = getattr(found, "__module__", None) or ""
    ours = name.startswith("initguide.methods.")
    records = getattr(sys.modules[name], "METHODS", ()) if ours else ()
    return next((each for each in records if found in (each.tensor, each.array)), None)
