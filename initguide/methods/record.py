"""The record that describes a method: tables, fact boxes and tests are made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray
from torch import Tensor

from initguide.papers import Paper

Distribution = Literal["truncated_normal", "normal", "uniform"]


@dataclass(frozen=True)
class Method:
    """What there is to know about a method, each fact in one place.

    Attributes:
        title: Its name in prose.
        names: Its names in this package: the PyTorch function, then the NumPy one.
        array: The NumPy function.
        tensor: The PyTorch function.
        law: The law of one weight, in LaTeX.
        paper: Where it comes from.
        use_when: What it is good for.
        avoid_when: Where it goes wrong.
        elsewhere: Its names in Keras and JAX, and where their law differs; empty where it has none.
        page: Its page, under `docs`.
        spread: For a law whose entries are independent and whose std comes from the fans: the
            distribution and that std, from the fans and the functions' own options. None elsewhere.
    """

    title: str
    names: tuple[str, str]
    array: Callable[..., NDArray[Any]]
    tensor: Callable[..., Tensor]
    law: str
    paper: Paper
    use_when: str
    avoid_when: str
    elsewhere: str
    page: str
    spread: Callable[..., tuple[str, float]] | None = None
