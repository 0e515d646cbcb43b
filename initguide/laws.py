"""A law for one parameter: what it will hold, and how it is drawn."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from initguide.fans import Fans
from initguide.gains import as_gain
from initguide.layers.gates import per_gate_
from initguide.method import Method
from initguide.methods import METHODS
from initguide.methods.truncated_normal import truncated_moments
from initguide.methods.variance_scaling import DRAW
from initguide.streams import Draw, draw_by_blocks_, draw_whole_

# The mean and std of the laws whose entries are independent and alike, from their options.
_MOMENTS: dict[str, Callable[..., tuple[float, float]]] = {
    "zeros_": lambda: (0.0, 0.0),
    "ones_": lambda: (1.0, 0.0),
    "constant_": lambda val: (val, 0.0),
    "normal_": lambda mean=0.0, std=1.0: (mean, std),
    "uniform_": lambda a=0.0, b=1.0: ((a + b) / 2, (b - a) / math.sqrt(12)),
    "truncated_normal_": lambda mean=0.0, std=1.0, cut=2.0: (mean, std),
    "trunc_normal_": lambda mean=0.0, std=1.0, a=-2.0, b=2.0: truncated_moments(mean, std, a, b),
}


@dataclass(frozen=True)
class Law:
    """What a parameter will hold.

    Attributes:
        name: The law's name.
        fill_: Fills a tensor, given a seed and the parameter's name.
        mean: The values' mean; None where it is not known beforehand.
        std: Their standard deviation.
        ours: Whether the law is one of the package's, whose input has been checked.
    """

    name: str
    fill_: Callable[[Tensor, int, str], None]
    mean: float | None = None
    std: float | None = None
    ours: bool = True


def law_of(
    law: str | Callable[..., Any],
    shape: tuple[int, ...],
    fans: Callable[[], Fans],
    packed: int,
    times: float,
    options: dict[str, Any],
) -> Law:
    """Return the law for a parameter.

    Args:
        law: A method's name or function, or any function that fills a tensor.
        shape: The parameter's shape.
        fans: Gives its fans; asked only where the law needs them.
        packed: How many layers' weights it holds.
        times: A factor for the values.
        options: The law's own.

    Returns:
        A [Law][initguide.laws.Law].

    Raises:
        ValueError: The name is unknown, or the law does not fit the shape or its options.
        TypeError: An option is of the wrong kind.
    """
    method = _method(law)
    if method is None:
        if not callable(law):
            names = ", ".join(method.names[0] for method in METHODS)
            raise ValueError(f"law must be a function or one of {names}; got {law!r}")
        fill = partial(_filled, law, options, 1, times)
        name = getattr(law, "__name__", type(law).__name__)
        return Law(name, partial(_drawn, draw_whole_, fill), ours=False)
    name = method.names[0]
    if method.spread is not None:
        distribution, std = method.spread(fans(), **options)
        std *= abs(times)
        return Law(name, partial(_drawn, draw_by_blocks_, _spread(distribution, std)), 0.0, std)
    # On a tensor without memory a method checks its options and the shape, and draws nothing.
    method.tensor(torch.empty(shape, device="meta"), **options)
    fill = partial(_filled, method.tensor, options, packed, times)
    if name in _MOMENTS:
        mean, std = _MOMENTS[name](**options)
        return Law(name, partial(_drawn, draw_by_blocks_, fill), mean * times, std * abs(times))
    std = None
    if name == "orthogonal_":
        sides = (shape[0] // packed, math.prod(shape[1:]))
        number = as_gain(options.get("gain", 1.0), signed=True)
        std = abs(times * number) / math.sqrt(max(sides))
        name += f" ×{packed}" if packed > 1 else ""
    return Law(name, partial(_drawn, draw_whole_, fill), 0.0 if std else None, std)


def _method(law: str | Callable[..., Any]) -> Method | None:
    for method in METHODS:
        if law in (*method.names, method.tensor, method.array):
            return method
    return None


def _drawn(
    draw_over_: Callable[..., None], draw_: Draw, tensor: Tensor, seed: int, name: str
) -> None:
    draw_over_(tensor, draw_, seed, name)


def _spread(distribution: str, std: float) -> Draw:
    if not std:
        return lambda tensor, _: tensor.zero_()
    return lambda tensor, generator: DRAW[distribution](tensor, std, generator)


def _filled(
    function: Callable[..., Any],
    options: dict[str, Any],
    packed: int,
    times: float,
    tensor: Tensor,
    generator: torch.Generator,
) -> None:
    """Fill by a function of the tensor, each packed block by itself."""
    fill_ = partial(function, **options)
    if not _takes_generator(function):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            fill_(tensor)
    elif packed > 1:
        per_gate_(tensor, fill_, packed, generator)
    else:
        fill_(tensor, generator=generator)
    if times != 1:
        tensor.mul_(times)


def _takes_generator(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "generator" or p.kind is p.VAR_KEYWORD for p in parameters)
