r"""Sparse initialization: few connections, each of them strong.

A unit that sums $n$ inputs needs weights that shrink like $1/\sqrt n$, and then all units of a
layer look alike: each is a little of everything. With a fixed number $k$ of incoming connections
the weights can stay of order one however wide the layer is, and the units differ (Martens, 2010).
torch's `sparse_` thins out each *column* of (out, in) instead: it fixes how many units hear an
input, and leaves to chance how many inputs a unit hears, none at all included.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import (
    check_count,
    check_dimensions,
    check_dtype,
    check_number,
    check_shape,
    check_std,
    check_tensor,
)
from initguide._sharding import shards_alike
from initguide.fans import Layout, check_layout
from initguide.methods.normal import draw_normal_, normal
from initguide.methods.record import Method
from initguide.papers import PAPERS
from initguide.random import generator_from


@shards_alike
def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a matrix with normal values, a share of each column being zero.

    $$w_{ij} \sim \mathcal{N}(0, \text{std}^2), \qquad
    \lceil \text{sparsity} \cdot \text{out} \rceil \text{ zeros in each column}$$

    A column of `(out, in)` holds an input's outgoing connections. Where the incoming ones are to be
    few, as in the paper, use [sparse_incoming_][initguide.sparse_incoming_]. Without a generator
    the values are torch's own, bit for bit; with one, torch still takes the zeros' places from the
    global state, and this function does not.

    Args:
        tensor: A weight of shape `(out, in)`.
        sparsity: The share of zeros, from 0 to 1.
        std: The standard deviation of the others.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: It does not have two dimensions, `sparsity` is not between 0 and 1, or `std` is
            negative or not finite.

    Source:
        J. Martens (2010), *Deep Learning via Hessian-Free Optimization*, as torch reads it.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.sparse_(torch.empty(10, 4), sparsity=0.8)
        print((weight != 0).sum(dim=0).tolist())
        #> [2, 2, 2, 2]
        ```
    """
    check_tensor(tensor)
    check_dimensions(tensor, 2)
    share, std = _check_share(sparsity), check_std(std)
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    draw_normal_(tensor, 0.0, std, generator)
    out, columns = tensor.shape
    zeros, device = math.ceil(share * out), "cpu" if generator is None else generator.device
    values = tensor.detach()
    # A few columns at a time: a place takes more memory than a weight.
    for some in (values,) if columns <= 32 else values.split(32, dim=1):
        places = torch.empty(some.shape[1], out, dtype=torch.int64, device=device)
        for row in places.unbind():
            torch.randperm(out, generator=generator, out=row)
        some.scatter_(0, places.mT[:zeros].to(some.device), 0)
    return tensor


