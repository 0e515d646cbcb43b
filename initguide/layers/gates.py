r"""Packed tensors: several layers' weights in one, each of them to be initialized by itself.

torch and Keras store the input, forget, cell and output weights of an LSTM as one tensor, so too
the three gates of a GRU and the query, key and value of attention. A rule that reads the fans or
the orthogonality off the packed shape is wrong for each block: the four blocks of one orthonormal
$(4h, h)$ matrix have squared singular values that average $\tfrac14$.
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
    r"""Initialize each gate's block of a packed tensor by itself.

    $$W = \begin{pmatrix} W_1 \\ \vdots \\ W_g \end{pmatrix}, \qquad
    W_i \sim \text{the law of } \texttt{init\_} \text{ at shape } (h, n)$$

    Args:
        tensor: The packed tensor, shape `(gates * h, ...)`.
        init_: Any in-place initializer of a tensor; give its options with `functools.partial`.
        gates: How many blocks: 4 for an LSTM, 3 for a GRU, 3 for packed query, key and value.
        generator: Handed on to `init_` where given.

    Returns:
        `tensor`, changed in place.

    Raises:
        ValueError: `gates` does not divide the first dimension.

    Source:
        The blocks' order is torch's and Keras': input, forget, cell, output (LSTM).

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
    r"""Draw each gate's block of a packed array by itself.

    $$W = \begin{pmatrix} W_1 & \cdots & W_g \end{pmatrix}, \qquad
    W_i \sim \text{the law of } \texttt{init} \text{ at shape } (n, h)$$

    Args:
        shape: The packed shape: `(n, gates * h)` in layout `"in_out"`, `(gates * h, n)` in
            `"out_in"`.
        init: A function of the package that takes `shape`, `layout` and `rng`.
        gates: How many blocks.
        layout: Which axis holds the outputs, and so the gates.
        rng: A generator, a seed or None; the blocks are drawn from it one after the other.
        **options: Handed on to `init`.

    Returns:
        An array of shape `shape`.

    Raises:
        ValueError: `gates` does not divide the outputs, or `layout` is unknown.

    Source:
        The blocks' order is torch's and Keras': input, forget, cell, output (LSTM).

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
    # One generator for all blocks: a seed handed to each would make the gates copies.
    rng = generator_from(rng)
    blocks = [init(block, layout=layout, rng=rng, **options) for _ in range(gates)]
    return np.concatenate(blocks, axis=axis)


def _check_gates(gates: int, shape: tuple[int, ...], axis: int) -> None:
    if isinstance(gates, bool) or not isinstance(gates, int) or gates < 1:
        raise ValueError(f"gates must be a positive integer; got {gates!r}")
    if not shape or shape[axis] % gates:
        raise ValueError(f"gates must divide the outputs; got {gates} gates and shape {shape}")
