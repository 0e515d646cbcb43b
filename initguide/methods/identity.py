r"""Identity: a layer that starts by passing its input on.

A layer $y = W x$ with $W = s I$ changes only the scale, at any depth. A convolution does the same
if its kernel is one at the centre and zero elsewhere, which is a Dirac delta. A recurrent ReLU
layer that starts this way keeps its state as long as its input is zero (Le et al., 2015). A plain
ReLU network of such convolutions starts as a copy of its input (Zagoruyko and Komodakis, 2017).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_count, check_dimensions, check_dtype, check_entries, check_shape
from initguide._sharding import shards_alike
from initguide.fans import Layout, check_layout
from initguide.gains import Nonlinearity, as_gain
from initguide.methods.record import Method
from initguide.papers import PAPERS


@shards_alike
def identity_(tensor: Tensor, gain: float | Nonlinearity = 1.0, groups: int = 1) -> Tensor:
    r"""Fill the weight of a dense layer or a convolution so that it copies its input, scaled.

    $$W_{ij} = \text{gain}\;\delta_{ij}, \qquad
    W_{ij\mathbf{k}} = \text{gain}\;\delta_{ij}\;\delta_{\mathbf{k}\mathbf{c}}$$

    The centre of the kernel is $\mathbf{c} = \lfloor \mathbf{k} / 2 \rfloor$. With fewer outputs
    than inputs, the first inputs are copied; with more outputs, the last ones are zero. In a
    grouped convolution this holds for each group.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`, with up to three kernel sizes.
        gain: A number of either sign, or an activation that [gain][initguide.gain] takes.
        groups: The number of groups of a convolution; each copies the inputs that it sees.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor.
        ValueError: `tensor` has fewer than two dimensions, or more than five.
        ValueError: `gain` is not finite or unknown.
        ValueError: `groups` does not divide the outputs.

    Source:
        Q. V. Le, N. Jaitly, G. E. Hinton (2015), *A Simple Way to Initialize Recurrent Networks of
        Rectified Linear Units*.

    Examples:
        ```python
        import torch

        import initguide as init

        print(init.identity_(torch.empty(2, 3), gain=0.5).tolist())
        #> [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]
        conv = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False)
        init.identity_(conv.weight)
        x = torch.randn(1, 3, 8, 8)
        print(torch.equal(conv(x), x))
        #> True
        ```
    """
    check_dimensions(tensor, 2, 3, 4, 5)
    check_entries(tensor)
    number = as_gain(gain, signed=True)
    _check_groups(len(tensor), groups)
    if tensor.numel():
        _copy_(tensor.detach().zero_(), number, groups)
    return tensor


@shards_alike
def eye_(tensor: Tensor) -> Tensor:
    r"""Fill a matrix as [identity_][initguide.identity_] does, with gain 1.

    $$W_{ij} = \delta_{ij}$$

    Args:
        tensor: A weight of shape `(out, in)`.

    Raises:
        ValueError: `tensor` does not have two dimensions.

    Examples:
        ```python
        import torch

        import initguide as init

        print(init.eye_(torch.empty(2, 3)).tolist())
        #> [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        ```
    """
    check_dimensions(tensor, 2)
    check_entries(tensor)
    _copy_(tensor.detach().zero_(), 1.0, 1)
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    r"""Fill the weight of a convolution as [identity_][initguide.identity_] does, with gain 1.

    $$W_{ij\mathbf{k}} = \delta_{ij}\;\delta_{\mathbf{k}\mathbf{c}}$$

    The centre of the kernel is $\mathbf{c} = \lfloor \mathbf{k} / 2 \rfloor$.

    Args:
        tensor: A weight of shape `(out, in, *kernel)`, with one to three kernel sizes.

    Raises:
        ValueError: `tensor` does not have three to five dimensions.

    Source:
        S. Zagoruyko, N. Komodakis (2017), *DiracNets: Training Very Deep Neural Networks Without
        Skip-Connections*.

    Examples:
        ```python
        import torch

        import initguide as init

        print(init.dirac_(torch.empty(2, 2, 3)).tolist())
        #> [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
        ```
    """
    check_dimensions(tensor, 3, 4, 5)
    return identity_(tensor, groups=groups)


def identity(
    shape: Sequence[int],
    gain: float | Nonlinearity = 1.0,
    groups: int = 1,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
) -> NDArray[np.floating]:
    """Return the array that [identity_][initguide.identity_] fills in, in either layout.

    `layout` and `dtype` are those of [xavier_normal][initguide.xavier_normal].

    Args:
        shape: The shape of the weight, two to five sizes.

    Raises:
        ValueError: `shape` does not have two to five sizes, or has one below 1.

    Examples:
        ```python
        import initguide as init

        print(init.identity((3, 2), gain=0.5).tolist())
        #> [[0.5, 0.0], [0.0, 0.5], [0.0, 0.0]]
        ```
    """
    sizes, kind = check_shape(shape), check_dtype(dtype)
    check_layout(layout)
    if not 2 <= len(sizes) <= 5:
        raise ValueError(f"shape must have 2 to 5 dimensions; got {sizes}")
    number = as_gain(gain, signed=True)
    array = np.zeros(sizes, kind)
    # One view serves both layouts.
    weight = array if layout == "out_in" else np.moveaxis(array, (-1, -2), (0, 1))
    _check_groups(len(weight), groups)
    _copy_(torch.from_numpy(weight), number, groups)
    return array


def eye(shape: Sequence[int], *, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Return the array that [eye_][initguide.eye_] fills in, the same in both layouts.

    `dtype` is that of [normal][initguide.normal].

    Args:
        shape: The shape of the matrix, two sizes.

    Raises:
        ValueError: `shape` does not have two sizes, or has one below 1.

    Examples:
        ```python
        import initguide as init

        print(init.eye((2, 3)).tolist())
        #> [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        ```
    """
    sizes = check_shape(shape)
    if len(sizes) != 2:
        raise ValueError(f"shape must have 2 dimensions; got {sizes}")
    return np.eye(*sizes, dtype=check_dtype(dtype))


