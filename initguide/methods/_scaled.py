"""The engine of the methods whose std comes from the fans: from that std to tensors and arrays."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_real, check_tensor
from initguide._sharding import is_sharded, shards_alike
from initguide.fans import Axes, Fans, Layout, fans, tensor_fans
from initguide.methods.normal import draw_normal_, draw_uniform_, normal, uniform
from initguide.methods.record import Distribution, Method
from initguide.methods.truncated_normal import truncated_normal, truncated_normal_

Functions = tuple[Callable[..., Tensor], Callable[..., NDArray[Any]]]
_ROOT = math.sqrt(3.0)
# Fill a tensor with mean 0 and a given std.
DRAW: dict[Distribution, Callable[[Tensor, float, torch.Generator | None], Tensor]] = {
    "truncated_normal": lambda w, std, source: truncated_normal_(w, 0.0, std, generator=source),
    "normal": lambda w, std, source: draw_normal_(w, 0.0, std, source),
    "uniform": lambda w, std, source: draw_uniform_(w, -_ROOT * std, _ROOT * std, source),
}


def fill_(
    tensor: Tensor,
    distribution: Distribution,
    generator: torch.Generator | None,
    std_of: Callable[..., float],
    *options: Any,
    warn: bool = False,
) -> Tensor:
    """Fill a weight from a distribution with mean 0 and the std `std_of(fans, *options)`."""
    if is_sharded(tensor):
        # Faster for all other tensors than a decorator.
        filled_ = shards_alike(fill_)
        return filled_(tensor, distribution, generator, std_of, *options, warn=warn)
    check_tensor(tensor) if distribution == "normal" else check_real(tensor)
    if tensor.numel():
        return DRAW[distribution](tensor, std_of(tensor_fans(tensor), *options), generator)
    if warn:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    else:
        # There is no fan to divide by, but bad arguments are errors all the same.
        tensor_fans(tensor)
        std_of(Fans(1, 1), *options)
    return tensor


def array(
    shape: Sequence[int],
    distribution: Distribution,
    layout: Layout,
    dtype: DTypeLike,
    rng: np.random.Generator | int | None,
    axes: tuple[Axes | None, Axes | None],
    std_of: Callable[..., float],
    *options: Any,
) -> NDArray[np.floating]:
    """Draw a weight array from a distribution with mean 0 and the std `std_of(fans, *options)`."""
    in_axes, out_axes = axes
    std = std_of(fans(shape, layout, in_axes=in_axes, out_axes=out_axes), *options)
    if distribution == "uniform":
        return uniform(shape, -_ROOT * std, _ROOT * std, dtype=dtype, rng=rng)
    draw = normal if distribution == "normal" else truncated_normal
    return draw(shape, 0.0, std, dtype=dtype, rng=rng)


def pair(
    title: str,
    std_of: Callable[..., float],
    uniform: Functions,
    normal: Functions,
    *,
    bound: str,
    std: str,
    elsewhere: str,
    **shared: Any,
) -> tuple[Method, Method]:
    """Return the records of a uniform and a normal method that share the formula of their std."""

    def record(kind: Literal["uniform", "normal"], functions: Functions, law: str, note: str):
        return Method(
            title=f"{title} {kind}",
            tensor=functions[0],
            array=functions[1],
            law=law,
            elsewhere=f"Keras `{elsewhere.title()}{kind.title()}`, JAX `{elsewhere}_{kind}`{note}",
            spread=lambda fans, **options: (kind, std_of(fans, **options)),
            **shared,
        )

    laws = (
        rf"\mathcal{{U}}(-{bound[0]}, {bound[0]}),\ {bound}",
        rf"\mathcal{{N}}(0, \sigma^2),\ {std}",
    )
    return (
        record("uniform", uniform, laws[0], ""),
        record("normal", normal, laws[1], " (both cut at ±2 std)"),
    )
