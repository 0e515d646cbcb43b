r"""Orthogonal initialization: every singular value is one, so no direction shrinks or grows.

A Gaussian matrix of the right variance keeps the length of a vector on average, but a product of
many such matrices stretches some directions and shrinks the others. An orthogonal matrix keeps each
length exactly, and so does any product of them: $\lVert Q x \rVert = \lVert x \rVert$ (Saxe et al.,
2014).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_dtype, check_shape, check_tensor
from initguide._sharding import shards_alike
from initguide.fans import Axes, Layout, check_layout, in_and_out
from initguide.gains import Nonlinearity, as_gain
from initguide.haar import haar_
from initguide.methods.record import Method
from initguide.papers import PAPERS
from initguide.random import generator_from, normal_sampler, sampling_dtype


def orthogonal_std(rows: int, columns: int, gain: float | Nonlinearity = 1.0) -> float:
    """Return the std of an entry, |gain| / sqrt(the longer side)."""
    return abs(as_gain(gain, signed=True)) / math.sqrt(max(rows, columns))


@shards_alike
def orthogonal_(
    tensor: Tensor,
    gain: float | Nonlinearity = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight with an orthogonal matrix, drawn uniformly from all of them.

    $$W = \text{gain} \cdot Q, \qquad Q^\top Q = I \;\text{ or }\; Q Q^\top = I, \qquad
    Q \sim \text{Haar}$$

    The rows are orthonormal if there are fewer rows than columns; otherwise the columns are. A
    weight of more than two dimensions is filled as the matrix `(out, in * kernel)`: the weight of a
    convolution is then orthogonal, but the convolution itself is not. The distribution is that of
    `torch.nn.init.orthogonal_`, drawn faster, with other values. Half precision is computed in
    float32.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        gain: A number of either sign, or an activation that [gain][initguide.gain] takes.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: `tensor` has fewer than two dimensions.
        ValueError: `gain` is not finite or unknown.

    Source:
        A. M. Saxe, J. L. McClelland, S. Ganguli (2014), *Exact Solutions to the Nonlinear Dynamics
        of Learning in Deep Linear Neural Networks*; G. W. Stewart (1980), *The Efficient
        Generation of Random Orthogonal Matrices*, for the algorithm.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.orthogonal_(torch.empty(3, 5))
        print(torch.allclose(weight @ weight.T, torch.eye(3), atol=1e-5))
        #> True
        ```
    """
    check_tensor(tensor)
    number = as_gain(gain, signed=True)
    if tensor.ndim < 2:
        raise ValueError(f"tensor must have at least 2 dimensions; got {tuple(tensor.shape)}")
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor

    def normal_(out: Tensor) -> Tensor:
        return out.normal_(generator=generator)

    # Detached, a leaf may be written to.
    values = tensor.detach()
    if tensor.dtype in _EXACT and tensor.is_contiguous():
        haar_(values.view(len(values), -1), normal_, number)
    else:
        dtype = torch.complex64 if tensor.is_complex() else torch.float32
        dtype = tensor.dtype if tensor.dtype in _EXACT else dtype
        drawn = values.new_empty(tensor.shape, dtype=dtype)
        haar_(drawn.view(len(drawn), -1), normal_, number)
        values.copy_(drawn)
    return tensor


def orthogonal(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [orthogonal_][initguide.orthogonal_].

    `shape`, `layout`, `in_axes`, `out_axes`, `dtype` and `rng` are those of
    [xavier_normal][initguide.xavier_normal].

    Examples:
        ```python
        import numpy as np

        import initguide as init

        weight = init.orthogonal((3, 3), rng=0)
        print(f"{abs(weight.T @ weight - np.eye(3)).max():.6f}")
        #> 0.000000
        ```
    """
    sizes, kind = check_shape(shape), check_dtype(dtype)
    if len(sizes) < 2:
        raise ValueError(f"shape must have at least 2 dimensions; got {sizes}")
    check_layout(layout)
    _, out = in_and_out(len(sizes), layout, in_axes, out_axes)
    rest = tuple(axis for axis in range(len(sizes)) if axis not in out)
    first, last = (out, rest) if layout == "out_in" else (rest, out)
    number, source = as_gain(gain, signed=True), generator_from(rng)
    array = np.empty([sizes[axis] for axis in (*first, *last)], sampling_dtype(kind))
    rows = math.prod(sizes[axis] for axis in first)
    haar_(torch.from_numpy(array).view(rows, -1), normal_sampler(source), number)
    array = array.transpose(np.argsort((*first, *last)))
    return np.ascontiguousarray(array, dtype=kind)


# The dtypes in which the matrix is computed in place.
_EXACT = (torch.float32, torch.float64, torch.complex64, torch.complex128)

METHODS = (
    Method(
        title="Orthogonal",
        array=orthogonal,
        tensor=orthogonal_,
        law=r"W = g\,Q,\ Q^\top Q = I",
        paper=PAPERS["saxe2014"],
        use_when="states of recurrent layers; 30 and more linear or tanh layers, with gain 1",
        avoid_when="convolutions, expecting the operator to keep norms; ReLU with gain 1",
        elsewhere="Keras `Orthogonal`, JAX `orthogonal`",
        page="guide/methods/orthogonal.md",
        matrix_std=orthogonal_std,
    ),
)