@shards_alike
def sparse_incoming_(
    tensor: Tensor,
    connections: int = 15,
    std: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a matrix so that each unit hears a few inputs, chosen at random.

    $$w_{ij} \sim \mathcal{N}(0, \text{std}^2) \text{ for } k \text{ inputs } j
    \text{ of each unit } i, \qquad 0 \text{ elsewhere}$$

    A unit's output then has $k\,\text{std}^2$ times the inputs' second moment, whatever the fan-in:
    `std=k**-0.5` keeps it.

    Args:
        tensor: A weight of shape `(out, in)`.
        connections: How many inputs each unit hears, $k$.
        std: The standard deviation of their weights.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: It does not have two dimensions, `connections` is not between 1 and the number
            of inputs, or `std` is negative or not finite.

    Source:
        J. Martens (2010), *Deep Learning via Hessian-Free Optimization*, section 5.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.sparse_incoming_(torch.empty(4, 100), connections=15)
        print((weight != 0).sum(dim=1).tolist())
        #> [15, 15, 15, 15]
        ```
    """
    check_tensor(tensor)
    check_dimensions(tensor, 2)
    std = check_std(std)
    out, into = tensor.shape
    count = _check_connections(connections, into)
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    keys = torch.rand(out, into, generator=generator, device=tensor.device)
    heard = keys.topk(count, dim=1).indices
    weights = draw_normal_(tensor.detach().new_empty(out, count), 0.0, std, generator)
    tensor.detach().zero_().scatter_(1, heard, weights)
    return tensor


def sparse(
    shape: Sequence[int],
    sparsity: float,
    std: float = 0.01,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a matrix of normal values, a share of each input's outgoing weights being zero.

    $$w_{ij} \sim \mathcal{N}(0, \text{std}^2), \qquad
    \lceil \text{sparsity} \cdot \text{out} \rceil \text{ zeros for each input}$$

    See [sparse_][initguide.sparse_].

    Args:
        shape: The weight's shape, two sizes.
        sparsity: The share of zeros, from 0 to 1.
        std: The standard deviation of the others.
        layout: `"in_out"` for `(in, out)`, `"out_in"` for `(out, in)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape does not have two sizes of at least 1, `sparsity` is not between 0 and
            1, `std` is negative or not finite, or `layout` is unknown.

    Source:
        J. Martens (2010), *Deep Learning via Hessian-Free Optimization*, as torch reads it.

    Examples:
        ```python
        import initguide as init

        weight = init.sparse((4, 10), sparsity=0.8, rng=0)
        print((weight != 0).sum(axis=1).tolist())
        #> [2, 2, 2, 2]
        ```
    """
    out, into = _matrix(shape, layout)
    share, std = _check_share(sparsity), check_std(std)
    rng = generator_from(rng)
    weight = normal((into, out), 0.0, std, dtype=dtype, rng=rng)
    order = rng.permuted(np.broadcast_to(np.arange(out), (into, out)), axis=1)
    np.put_along_axis(weight, order[:, : math.ceil(share * out)], 0, axis=1)
    return weight if layout == "in_out" else np.ascontiguousarray(weight.T)


def sparse_incoming(
    shape: Sequence[int],
    connections: int = 15,
    std: float = 1.0,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw a matrix in which each unit hears a few inputs, chosen at random.

    $$w_{ij} \sim \mathcal{N}(0, \text{std}^2) \text{ for } k \text{ inputs } j
    \text{ of each unit } i, \qquad 0 \text{ elsewhere}$$

    See [sparse_incoming_][initguide.sparse_incoming_].

    Args:
        shape: The weight's shape, two sizes.
        connections: How many inputs each unit hears, $k$.
        std: The standard deviation of their weights.
        layout: `"in_out"` for `(in, out)`, `"out_in"` for `(out, in)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape does not have two sizes of at least 1, `connections` is not between 1
            and the number of inputs, `std` is negative or not finite, or `layout` is unknown.

    Source:
        J. Martens (2010), *Deep Learning via Hessian-Free Optimization*, section 5.

    Examples:
        ```python
        import initguide as init

        weight = init.sparse_incoming((100, 4), connections=15, rng=0)
        print((weight != 0).sum(axis=0).tolist())
        #> [15, 15, 15, 15]
        ```
    """
    out, into = _matrix(shape, layout)
    count, std, kind = _check_connections(connections, into), check_std(std), check_dtype(dtype)
    rng = generator_from(rng)
    heard = rng.permuted(np.broadcast_to(np.arange(into), (out, into)), axis=1)[:, :count]
    weight = np.zeros((out, into), kind)
    weights = normal((out, count), 0.0, std, dtype=kind, rng=rng)
    np.put_along_axis(weight, heard, weights, axis=1)
    return weight if layout == "out_in" else np.ascontiguousarray(weight.T)


def _matrix(shape: Sequence[int], layout: Layout) -> tuple[int, int]:
    """Return the numbers of outputs and inputs of a matrix."""
    sizes = check_shape(shape)
    check_layout(layout)
    if len(sizes) != 2:
        raise ValueError(f"shape must have 2 dimensions; got {sizes}")
    first, second = sizes
    return (first, second) if layout == "out_in" else (second, first)


def _check_share(sparsity: float) -> float:
    share = check_number("sparsity", sparsity)
    if not 0 <= share <= 1:
        raise ValueError(f"sparsity must be between 0 and 1; got {share}")
    return share


def _check_connections(connections: int, into: int) -> int:
    count = check_count("connections", connections)
    if count > into:
        raise ValueError(
            f"connections must be at most the number of inputs; got {count} and {into} inputs"
        )
    return count


_PAGE = "guide/methods/sparse.md"

METHODS = (
    Method(
        title="Sparse, by input",
        array=sparse,
        tensor=sparse_,
        law=r"\mathcal{N}(0, \sigma^2),\ \text{a share of zeros a column}",
        paper=PAPERS["martens2010"],
        use_when="code that counts on torch's values",
        avoid_when="few incoming connections are wanted: some units may have none",
        elsewhere="",
        page=_PAGE,
    ),
    Method(
        title="Sparse, by unit",
        array=sparse_incoming,
        tensor=sparse_incoming_,
        law=r"\mathcal{N}(0, \sigma^2) \text{ for } k \text{ inputs a unit}",
        paper=PAPERS["martens2010"],
        use_when="a fixed number of inputs a unit, at a variance that knows no width",
        avoid_when="std 1 and a deep network: the second moment grows by k a layer",
        elsewhere="",
        page=_PAGE,
    ),
)
