r"""Packed tensors: one tensor holds several weights, and each block is initialized separately.

torch and Keras store the input, forget, cell and output weights of an LSTM in one tensor. They do
the same with the three gates of a GRU and with the query, key and value weights of attention. An
initializer that uses the packed shape is wrong for every block. For example, take a $(4h, h)$
matrix with orthonormal columns: the squared singular values of its four blocks have a mean of
$\tfrac14$, not 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initguide._sharding import shards_alike
from initguide.fans import Layout
from initguide.random import generator_from


@shards_alike
def per_gate_(
    tensor: Tensor,
    init_: Callable[..., Any],
    gates: int = 4,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Initialize each block (gate) of a packed tensor separately.

    $$W = \begin{pmatrix} W_1 \\ \vdots \\ W_g \end{pmatrix}, \qquad
    W_i \sim \texttt{init\_} \text{ at shape } (h, n)$$

    Args:
        tensor: The packed tensor, shape `(gates * h, ...)`.
        init_: Any in-place initializer of a tensor. Use `functools.partial` to set its options.
        gates: The number of blocks: 4 for an LSTM, 3 for a GRU, 3 for packed query, key and value.
        generator: The source of randomness, passed to `init_` unless it is None.

    Returns:
        `tensor`, changed in place.

    Raises:
        ValueError: The first dimension is not a multiple of `gates`.

    Source:
        The order of an LSTM's blocks is that of torch and Keras: input, forget, cell, output.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.per_gate_(torch.empty(12, 3), init.orthogonal_, gates=4)
        print([torch.allclose(w.T @ w, torch.eye(3), atol=1e-5) for w in weight.chunk(4)])
        #> [True, True, True, True]
        ```
    """
    _check_gates(gates, tuple(tensor.shape), 0)
    options = {} if generator is None else {"generator": generator}
    with torch.no_grad():
        for block in tensor.chunk(gates):
            init_(block, **options)
    return tensor


def per_gate(
    shape: Sequence[int],
    init: Callable[..., NDArray[np.floating]],
    gates: int = 4,
    *,
    layout: Layout = "in_out",
    rng: np.random.Generator | int | None = None,
    **options: Any,
) -> NDArray[np.floating]:
    r"""Draw each block (gate) of a packed array separately.

    $$W = \begin{pmatrix} W_1 & \cdots & W_g \end{pmatrix}, \qquad
    W_i \sim \texttt{init} \text{ at shape } (n, h)$$

    Args:
        shape: The packed shape: `(n, gates * h)` in layout `"in_out"`, `(gates * h, n)` in
            `"out_in"`.
        init: A function of the package that takes `shape`, `layout` and `rng`.
        gates: The number of blocks.
        layout: The layout of the array. The axis of the outputs is the axis of the gates.
        rng: A generator, a seed or None. The blocks are drawn from it one after the other.
        **options: Passed to `init`.

    Returns:
        An array of shape `shape`.

    Raises:
        ValueError: The number of outputs is not a multiple of `gates`, or `layout` is unknown.

    Source:
        The order of an LSTM's blocks is that of torch and Keras: input, forget, cell, output.

    Examples:
        ```python
        import numpy as np

        import initguide as init

        weight = init.per_gate((3, 12), init.orthogonal, gates=4, rng=0)
        print([np.allclose(w @ w.T, np.eye(3)) for w in np.split(weight, 4, axis=1)])
        #> [True, True, True, True]
        ```
    """
    if layout not in ("in_out", "out_in"):
        raise ValueError(f"layout must be 'in_out' or 'out_in'; got {layout!r}")
    shape = tuple(shape)
    axis = 0 if layout == "out_in" else len(shape) - 1
    _check_gates(gates, shape, axis)
    block = (*shape[:axis], shape[axis] // gates, *shape[axis + 1 :])
    # One generator for all blocks. If each block got the same seed, the gates would be copies.
    rng = generator_from(rng)
    blocks = [init(block, layout=layout, rng=rng, **options) for _ in range(gates)]
    return np.concatenate(blocks, axis=axis)


def _check_gates(gates: int, shape: tuple[int, ...], axis: int) -> None:
    if isinstance(gates, bool) or not isinstance(gates, int) or gates < 1:
        raise ValueError(f"gates must be a positive integer; got {gates!r}")
    if not shape or shape[axis] % gates:
        raise ValueError(f"gates must divide the outputs; got {gates} gates and shape {shape}")
