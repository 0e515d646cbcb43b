r"""Constants: zeros, ones, or one value everywhere; right for biases, wrong for hidden weights.

If two units of a layer start with the same incoming and the same outgoing weights, they compute
the same function and get the same gradient at every step, so a wide layer acts as one unit. If all
weights are zero, then after ReLU or tanh all gradients except that of the output bias are zero too.
"""

from collections.abc import Sequence
from numbers import Number, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_dtype, check_shape
from initguide._torch_internals import is_overridden, overridden, scripted_as_torch
from initguide.methods.record import Entry, Method
from initguide.papers import PAPERS


@scripted_as_torch
def constant_(tensor: Tensor, val: float) -> Tensor:
    r"""Fill a tensor with one value.

    $$w_i = \text{val}$$

    Args:
        tensor: A tensor of any shape and dtype; an integer dtype takes whole numbers only.
        val: The value; it may be NaN or infinite.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor.
        TypeError: `val` is not a number, or it is complex and `tensor` is real.
        ValueError: `val` is not whole, and `tensor` holds integers.

    Source:
        D. E. Rumelhart, G. E. Hinton, R. J. Williams (1986), *Learning Representations by
        Back-Propagating Errors*: why weights must not start equal.

    Examples:
        ```python
        import torch

        import initguide as init

        print(init.constant_(torch.empty(2, 3), 0.5).tolist())
        #> [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
        ```
    """
    if is_overridden(tensor):
        return overridden("constant_", tensor, val=val)
    _check(tensor)
    dtype = tensor.dtype
    number = _number(val, real=not dtype.is_complex)
    if not (dtype.is_floating_point or dtype.is_complex) and number != number // 1:
        raise ValueError(f"val must be a whole number for {dtype}; got {number}")
    tensor.detach().fill_(number)
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill a tensor with zeros, as [constant_][initguide.constant_] does: the usual bias.

    Source:
        H. Zhang, Y. N. Dauphin, T. Ma (2019), *Fixup Initialization: Residual Learning Without
        Normalization*: zeros in the last layer of a residual branch.

    Examples:
        ```python
        import torch

        import initguide as init

        print(init.zeros_(torch.empty(3)).tolist())
        #> [0.0, 0.0, 0.0]
        ```
    """
    _check(tensor)
    # The zeros of a sparse tensor would be those of the detached one alone.
    with torch.no_grad():
        tensor.zero_()
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Fill a tensor with ones, as [constant_][initguide.constant_] does: a normalization's scale.

    Source:
        J. L. Ba, J. R. Kiros, G. E. Hinton (2016), *Layer Normalization*: the gains start at 1.

    Examples:
        ```python
        import torch

        import initguide as init

        print(init.ones_(torch.empty(3)).tolist())
        #> [1.0, 1.0, 1.0]
        ```
    """
    _check(tensor)
    tensor.detach().fill_(1.0)
    return tensor


def constant(
    shape: Sequence[int], val: float, *, dtype: DTypeLike = np.float64
) -> NDArray[np.floating]:
    """Return an array with one value everywhere, like [constant_][initguide.constant_].

    `shape` and `dtype` are those of [normal][initguide.normal].

    Raises:
        TypeError: `val` is not a real number.

    Examples:
        ```python
        import initguide as init

        print(init.constant((2, 2), 0.1).tolist())
        #> [[0.1, 0.1], [0.1, 0.1]]
        ```
    """
    return np.full(check_shape(shape), _number(val), check_dtype(dtype))


def zeros(shape: Sequence[int], *, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Return an array of zeros, like [zeros_][initguide.zeros_].

    `shape` and `dtype` are those of [normal][initguide.normal].

    Examples:
        ```python
        import initguide as init

        print(init.zeros((3,)))
        #> [0. 0. 0.]
        ```
    """
    return constant(shape, 0.0, dtype=dtype)


def ones(shape: Sequence[int], *, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """Return an array of ones, like [ones_][initguide.ones_].

    `shape` and `dtype` are those of [normal][initguide.normal].

    Examples:
        ```python
        import initguide as init

        print(init.ones((3,)))
        #> [1. 1. 1.]
        ```
    """
    return constant(shape, 1.0, dtype=dtype)


def _check(tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor must be a torch.Tensor; got {type(tensor).__name__}")


def _number(val: Any, *, real: bool = True) -> Any:
    """Return a number, or the one that a tensor or array of no dimensions holds."""
    if type(val) is float:
        return val
    one = isinstance(val, (Tensor, np.ndarray)) and val.ndim == 0
    number = val.item() if one else val
    if not isinstance(number, Real if real else Number):
        raise TypeError(f"val must be a {'real ' if real else ''}number; got {val!r}")
    return number


_PAGE = "guide/methods/constant.md"

METHODS = (
    Method(
        title="Zeros",
        array=zeros,
        tensor=zeros_,
        law=r"w = 0",
        paper=PAPERS["zhang2019"],
        use_when="biases; the last layer of a residual branch",
        avoid_when="any weight with another weight layer before or after it",
        elsewhere="Keras `Zeros`, JAX `zeros`",
        page=_PAGE,
        entry=lambda: Entry("constant", 0.0),
    ),
    Method(
        title="Ones",
        array=ones,
        tensor=ones_,
        law=r"w = 1",
        paper=PAPERS["ba2016"],
        use_when="the scale of a normalization layer",
        avoid_when="weights: all units stay copies of one",
        elsewhere="Keras `Ones`, JAX `ones`",
        page=_PAGE,
        entry=lambda: Entry("constant", 1.0),
    ),
    Method(
        title="Constant",
        array=constant,
        tensor=constant_,
        law=r"w = c",
        paper=PAPERS["rumelhart1986"],
        use_when="a bias with a known start: a forget gate, a class prior",
        avoid_when="weights: all units stay copies of one",
        elsewhere="Keras `Constant`, JAX `constant`",
        page=_PAGE,
        entry=lambda val: Entry("constant", float(val)),
    ),
)
