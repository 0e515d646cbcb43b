r"""Delta-orthogonal: a convolution that keeps the length of every input.

A kernel that is orthogonal as a matrix (out, in · kernel) does not make the convolution
orthogonal, because each input takes part in as many outputs as the kernel has places. With an
orthogonal matrix at the kernel's centre and zeros around it, the convolution applies that matrix at
every place, $y_{\mathbf{p}} = Q\, x_{\mathbf{p}}$. So $\lVert y \rVert = \lVert x \rVert$ at
stride 1 (Xiao et al., 2018).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_dimensions, check_dtype, check_shape, check_tensor
from initguide._sharding import shards_alike
from initguide.fans import Layout, check_layout
from initguide.gains import Nonlinearity, as_gain
from initguide.methods.orthogonal import orthogonal, orthogonal_
from initguide.methods.record import Method
from initguide.papers import PAPERS


@shards_alike
def delta_orthogonal_(
    tensor: Tensor,
    gain: float | Nonlinearity = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill the weight of a convolution with [orthogonal_][initguide.orthogonal_] at its centre.

    $$W_{\mathbf{k}} = \text{gain} \cdot Q\;\delta_{\mathbf{k}\mathbf{c}}, \qquad
    Q^\top Q = I \;\text{ or }\; Q Q^\top = I, \qquad Q \sim \text{Haar}$$

    The centre of the kernel is $\mathbf{c} = \lfloor \mathbf{k} / 2 \rfloor$. If there are at least
    as many outputs as inputs, each input keeps its length; if there are fewer, each gradient does.
    The paper's networks change the width in the first layer only.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`, with one to three kernel sizes.

    Raises:
        ValueError: `tensor` does not have three to five dimensions.

    Source:
        L. Xiao, Y. Bahri, J. Sohl-Dickstein, S. S. Schoenholz, J. Pennington (2018), *Dynamical
        Isometry and a Mean Field Theory of CNNs: How to Train 10,000-Layer Vanilla Convolutional
        Neural Networks*.

    Examples:
        ```python
        import torch

        import initguide as init

        conv = torch.nn.Conv2d(8, 8, 3, padding=1, bias=False)
        init.delta_orthogonal_(conv.weight)
        x = torch.randn(1, 8, 16, 16)
        print(f"{(conv(x).norm() / x.norm()).item():.4f}")
        #> 1.0000
        ```
    """
    check_tensor(tensor)
    check_dimensions(tensor, 3, 4, 5)
    number = as_gain(gain, signed=True)
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    centre = tuple(size // 2 for size in tensor.shape[2:])
    values = tensor.detach().zero_()
    orthogonal_(values[(..., *centre)], number, generator)
    return tensor


def delta_orthogonal(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [delta_orthogonal_][initguide.delta_orthogonal_].

    `layout`, `dtype` and `rng` are those of [xavier_normal][initguide.xavier_normal].

    Args:
        shape: The shape of the weight, three to five sizes.

    Raises:
        ValueError: `shape` does not have three to five sizes, or has one below 1.

    Examples:
        ```python
        import numpy as np

        import initguide as init

        weight = init.delta_orthogonal((3, 3, 4, 6), rng=0)
        centre = weight[1, 1]
        print(np.allclose(centre @ centre.T, np.eye(4)), (weight != 0).sum() == centre.size)
        #> True True
        ```
    """
    sizes, kind = check_shape(shape), check_dtype(dtype)
    check_layout(layout)
    if not 3 <= len(sizes) <= 5:
        raise ValueError(f"shape must have 3 to 5 dimensions; got {sizes}")
    array = np.zeros(sizes, kind)
    weight = np.moveaxis(array, (0, 1), (-2, -1)) if layout == "out_in" else array
    centre = tuple(size // 2 for size in weight.shape[:-2])
    weight[centre] = orthogonal(weight.shape[-2:], gain, layout=layout, dtype=kind, rng=rng)
    return array


METHODS = (
    Method(
        title="Delta-orthogonal",
        array=delta_orthogonal,
        tensor=delta_orthogonal_,
        law=r"g\,Q \text{ at the centre},\ 0 \text{ elsewhere}",
        paper=PAPERS["xiao2018"],
        use_when="deep convolutional networks without skip connections or normalization",
        avoid_when="the stride is above 1, or the channels shrink: lengths are lost",
        elsewhere="JAX `delta_orthogonal`",
        page="advanced/delta-orthogonal.md",
    ),
)
