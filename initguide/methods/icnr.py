r"""ICNR: a convolution before a pixel shuffle that starts without a checkerboard.

A sub-pixel convolution computes $r^2$ values for each input pixel and arranges them as an
$r \times r$ block. If the $r^2$ kernels are drawn independently, they differ, and every block shows
the same pattern: a checkerboard of period $r$. If the kernels of a block are equal, the output is
that of one smaller convolution with each pixel repeated (Aitken et al., 2017).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_count, check_dimensions, check_shape, check_tensor
from initguide._sharding import shards_alike
from initguide.fans import Layout, check_layout
from initguide.methods.kaiming import kaiming_normal, kaiming_normal_
from initguide.methods.record import Method
from initguide.papers import PAPERS


@shards_alike
def icnr_(
    tensor: Tensor,
    upscale_factor: int = 2,
    init_: Callable[..., Any] = kaiming_normal_,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill the weight of a convolution before a pixel shuffle, with equal kernels in each block.

    $$W_{c r^d + i} = V_c, \quad i = 0, \dots, r^d - 1, \qquad V \text{ drawn by } \texttt{init\_}$$

    Here $d$ is the number of kernel sizes, $r$ the upscale factor, and $V$ has the shape
    `(out / r**d, in, *kernel)`. The order of the channels is that of `nn.PixelShuffle`.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`, with one to three kernel sizes.
        upscale_factor: The factor by which the shuffle enlarges each side, $r$.
        init_: Any function that fills a tensor; set its options with `functools.partial`.
        generator: The source of randomness, passed on to `init_` unless it is None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: `tensor` does not have three to five dimensions.
        ValueError: `upscale_factor` is not a positive integer, or $r^d$ does not divide the
            outputs.

    Source:
        A. Aitken, C. Ledig, L. Theis, J. Caballero, Z. Wang, W. Shi (2017), *Checkerboard Artifact
        Free Sub-Pixel Convolution*.

    Examples:
        ```python
        import torch

        import initguide as init

        conv = torch.nn.Conv2d(8, 3 * 2**2, 3)
        init.icnr_(conv.weight, upscale_factor=2)
        init.zeros_(conv.bias)
        image = torch.nn.PixelShuffle(2)(conv(torch.randn(1, 8, 10, 10)))
        print(torch.equal(image[..., ::2, ::2], image[..., 1::2, 1::2]))
        #> True
        ```
    """
    check_tensor(tensor)
    check_dimensions(tensor, 3, 4, 5)
    block = _block(len(tensor), upscale_factor, tensor.ndim - 2)
    options = {} if generator is None else {"generator": generator}
    with torch.no_grad():
        drawn = init_(tensor.detach()[::block].clone(), **options)
        return tensor.copy_(drawn.repeat_interleave(block, dim=0))


def icnr(
    shape: Sequence[int],
    upscale_factor: int = 2,
    init: Callable[..., NDArray[np.floating]] = kaiming_normal,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array in which the kernels of each block are equal, as [icnr_][initguide.icnr_] does.

    `layout`, `dtype` and `rng` are those of [xavier_normal][initguide.xavier_normal]. The order of
    the channels is that of `nn.PixelShuffle` in both layouts. TensorFlow's `depth_to_space` uses
    another order: its outermost index is the place in a block, not the channel.

    Args:
        shape: The shape of the weight, three to five sizes.
        init: A function of this package that takes `shape`, `layout`, `dtype` and `rng`.

    Raises:
        ValueError: `shape` does not have three to five sizes, or has one below 1.

    Examples:
        ```python
        import numpy as np

        import initguide as init

        weight = init.icnr((3, 3, 8, 12), upscale_factor=2, rng=0)
        print([np.array_equal(weight[..., 0], weight[..., i]) for i in range(5)])
        #> [True, True, True, True, False]
        ```
    """
    sizes = check_shape(shape)
    check_layout(layout)
    if not 3 <= len(sizes) <= 5:
        raise ValueError(f"shape must have 3 to 5 dimensions; got {sizes}")
    axis = 0 if layout == "out_in" else len(sizes) - 1
    block = _block(sizes[axis], upscale_factor, len(sizes) - 2)
    smaller = (*sizes[:axis], sizes[axis] // block, *sizes[axis + 1 :])
    return init(smaller, layout=layout, dtype=dtype, rng=rng).repeat(block, axis=axis)


def _block(out: int, upscale_factor: int, dimensions: int) -> int:
    """Return how many kernels make one block."""
    block = check_count("upscale_factor", upscale_factor) ** dimensions
    if out % block:
        raise ValueError(
            f"upscale_factor**{dimensions} must divide the outputs; got {block} and {out} outputs"
        )
    return block


METHODS = (
    Method(
        title="ICNR",
        array=icnr,
        tensor=icnr_,
        law=r"\text{one draw per block of } r^d",
        paper=PAPERS["aitken2017"],
        use_when="a convolution feeds a pixel shuffle",
        avoid_when="no pixel shuffle follows: the outputs are copies",
        elsewhere="",
        page="advanced/icnr.md",
    ),
)
