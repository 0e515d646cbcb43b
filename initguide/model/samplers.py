"""A law for one parameter: what it will hold, and how it is drawn."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from initguide._checks import check_tensor
from initguide._state import on_gpus, random_states_kept, seed_global_states
from initguide.fans import Fans
from initguide.gains import as_gain
from initguide.layers.gates import per_gate_
from initguide.methods.record import Method
from initguide.methods.registry import METHODS
from initguide.methods.variance_scaling import DRAW
from initguide.model.distributions import Spread
from initguide.model.seeding import Draw, draw_by_blocks_, draw_whole_

# The laws whose entries are independent and alike, from their options.
_SPREADS: dict[str, Callable[..., Spread]] = {
    "zeros_": lambda: Spread("constant"),
    "ones_": lambda: Spread("constant", 1.0),
    "constant_": lambda val: Spread("constant", float(val)),
    "normal_": lambda mean=0.0, std=1.0: Spread("normal", mean, std),
    "uniform_": lambda a=0.0, b=1.0: Spread("uniform", (a + b) / 2, (b - a) / 2, -1.0, 1.0),
    "truncated_normal_": lambda mean=0.0, std=1.0, cut=2.0: _cut(cut).like(mean, std),
    "trunc_normal_": lambda mean=0.0, std=1.0, a=-2.0, b=2.0: Spread(
        "normal", mean, std, (a - mean) / std, (b - mean) / std
    ),
}
_SHAPES = {"normal": Spread("normal"), "uniform": Spread("uniform", low=-1.0, high=1.0)}


def _cut(cut: float) -> Spread:
    return Spread("normal", low=-cut, high=cut)


@dataclass(frozen=True)
class Law:
    """What a parameter will hold.

    Attributes:
        name: The law's name.
        fill_: Fills a tensor, given a seed and the parameter's name.
        mean: The values' mean; None where it is not known beforehand.
        std: Their standard deviation.
        ours: Whether the law is one of the package's, whose input has been checked.
        spread: The law of one value; None where the values depend on each other.
        std_of: The std that other fans would give; None where no fan matters.
        blocks: How many parts of it are drawn each by itself.
        keeps: Whether it leaves a parameter as it is.
    """

    name: str
    fill_: Callable[[Tensor, int, str], None]
    mean: float | None = None
    std: float | None = None
    ours: bool = True
    spread: Spread | None = None
    std_of: Callable[[Fans], float] | None = None
    blocks: int = 1
    keeps: bool = False


def law_of(
    law: str | Callable[..., Any],
    like: Tensor,
    fans: Callable[[], Fans],
    packed: int,
    times: float,
    options: dict[str, Any],
) -> Law:
    """Return the law for a parameter.

    Args:
        law: A method's name or function, or any function that fills a tensor.
        like: The parameter.
        fans: Gives its fans; asked only where the law needs them.
        packed: How many layers' weights it holds.
        times: A factor for the values.
        options: The law's own.

    Returns:
        A [Law][initguide.model.samplers.Law].

    Raises:
        ValueError: The name is unknown, or the law does not fit the shape or its options.
        TypeError: An option is of the wrong kind, or the parameter does not hold real numbers.
    """
    method = _method(law)
    shape = tuple(like.shape)
    if method is None:
        if not callable(law):
            names = ", ".join(method.names[0] for method in METHODS)
            raise ValueError(f"law must be a function or one of {names}; got {law!r}")
        fill = partial(_filled, _seeded(law), options, 1, times, True)
        name = getattr(law, "__name__", type(law).__name__)
        draw = partial(_drawn, partial(draw_whole_, keep=True), fill)
        return Law(name, draw, ours=False, keeps=law is keep_)
    name = method.names[0]
    if method.spread is not None or like.is_quantized:
        check_tensor(like)
    if method.spread is not None:
        spread = partial(method.spread, **options)
        distribution, std = spread(fans())
        std *= abs(times)
        fill = partial(_drawn, draw_by_blocks_, _spread(distribution, std))
        of_one = (
            _SHAPES.get(distribution, _cut(2.0)).like(0.0, std) if std else _SPREADS["zeros_"]()
        )
        return Law(
            name, fill, 0.0, std, spread=of_one, std_of=lambda other: spread(other)[1] * abs(times)
        )
    # Without entries, or without memory, a method checks its options and shape, and draws nothing.
    size, device = (0, "cpu") if name in _SPREADS else (shape, "meta")
    empty = torch.empty(size, dtype=like.dtype, device=device)
    method.tensor(empty, **options)
    random = _takes_generator(method.tensor)
    fill = partial(_filled, method.tensor, options, packed, times, random)
    if name in _SPREADS:
        of_one = _SPREADS[name](**options).times(times)
        fill = partial(_drawn, draw_by_blocks_, fill)
        return Law(name, fill, of_one.mean, of_one.std, spread=of_one)
    std = None
    if name == "orthogonal_":
        sides = (shape[0] // packed, math.prod(shape[1:]))
        number = as_gain(options.get("gain", 1.0), signed=True)
        std = abs(times * number) / math.sqrt(max(sides))
        name += f" ×{packed}" if packed > 1 else ""
    mean = None if std is None else 0.0
    return Law(name, partial(_drawn, draw_whole_, fill), mean, std, blocks=packed)


def keep_(tensor: Tensor) -> Tensor:
    """Leave a tensor as it is."""
    return tensor


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
    random: bool,
    tensor: Tensor,
    generator: torch.Generator,
) -> None:
    """Fill by a function of the tensor, each packed block by itself."""

    def fill_(part: Tensor, **source: torch.Generator) -> None:
        value = function(part, **options, **source)
        if isinstance(value, Tensor) and _storage(value) != _storage(part):
            raise ValueError("law must fill its tensor in place; got one that returns another")

    source = {"generator": generator} if random else {}
    if packed > 1 and random:
        per_gate_(tensor, fill_, packed, generator)
    else:
        fill_(tensor, **source)
    if times != 1:
        tensor.mul_(times)


def _seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes its randomness from a generator, whatever it takes it from."""
    if _takes_generator(function):
        return function

    def fill_(tensor: Tensor, generator: torch.Generator, **options: Any) -> Any:
        devices = on_gpus([tensor])
        with random_states_kept(*devices):
            seed_global_states(generator.initial_seed(), *devices)
            return function(tensor, **options)

    return fill_


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _takes_generator(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "generator" or p.kind is p.VAR_KEYWORD for p in parameters)
