r"""The gain of an activation: the factor that keeps the signal's size through it.

A layer's output before the activation is nearly normal, $z \sim \mathcal{N}(0, 1)$ after scaling.
The activation turns its second moment from 1 into $\mathbb{E}[f(z)^2]$, so weights larger by
$1/\sqrt{\mathbb{E}[f(z)^2]}$ undo the change. Backward, the same holds for $f'$. The expectations
are integrals in one variable, computed here to near machine precision, for any $f$.
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


def gain(nonlinearity: Nonlinearity, kind: Kind = "forward") -> float:
    r"""Return the gain of an activation, exact to at least six digits.

    $$\begin{aligned}
    \text{forward: }& \mathbb{E}[f(z)^2]^{-1/2} &
    \text{backward: }& \mathbb{E}[f'(z)^2]^{-1/2} \\
    \text{std: }& (\operatorname{Var} f(z))^{-1/2} &
    \text{unit: }& s \text{ with } \mathbb{E}[f(s z)^2] = 1
    \end{aligned} \qquad z \sim \mathcal{N}(0, 1)$$

    Args:
        nonlinearity: A name (`"relu"`, `"gelu"`, …), a module (`nn.PReLU()`; it is copied, not
            touched) or any elementwise function of a tensor or of an array. Kinks and jumps may be
            anywhere.
        kind: `"forward"` keeps the second moment of the signal, `"std"` its standard deviation,
            `"backward"` the second moment of the gradient. `"forward"` holds where pre-activations
            have unit second moment, `"unit"` where the layer's inputs have it. For ReLU they agree.

    Returns:
        The gain; multiply 1/sqrt(fan) by it.

    Raises:
        ValueError: The name or `kind` is unknown, the function is not elementwise, the
            expectation is zero or not finite, or never 1 (`"unit"`: tanh stays below).
        TypeError: `nonlinearity` is neither a name nor callable.

    Source:
        K. He et al. (2015), *Delving Deep into Rectifiers*, for ReLU; the rest is the same
        expectation for another $f$.

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
    """Return the s with E f(s z)² = 1, by secants in logarithms: most f are nearly straight."""

    def height(t: float) -> float:
        scale = math.exp(t)
        moment = expectation(lambda z: function(scale * z) ** 2)
        return math.log(moment) if 0 < moment < math.inf else math.nan

    t, found = 0.0, height(0.0)
    # Of f(c z) = c f(z), the moment goes with the square.
    slope = 2.0
    for _ in range(30):
        if abs(found) < 1e-11:
            return math.exp(t)
        # What stays below 1 flattens out.
        if not slope > 0.1:
            break
        step = -found / slope
        before, found = found, height(t + step)
        t, slope = t + step, (found - before) / step
    raise ValueError(
        f"nonlinearity must have a second moment of 1 at some scale; got {nonlinearity!r}"
    )


def unit_gain(nonlinearity: Nonlinearity) -> float:
    """Return the unit gain of an activation; where no scale gives it, the forward one."""
    try:
        return gain(nonlinearity, "unit")
    except ValueError:
        return gain(nonlinearity)


def calculate_gain(nonlinearity: Nonlinearity, param: float | None = None) -> float:
    r"""Return the gain that `torch.nn.init.calculate_gain` returns, and the exact one elsewhere.

    $$\text{ReLU: } \sqrt2, \quad \text{leaky ReLU: } \sqrt{\frac{2}{1 + s^2}}, \quad
    \tanh: \tfrac53, \quad \text{SELU: } \tfrac34, \quad \text{sigmoid, linear: } 1$$

    The names that torch knows get torch's number, right or not, so that code moved here keeps its
    values: 5/3 for tanh is a rule of thumb, 3/4 breaks SELU's self-normalization, and 1 for sigmoid
    lets the signal shrink. Every other name, module or function gets the exact forward
    [gain][initguide.gain].

    Args:
        nonlinearity: What [gain][initguide.gain] takes.
        param: The negative slope, for `"leaky_relu"` only; 0.01 where None.

    Returns:
        The gain.

    Raises:
        ValueError: The name is unknown, or `param` is not a finite number.
        TypeError: `nonlinearity` is neither a name nor callable.

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
    if type(value) is not float and (isinstance(value, str) or callable(value)):
        return gain(value)
    number = check_number("gain", value)
    if number < 0 and not signed:
        raise ValueError(f"gain must be at least 0; got {number}")
    return number


def expectation(function: Callable[[Tensor], Tensor]) -> float:
    r"""Return the mean of a function of a standard normal, by adaptive quadrature.

    $$\mathbb{E}[g(z)] = \int g(z)\, \frac{e^{-z^2/2}}{\sqrt{2\pi}}\, dz$$

    Gauss–Legendre with 16 nodes on panels of width 1/2 in [-12, 12]; a panel that disagrees with
    its two halves is split, so that kinks and jumps cost nothing in accuracy.

    Args:
        function: A function of a one-dimensional float64 tensor, elementwise.

    Returns:
        The expectation; NaN or infinite where the function is.
    """
    left, width = torch.arange(-12.0, 12.0, 0.5, dtype=torch.float64), 0.5
    total, scale = 0.0, None
    while len(left):
        whole = _panels(function, left, width)
        middle = left + width / 2
        halves = _panels(function, left, width / 2) + _panels(function, middle, width / 2)
        scale = halves.abs().sum().item() if scale is None else scale
        # Below this width, or with this many open panels, what is left is rounding noise.
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
