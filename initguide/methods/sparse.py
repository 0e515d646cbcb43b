r"""Sparse initialization: few connections, each of them strong.

A unit that sums $n$ inputs needs weights that shrink like $1/\sqrt n$, and then all units of a
layer look alike, because each sums a little of every input. With a fixed number $k$ of incoming
connections the weights can stay of order one at any width, and the units differ (Martens, 2010).
torch's `sparse_` sets zeros in each *column* of (out, in) instead. So the number of units that use
an input is fixed, but the number of inputs of a unit is random, and some units may have none.
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
    r"""Fill a matrix with normal values, and set a share of each column to zero.

    $$w_{ij} \sim \mathcal{N}(0, \text{std}^2), \qquad
    \lceil \text{sparsity} \cdot \text{out} \rceil \text{ zeros in each column}$$

    A column of `(out, in)` holds the outgoing connections of an input. To limit the incoming
    connections, as in the paper, use [sparse_incoming_][initguide.sparse_incoming_]. Without a
    generator the values are torch's own, bit for bit. With one, torch still takes the places of the
    zeros from the global state, but this function does not.

    Args:
        tensor: A weight of shape `(out, in)`.
        sparsity: The share of zeros, from 0 to 1.
        std: The standard deviation of the other entries.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: `tensor` does not have two dimensions.
        ValueError: `sparsity` is not between 0 and 1.
        ValueError: `std` is negative or not finite.

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
    # A few columns at a time, because a place takes more memory than a weight.
    for some in (values,) if columns <= 32 else values.split(32, dim=1):
        orders = [
            torch.randperm(out, generator=generator, device=device)[:zeros]
            for _ in range(some.shape[1])
        ]
        _bytes_of(some).scatter_(0, torch.stack(orders, dim=1).to(some.device), 0)
    return tensor


@shards_alike
def sparse_incoming_(
    tensor: Tensor,
    connections: int = 15,
    std: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a matrix so that each unit has a few inputs, chosen at random.

    $$w_{ij} \sim \mathcal{N}(0, \text{std}^2) \text{ for } k \text{ inputs } j
    \text{ of each unit } i, \qquad 0 \text{ elsewhere}$$

    The output of a unit has $k\,\text{std}^2$ times the second moment of the inputs, at any fan-in.
    So `std=k**-0.5` keeps it. [sparse_][initguide.sparse_] limits the outgoing connections instead.

    Args:
        tensor: A weight of shape `(out, in)`.
        connections: The number of inputs of each unit, $k$.
        std: The standard deviation of their weights.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: `tensor` does not have two dimensions.
        ValueError: `connections` is not between 1 and the number of inputs.
        ValueError: `std` is negative or not finite.

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
    # The default dtype has no say: in half precision many keys would be equal.
    keys = torch.rand(out, into, generator=generator, device=tensor.device, dtype=torch.float32)
    heard = keys.topk(count, dim=1).indices
    weights = draw_normal_(tensor.detach().new_empty(out, count), 0.0, std, generator)
    _bytes_of(tensor.detach().zero_()).scatter_(1, heard, _bytes_of(weights))
    return tensor


def _bytes_of(tensor: Tensor) -> Tensor:
    """Return a float8 tensor as its bytes, because torch can move only those."""
    return tensor.view(torch.uint8) if tensor.dtype.itemsize == 1 else tensor


def sparse(
    shape: Sequence[int],
    sparsity: float,
    std: float = 0.01,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [sparse_][initguide.sparse_].

    `dtype` and `rng` are those of [normal][initguide.normal].

    Args:
        shape: The shape of the weight, two sizes.
        layout: `"in_out"` for `(in, out)`, `"out_in"` for `(out, in)`.

    Raises:
        ValueError: `shape` does not have two sizes, or has one below 1.
        ValueError: `layout` is unknown.

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
    """Draw an array from the distribution of [sparse_incoming_][initguide.sparse_incoming_].

    `shape`, `layout`, `dtype` and `rng` are those of [sparse][initguide.sparse].

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


_PAGE = "advanced/sparse.md"

METHODS = (
    Method(
        title="Sparse, by input",
        array=sparse,
        tensor=sparse_,
        law=r"\mathcal{N}(0, \sigma^2),\ \text{a share of zeros a column}",
        paper=PAPERS["martens2010"],
        use_when="code that needs torch's values",
        avoid_when="each unit needs a few inputs: some units may have none",
        elsewhere="",
        page=_PAGE,
    ),
    Method(
        title="Sparse, by unit",
        array=sparse_incoming,
        tensor=sparse_incoming_,
        law=r"\mathcal{N}(0, \sigma^2) \text{ for } k \text{ inputs a unit}",
        paper=PAPERS["martens2010"],
        use_when="a fixed number of inputs per unit, and a std that does not depend on the width",
        avoid_when="std 1 and a deep network: the second moment grows by k per layer",
        elsewhere="",
        page=_PAGE,
    ),
)
