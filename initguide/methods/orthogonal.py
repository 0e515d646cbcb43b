r"""Orthogonal initialization: every singular value is one, so no direction shrinks or grows.

A Gaussian matrix of the right variance keeps a vector's length on average; a product of many
stretches some directions and crushes the others. An orthogonal matrix keeps each length exactly,
and so does any product of them: $\lVert Q x \rVert = \lVert x \rVert$ (Saxe et al., 2014).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide.checks import check_dtype, check_shape, check_tensor
from initguide.fans import Layout, check_layout
from initguide.gains import Nonlinearity, as_gain
from initguide.method import Method
from initguide.papers import PAPERS
from initguide.sampling import drawn_in, generator_from, haar


def orthogonal_(
    tensor: Tensor,
    gain: float | Nonlinearity = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a weight with an orthogonal matrix, uniformly distributed.

    $$W = \text{gain} \cdot Q, \qquad Q^\top Q = I \;\text{ or }\; Q Q^\top = I, \qquad
    Q \sim \text{Haar}$$

    A weight of more than two dimensions is the matrix `(out, in * kernel)`; that of a convolution
    is then orthogonal, the convolution itself is not. Rows are orthonormal where there are fewer
    of them, columns otherwise. The law is that of `torch.nn.init.orthogonal_`, drawn faster, with
    other values; half precision is computed in float32.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`.
        gain: A number, or an activation that [gain][initguide.gain] takes.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: It has fewer than two dimensions, or `gain` is negative, not finite or unknown.

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
    number = as_gain(gain)
    if tensor.ndim < 2:
        raise ValueError(f"tensor must have at least 2 dimensions; got {tuple(tensor.shape)}")
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    wide = tensor.is_complex() or tensor.dtype == torch.float64
    dtype = tensor.dtype if wide else torch.float32

    def normal(rows: int, columns: int) -> Tensor:
        empty = torch.empty(rows, columns, dtype=dtype, device=tensor.device)
        return empty.normal_(generator=generator)

    with torch.no_grad():
        q = haar(len(tensor), tensor[0].numel(), normal)
        return tensor.copy_((q * number).reshape(tensor.shape))


def orthogonal(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    r"""Draw an orthogonal matrix, uniformly distributed.

    $$W = \text{gain} \cdot Q, \qquad Q^\top Q = I \;\text{ or }\; Q Q^\top = I, \qquad
    Q \sim \text{Haar}$$

    Args:
        shape: The weight's shape, at least two sizes.
        gain: A number, or an activation that [gain][initguide.gain] takes.
        layout: `"in_out"` for `(*kernel, in, out)`, `"out_in"` for `(out, in, *kernel)`.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: The shape has fewer than two dimensions or a size below 1, `layout` is unknown,
            or `gain` is negative, not finite or unknown.

    Source:
        A. M. Saxe, J. L. McClelland, S. Ganguli (2014), *Exact Solutions to the Nonlinear Dynamics
        of Learning in Deep Linear Neural Networks*; G. W. Stewart (1980), *The Efficient
        Generation of Random Orthogonal Matrices*, for the algorithm.

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
    number, source = as_gain(gain), generator_from(rng)

    def normal(rows: int, columns: int) -> Tensor:
        return torch.from_numpy(source.standard_normal((rows, columns), drawn_in(kind)))

    rows = sizes[0] if layout == "out_in" else int(np.prod(sizes[:-1]))
    q = haar(rows, int(np.prod(sizes)) // rows, normal)
    return (q * number).numpy().reshape(sizes).astype(kind, copy=False)


METHODS = (
    Method(
        title="Orthogonal",
        names=("orthogonal_", "orthogonal"),
        array=orthogonal,
        tensor=orthogonal_,
        law=r"W = g\,Q,\ Q^\top Q = I",
        paper=PAPERS["saxe2014"],
        use_when="recurrent weights, very deep networks; with ReLU and gain √2",
        avoid_when="convolutions, expecting the operator to keep norms; ReLU with gain 1",
        elsewhere="Keras `Orthogonal`, JAX `orthogonal`",
        page="guide/methods/orthogonal.md",
    ),
)
