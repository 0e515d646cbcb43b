"""The sampler of one parameter: the distribution of its values, and how they are drawn."""

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from initguide._checks import check_real, check_tensor
from initguide._state import on_gpus, random_states_kept, seed_global_states
from initguide.fans import Fans
from initguide.layers.gates import per_gate_
from initguide.methods._scaled import DRAW
from initguide.methods.record import Distribution, Method, method_of
from initguide.model.distributions import UNSCALED, EntryDistribution
from initguide.model.seeding import Draw, draw_by_blocks_, draw_whole_


@dataclass(frozen=True)
class Sampler:
    """What a parameter will hold.

    Attributes:
        name: The method's name.
        fill_: Fills a tensor, from a seed and the parameter's name.
        mean: The mean of the values; None if it is not known in advance.
        std: Their standard deviation; None if it is not known in advance.
        from_package: Whether the method is one of this package, which has checked its options.
        distribution: The distribution of one entry; None if the entries depend on each other.
        std_for_fans: The std that other fans would give; None if the std depends on no fan.
        block_count: The number of blocks that are drawn separately, such as the gates of an LSTM.
        keeps_values: Whether it leaves the parameter unchanged.
    """

    name: str
    fill_: Callable[[Tensor, int, str], None]
    mean: float | None = None
    std: float | None = None
    from_package: bool = True
    distribution: EntryDistribution | None = None
    std_for_fans: Callable[[Fans], float] | None = None
    block_count: int = 1
    keeps_values: bool = False

    def is_constant(self, value: float) -> bool:
        """Return whether every entry will be this value."""
        return self.distribution == EntryDistribution("constant", value)


def make_sampler(
    law: str | Callable[..., Any],
    parameter: Tensor,
    fans: Callable[[], Fans],
    block_count: int,
    times: float,
    options: dict[str, Any],
) -> Sampler:
    """Return the sampler of a parameter.

    Args:
        law: The name or the function of a method, or any function that fills a tensor.
        parameter: The parameter.
        fans: Returns its fans; called only for a method that needs them.
        block_count: The number of weights that are stacked in it.
        times: A factor for the values.
        options: The options of the method.

    Returns:
        A [Sampler][initguide.model.samplers.Sampler].

    Raises:
        ValueError: The name is unknown, or the method does not accept the shape or the options.
        TypeError: An option has the wrong type, or the parameter does not hold real numbers.
    """
    method = method_of(law)
    if method is None:
        return _sampler_of_function(law, times, options)
    if method.spread is not None or parameter.is_quantized:
        check_tensor(parameter)
    if method.spread is not None:
        distribution, std = method.spread(fans(), **options)
        if distribution != "normal":
            check_real(parameter)
        std *= abs(times)
        constant = EntryDistribution("constant")
        return Sampler(
            method.names[0],
            partial(_draw, draw_by_blocks_, partial(_fill_scaled, distribution, std)),
            mean=0.0,
            std=std,
            distribution=UNSCALED[distribution].with_moments(0.0, std) if std else constant,
            std_for_fans=partial(_std_for_fans, method.tensor, options, abs(times)),
        )
    shape = tuple(parameter.shape)
    # On a tensor without entries or without memory, a method checks its options and draws nothing.
    size, device = (shape, "meta") if method.entry is None else (0, "cpu")
    method.tensor(torch.empty(size, dtype=parameter.dtype, device=device), **options)
    random = _draws(method)
    # Independent entries need no separate blocks.
    separate = block_count if method.entry is None else 1
    fill = partial(_fill, method.tensor, options, separate, times, random)
    if method.entry is not None:
        entry = EntryDistribution(*method.entry(**options)).multiplied(times)
        draw = partial(_draw, draw_by_blocks_, fill)
        return Sampler(method.names[0], draw, entry.mean, entry.std, distribution=entry)
    draw = partial(_draw, draw_whole_, fill)
    if method.matrix_std is None:
        return Sampler(method.names[0], draw, block_count=block_count)
    std = method.matrix_std(shape[0] // block_count, math.prod(shape[1:]), **options)
    name = f"{method.names[0]} ×{block_count}" if block_count > 1 else method.names[0]
    return Sampler(name, draw, 0.0, abs(times) * std, block_count=block_count)


def _sampler_of_function(
    law: str | Callable[..., Any], times: float, options: dict[str, Any]
) -> Sampler:
    if not callable(law):
        from initguide.methods.registry import METHODS

        names = ", ".join(method.names[0] for method in METHODS)
        raise ValueError(f"law must be a function or one of {names}; got {law!r}")
    seeded = law if _takes_generator(law) else partial(_call_seeded, law)
    fill = partial(_fill, seeded, options, 1, times, True)
    return Sampler(
        getattr(law, "__name__", type(law).__name__),
        partial(_draw, partial(draw_whole_, keep=True), fill),
        from_package=False,
        keeps_values=law is keep_,
    )


def keep_(tensor: Tensor) -> Tensor:
    """Leave a tensor unchanged."""
    return tensor


# Module-level functions and partials of them, so that a plan can be pickled.


def _leave(tensor: Tensor, seed: int, name: str) -> None:
    """Leave a tensor unchanged."""


KEEP = Sampler("keep_", _leave, from_package=False, keeps_values=True)


def _std_for_fans(
    function: Callable[..., Any], options: dict[str, Any], factor: float, fans: Fans
) -> float:
    method = method_of(function)
    assert method is not None
    assert method.spread is not None
    return method.spread(fans, **options)[1] * factor


def _draw(
    draw_over_: Callable[..., None], fill_: Draw, tensor: Tensor, seed: int, name: str
) -> None:
    draw_over_(tensor, fill_, seed, name)


def _fill_scaled(
    distribution: Distribution, std: float, tensor: Tensor, generator: torch.Generator
) -> None:
    if std:
        DRAW[distribution](tensor, std, generator)
    else:
        tensor.zero_()


def _fill(
    function: Callable[..., Any],
    options: dict[str, Any],
    block_count: int,
    times: float,
    random: bool,
    tensor: Tensor,
    generator: torch.Generator,
) -> None:
    """Fill a tensor by a method or function, each of the stacked blocks separately."""

    def fill_(part: Tensor, **source: torch.Generator) -> None:
        value = function(part, **options, **source)
        if isinstance(value, Tensor) and _address(value) != _address(part):
            raise ValueError("law must fill its tensor in place; got one that returns another")

    source = {"generator": generator} if random else {}
    if block_count > 1 and random:
        per_gate_(tensor, fill_, block_count, generator)
    else:
        fill_(tensor, **source)
    if times != 1:
        tensor.mul_(times)


def _call_seeded(
    function: Callable[..., Any], tensor: Tensor, generator: torch.Generator, **options: Any
) -> Any:
    """Call a function that draws from a global random state, which is seeded and restored."""
    devices = on_gpus([tensor])
    with random_states_kept(*devices):
        seed_global_states(generator.initial_seed(), *devices)
        return function(tensor, **options)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _takes_generator(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "generator" or p.kind is p.VAR_KEYWORD for p in parameters)


@functools.cache
def _draws(method: Method) -> bool:
    # A signature is slow to read, and a model has many parameters.
    return _takes_generator(method.tensor)
