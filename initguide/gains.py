r"""The gain of an activation: the factor on the weights that keeps the size of the signal.

In a wide layer a pre-activation is nearly normal. Scale it to $z \sim \mathcal{N}(0, 1)$. The
activation then changes the second moment from 1 to $\mathbb{E}[f(z)^2]$, and weights that are
larger by $1/\sqrt{\mathbb{E}[f(z)^2]}$ undo the change. For the gradient, the same holds with the
derivative $f'$ in place of $f$. The expectations are integrals in one variable. They are computed
here almost to machine precision, for any $f$.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from initguide._checks import check_number, one_of
from initguide._state import random_states_kept
from initguide.activations import LINEAR, Nonlinearity, derivative_of, function_of, key_of

Kind = Literal["forward", "std", "backward", "unit"]
"""What the gain keeps: see [gain][initguide.gain]."""


def gain(nonlinearity: Nonlinearity, kind: Kind = "forward") -> float:
    r"""Return the gain of an activation, exact to at least six digits.

    $$\begin{aligned}
    \text{forward: }& \mathbb{E}[f(z)^2]^{-1/2} &
    \text{backward: }& \mathbb{E}[f'(z)^2]^{-1/2} \\
    \text{std: }& (\operatorname{Var} f(z))^{-1/2} &
    \text{unit: }& s \text{ with } \mathbb{E}[f(s z)^2] = 1
    \end{aligned} \qquad z \sim \mathcal{N}(0, 1)$$

    Args:
        nonlinearity: A name (`"relu"`, `"gelu"`, …), a module (`nn.PReLU()`; it is copied and stays
            unchanged) or any elementwise function of a tensor or of an array. The function may have
            kinks and jumps anywhere.
        kind: `"forward"` keeps the second moment of the signal, `"std"` its standard deviation, and
            `"backward"` the second moment of the gradient. `"forward"` assumes that the
            pre-activations have a second moment of 1, `"unit"` that the layer's inputs have it. For
            ReLU the two are equal.

    Returns:
        The gain. The weights' std is gain / sqrt(fan).

    Raises:
        ValueError: The name or `kind` is unknown, the function is not elementwise, or the
            expectation is zero or not finite. For `"unit"`, also if the second moment is below 1 at
            every scale, as for tanh.
        TypeError: `nonlinearity` is not a name and not callable.

    Source:
        K. He et al. (2015), *Delving Deep into Rectifiers*, for ReLU. For other activations it is
        the same expectation with another $f$.

    Examples:
        ```python
        import numpy as np

        import initguide as init

        print(f"{init.gain('relu'):.5f} {init.gain('gelu'):.5f} {init.gain('tanh'):.5f}")
        #> 1.41421 1.53353 1.59254
        print(f"{init.gain('tanh', kind='backward'):.5f}")
        #> 1.46741
        print(f"{init.gain(lambda z: np.maximum(z, 0) ** 2):.5f}")
        #> 0.81650
        ```
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be {one_of(get_args(Kind))}; got {kind!r}")
    key = key_of(nonlinearity)
    if key is None:
        return _gain(nonlinearity, kind)
    if (key, kind) not in _KNOWN:
        _KNOWN[key, kind] = _gain(nonlinearity, kind)
    return _KNOWN[key, kind]


_KNOWN: dict[tuple[str, str], float] = {}


@random_states_kept()
def _gain(nonlinearity: Nonlinearity, kind: Kind) -> float:
    function = derivative_of(nonlinearity) if kind == "backward" else function_of(nonlinearity)
    if kind == "unit":
        return _unit(function, nonlinearity)
    mean = expectation(function) if kind == "std" else 0.0
    moment = expectation(lambda z: (function(z) - mean) ** 2)
    if not (math.isfinite(moment) and moment > 1e-24):
        raise ValueError(
            f"nonlinearity must have a finite, positive {kind} moment; got {moment:g} "
            f"for {nonlinearity!r}"
        )
    return moment**-0.5


def _unit(function: Callable[[Tensor], Tensor], nonlinearity: Nonlinearity) -> float:
    """Return the s with E f(s z)² = 1, by the secant method on logarithms.

    On logarithmic axes the second moment of most activations is nearly a straight line in s.
    """

    def log_moment(t: float) -> float:
        scale = math.exp(t)
        moment = expectation(lambda z: function(scale * z) ** 2)
        return math.log(moment) if 0 < moment < math.inf else math.nan

    t, found = 0.0, log_moment(0.0)
    # The slope for f(c z) = c f(z), whose second moment is proportional to the scale's square.
    slope = 2.0
    for _ in range(30):
        if abs(found) < 1e-11:
            return math.exp(t)
        # The slope goes to zero if the second moment approaches a constant, as for tanh.
        if not slope > 0.1:
            break
        step = -found / slope
        before, found = found, log_moment(t + step)
        t, slope = t + step, (found - before) / step
    raise ValueError(
        f"nonlinearity must have a second moment of 1 at some scale; got {nonlinearity!r}"
    )


def unit_gain(nonlinearity: Nonlinearity) -> float:
    """Return the unit gain of an activation, or its forward gain if it has no unit gain."""
    try:
        return gain(nonlinearity, "unit")
    except ValueError:
        return gain(nonlinearity)


def calculate_gain(nonlinearity: Nonlinearity, param: float | None = None) -> float:
    r"""Return torch's gain for the names that torch knows, and the exact gain for all others.

    $$\text{ReLU: } \sqrt2, \quad \text{leaky ReLU: } \sqrt{\frac{2}{1 + s^2}}, \quad
    \tanh: \tfrac53, \quad \text{SELU: } \tfrac34, \quad \text{sigmoid, linear: } 1$$

    A name that torch knows gets the value of `torch.nn.init.calculate_gain`, so that code written
    for torch keeps its values. Not all of these values are good: 5/3 for tanh is a rule of thumb,
    3/4 breaks SELU's self-normalization, and with 1 for sigmoid the signal shrinks. Every other
    name, module or function gets the exact forward [gain][initguide.gain].

    Args:
        nonlinearity: An activation, in any form that [gain][initguide.gain] takes.
        param: The negative slope, for `"leaky_relu"` only. None means 0.01.

    Returns:
        The gain.

    Raises:
        ValueError: The name is unknown, or `param` is not a finite number.
        TypeError: `nonlinearity` is not a name and not callable.

    Source:
        The table of `torch.nn.init` (PyTorch 2.13).

    Examples:
        ```python
        import initguide as init

        print(f"{init.calculate_gain('tanh'):.4f} {init.gain('tanh'):.4f}")
        #> 1.6667 1.5925
        print(f"{init.calculate_gain('leaky_relu', 0.2):.4f}")
        #> 1.3868
        ```
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope must be a number; got {slope!r}")
        check_number("negative_slope", slope)
        return math.sqrt(2.0 / (1 + slope**2))
    if isinstance(nonlinearity, str) and nonlinearity in _TORCH:
        return _TORCH[nonlinearity]
    return gain(nonlinearity)


_TORCH = {
    **dict.fromkeys((*LINEAR, "sigmoid"), 1.0),
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def as_gain(value: float | Nonlinearity, *, signed: bool = False) -> float:
    """Return a `gain=` argument as a number: itself, or the gain of the activation it names."""
    if not isinstance(value, float) and (isinstance(value, str) or callable(value)):
        return gain(value)
    number = check_number("gain", value)
    if number < 0 and not signed:
        raise ValueError(f"gain must be at least 0; got {number}")
    return number


def expectation(function: Callable[[Tensor], Tensor]) -> float:
    r"""Return the mean of a function of a standard normal, by adaptive quadrature.

    $$\mathbb{E}[g(z)] = \int g(z)\, \frac{e^{-z^2/2}}{\sqrt{2\pi}}\, dz$$

    The interval [-12, 12] is divided into panels of width 1/2, with 16 Gauss–Legendre nodes each. A
    panel is split in two if its value differs from the sum over its two halves. So kinks and jumps
    are integrated as exactly as smooth functions.

    Args:
        function: An elementwise function of a one-dimensional float64 tensor.

    Returns:
        The expectation. It is NaN or infinite if the function has such values.
    """
    left, width = torch.arange(-12.0, 12.0, 0.5, dtype=torch.float64, device="cpu"), 0.5
    total, scale = 0.0, None
    while len(left):
        whole = _panels(function, left, width)
        middle = left + width / 2
        halves = _panels(function, left, width / 2) + _panels(function, middle, width / 2)
        scale = halves.abs().sum().item() if scale is None else scale
        # With panels this narrow, or this many, the remaining differences are rounding errors.
        last = width < 2**-42 or len(left) > 4096 or not math.isfinite(scale)
        done = (whole - halves).abs() <= 1e-11 * scale
        done |= torch.full_like(done, last)
        total += halves[done].sum().item()
        left, width = torch.cat([left[~done], middle[~done]]), width / 2
    return total


_NODES, _WEIGHTS = map(torch.from_numpy, np.polynomial.legendre.leggauss(16))


def _panels(function: Callable[[Tensor], Tensor], left: Tensor, width: float) -> Tensor:
    z = left[:, None] + width * (_NODES + 1) / 2
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    values = function(z.flatten()).reshape(z.shape)
    return (values * density) @ _WEIGHTS * (width / 2)