def dirac(
    shape: Sequence[int],
    groups: int = 1,
    *,
    layout: Layout = "in_out",
    dtype: DTypeLike = np.float64,
) -> NDArray[np.floating]:
    """Return the array that [dirac_][initguide.dirac_] fills in, in either layout.

    `layout` and `dtype` are those of [xavier_normal][initguide.xavier_normal].

    Args:
        shape: The shape of the weight, three to five sizes.

    Raises:
        ValueError: `shape` does not have three to five sizes, or has one below 1.

    Examples:
        ```python
        import initguide as init

        print(init.dirac((3, 2, 2))[1].tolist())  # the kernel's centre
        #> [[1.0, 0.0], [0.0, 1.0]]
        ```
    """
    if len(sizes := check_shape(shape)) < 3:
        raise ValueError(f"shape must have 3 to 5 dimensions; got {sizes}")
    return identity(sizes, groups=groups, layout=layout, dtype=dtype)


def _check_groups(out: int, groups: int) -> None:
    if out % check_count("groups", groups):
        raise ValueError(f"groups must divide the outputs; got {groups} groups and {out} outputs")


def _copy_(zeros: Tensor, number: float, groups: int) -> None:
    """Write `number` where an output of a weight `(out, in, *kernel)` copies its input."""
    centre = zeros[(..., *(size // 2 for size in zeros.shape[2:]))]
    for group in centre.chunk(groups) if groups > 1 else (centre,):
        group.diagonal().fill_(number)


_PAGE = "advanced/identity.md"

METHODS = (
    Method(
        title="Identity",
        array=identity,
        tensor=identity_,
        law=r"W = g\,I",
        paper=PAPERS["le2015"],
        use_when="recurrent ReLU layers; plain networks that are to start as their input's copy",
        avoid_when="units must differ at once: beyond the copied ones all are zero",
        elsewhere="Keras `Identity` (dense only)",
        page=_PAGE,
    ),
    Method(
        title="Eye",
        array=eye,
        tensor=eye_,
        law=r"W = I",
        paper=PAPERS["le2015"],
        use_when="torch's name for the identity of a dense layer",
        avoid_when="the layer is a convolution",
        elsewhere="Keras `Identity`",
        page=_PAGE,
    ),
    Method(
        title="Dirac",
        array=dirac,
        tensor=dirac_,
        law=r"I \text{ at the centre},\ 0 \text{ elsewhere}",
        paper=PAPERS["zagoruyko2017"],
        use_when="convolutions without skip connections that are to start as a copy",
        avoid_when="the kernel is even or strided: there is no centre to copy",
        elsewhere="",
        page=_PAGE,
    ),
)
