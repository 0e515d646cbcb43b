r"""The theory of very wide random networks, layer by layer, and the edge of chaos.

Take a wide layer whose weights have variance $\sigma_w^2 / \text{fan\_in}$ and whose biases have
variance $\sigma_b^2$. Each pre-activation is a sum of many small terms, so it is nearly normal. A
normal variable of mean zero is described by one number, its second moment $q_l$. The two
pre-activations that a unit has for two inputs are described by $q_l$ and their correlation $c_l$.
So a network of any depth becomes a recursion in two numbers.

Two slopes of this recursion show the effect of depth. One is the slope of the map
$q_l \to q_{l+1}$. The other is $\chi_1 = \sigma_w^2\, \mathbb{E}[f'(z)^2]$: the gradient's second
moment grows by this factor per layer, and so does the distance of two nearly equal inputs.
$\chi_1 = 1$ is the edge of chaos.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from initguide._checks import check_not_negative, check_number
from initguide._state import random_states_kept
from initguide.activations import Nonlinearity, derivative_of, function_of
from initguide.moments import (
    decorrelation,
    moment_slope,
    ratio,
    relative_variance_of_square,
    second_moment,
)

Array = NDArray[np.float64]


class Propagation(NamedTuple):
    """The prediction for each layer. Every field is an array of shape `(depth,)`.

    Attributes:
        layer: 1, 2, …, depth.
        second_moment: The second moment of the pre-activations. This is also their variance over
            draws of the weights.
        correlation: The correlation between the pre-activations of two inputs.
        chi_1: sigma_w² E f'(z)². The gradient's second moment grows by this factor on its way back
            through the layer.
        slope: The slope of the map from this layer's second moment to the next layer's.
        activation: The second moment of the activations, E f(z)².
        variance: The variance of an activation over inputs of that correlation. This part of the
            second moment depends on the input. It shrinks if the biases or the activation's mean
            take over.
        gradient: The second moment of the gradient with respect to the pre-activations, if the
            gradient with respect to the last activation has a second moment of 1.
        finite_width_variance: The variance, over draws of the weights, of the log of a layer's mean
            squared activation, **times the width**. Divide it by the width of your network. It is
            the first order in 1/width, for one input.
    """

    layer: NDArray[np.int64]
    second_moment: Array
    correlation: Array
    chi_1: Array
    slope: Array
    activation: Array
    variance: Array
    gradient: Array
    finite_width_variance: Array

    @property
    def rms(self) -> Array:
        """Root mean square of the activations."""
        return np.sqrt(self.activation)

    @property
    def std(self) -> Array:
        """Standard deviation of an activation over inputs whose correlation is `c0`."""
        return np.sqrt(np.maximum(self.variance, 0))

    @property
    def gradient_rms(self) -> Array:
        """Root mean square of the gradient with respect to the pre-activations."""
        return np.sqrt(self.gradient)


@random_states_kept()
def propagate(
    nonlinearity: Nonlinearity,
    sigma_w: float,
    sigma_b: float = 0.0,
    depth: int = 50,
    q0: float = 1.0,
    c0: float = 0.5,
) -> Propagation:
    r"""Predict signal, correlation, gradient and both slopes in each layer of a wide network.

    $$\begin{aligned}
    q_1 &= \sigma_w^2 q_0 + \sigma_b^2, &
    q_{l+1} &= \sigma_w^2\, \mathbb{E}\bigl[f(\sqrt{q_l}\, z)^2\bigr] + \sigma_b^2, \\
    \chi_1 &= \sigma_w^2\, \mathbb{E}\bigl[f'(\sqrt{q_l}\, z)^2\bigr], &
    \text{slope} = \frac{d q_{l+1}}{d q_l} &= \frac{\sigma_w^2}{2 q_l}\,
    \mathbb{E}\bigl[(z^2 - 1) f(\sqrt{q_l}\, z)^2\bigr]
    \end{aligned}$$

    Args:
        nonlinearity: An activation, in any form that [gain][initguide.gain] takes.
        sigma_w: The weights' standard deviation times sqrt(fan_in): sqrt(2) for He, 1 for 1/fan_in.
        sigma_b: The biases' standard deviation.
        depth: The number of layers.
        q0: The second moment of the network's input.
        c0: The correlation of two inputs.

    Returns:
        A [Propagation][initguide.propagation.Propagation]: arrays of shape `(depth,)`. Values that
            overflow are inf or nan.

    Raises:
        ValueError: `sigma_w`, `sigma_b` or `q0` is negative or not finite, `depth` is not positive,
            `c0` is not between -1 and 1, or `nonlinearity` is not an elementwise function.

    Source:
        B. Poole et al. (2016), *Exponential expressivity in deep neural networks through transient
        chaos*; S. S. Schoenholz et al. (2017), *Deep Information Propagation*.

    Examples:
        ```python
        import initguide as init

        he = init.propagate("relu", 2**0.5, depth=100)
        print(f"{he.second_moment[-1]:.3f} {he.chi_1[-1]:.3f}")
        #> 2.000 1.000
        tanh = init.propagate("tanh", 5 / 3, depth=100)
        print(f"{tanh.second_moment[-1]:.3f} {tanh.chi_1[-1]:.2f} {tanh.slope[-1]:.2f}")
        #> 1.178 1.21 0.43
        ```
    """
    for name, value in (("sigma_w", sigma_w), ("sigma_b", sigma_b), ("q0", q0)):
        check_not_negative(name, value)
    check_number("c0", c0)
    if not -1 <= c0 <= 1:
        raise ValueError(f"c0 must be between -1 and 1; got {c0}")
    if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)):
        raise TypeError(f"depth must be an integer; got {depth!r}")
    if depth < 1:
        raise ValueError(f"depth must be positive; got {depth}")
    f, df = function_of(nonlinearity), derivative_of(nonlinearity)
    # Products, because Python's power operator raises if the result overflows.
    w, b = float(sigma_w) * float(sigma_w), float(sigma_b) * float(sigma_b)
    q = w * q0 + b
    # One minus the correlation, because near a correlation of one it keeps more digits.
    d = ratio(w * q0 * (1 - c0), q)
    layers, width_variance = [], 0.0
    for _ in range(depth):
        activation, derivative = second_moment(f, q), second_moment(df, q)
        variance = decorrelation(f, q, d, activation, derivative)
        growth = moment_slope(f, q)
        # The layer passes on the variance from the layers before and adds that of its own units.
        passed_on = ratio(growth * q, activation)
        own = relative_variance_of_square(f, q, activation)
        width_variance = width_variance * passed_on * passed_on + own
        layers.append((q, 1 - d, w * growth, activation, variance, derivative, width_variance))
        q = w * activation + b
        d = ratio(w * variance, q)
        # Only this share of the next second moment varies. The rest is sigma_b².
        weights_share = ratio(w * activation, q)
        width_variance *= weights_share * weights_share
    moments, correlation, slope, activations, variances, derivatives, finite_width_variances = (
        np.array(layers).T
    )
    with np.errstate(over="ignore", invalid="ignore"):
        chi_1 = w * derivatives
        gradient = np.append(chi_1[:-1], derivatives[-1])[::-1].cumprod()[::-1]
    return Propagation(
        layer=np.arange(1, depth + 1),
        second_moment=moments,
        correlation=correlation,
        chi_1=chi_1,
        slope=slope,
        activation=activations,
        variance=variances,
        gradient=gradient,
        finite_width_variance=finite_width_variances,
    )


# Stands for the limit q → 0. It is large enough that differences of f keep their digits.
SMALLEST = 1e-8


class Critical(NamedTuple):
    """A point on the edge of chaos: `chi_1` is 1 at a fixed point of the second moment.

    Attributes:
        sigma_w: The weights' standard deviation times sqrt(fan_in), which is their gain.
        sigma_b: The biases' standard deviation.
        second_moment: The fixed point: the second moment of the pre-activations that is the same in
            the next layer.
        slope: The slope of the second moment's map at the fixed point. If it is below 1, second
            moments near the fixed point move towards it.
    """

    sigma_w: float
    sigma_b: float
    second_moment: float
    slope: float


@random_states_kept()
def critical(
    nonlinearity: Nonlinearity, sigma_b: float = 0.0, *, q: float | None = None
) -> Critical:
    r"""Return the edge of chaos: the scale of the weights with $\chi_1 = 1$ at the fixed point.

    $$\sigma_w^2 = \frac{1}{\mathbb{E}[f'(\sqrt{q}\, z)^2]}, \qquad
    \sigma_b^2 = q - \sigma_w^2\, \mathbb{E}[f(\sqrt{q}\, z)^2]$$

    At this scale two nearly equal inputs keep their distance from layer to layer. Each fixed point
    $q$ belongs to one pair $(\sigma_w, \sigma_b)$. If $\sigma_b$ is given, the smallest $q$ that
    belongs to it is found. With $f(0) = 0$ and $\sigma_b = 0$ this is the limit $q \to 0$. For
    positively homogeneous functions such as ReLU, $\chi_1$ is then 1 at every $q$.

    Args:
        nonlinearity: An activation, in any form that [gain][initguide.gain] takes.
        sigma_b: The biases' standard deviation. Give either `sigma_b` or `q`.
        q: The pre-activations' second moment at the fixed point, positive.

    Returns:
        A [Critical][initguide.propagation.Critical] point: `sigma_w`, `sigma_b`, `second_moment`,
            `slope`.

    Raises:
        ValueError: There is no such point, both `sigma_b` and `q` are given, or one of them is out
            of range.

    Source:
        S. S. Schoenholz et al. (2017), *Deep Information Propagation*; S. Hayou, A. Doucet,
        J. Rousseau (2019), *On the Impact of the Activation Function on Deep Neural Networks
        Training*.

    Examples:
        ```python
        import initguide as init

        print(f"{init.critical('relu').sigma_w:.5f} {init.critical('tanh').sigma_w:.5f}")
        #> 1.41421 1.00000
        edge = init.critical("tanh", sigma_b=0.3)
        print(f"{edge.sigma_w:.3f} {edge.second_moment:.3f}")
        #> 1.396 0.763
        ```
    """
    check_not_negative("sigma_b", sigma_b)
    f, df = function_of(nonlinearity), derivative_of(nonlinearity)

    def bias_variance(q: float) -> float:
        derivative = second_moment(df, q)
        return q - second_moment(f, q) / derivative if derivative > 0 else -math.inf

    if q is not None:
        check_number("q", q)
        if q <= 0:
            raise ValueError(f"q must be positive; got {q}")
        if sigma_b:
            raise ValueError(f"give sigma_b or q, not both; got sigma_b={sigma_b} and q={q}")
        variance = bias_variance(q)
        # For positively homogeneous functions the variance is zero up to rounding.
        if variance < -1e-9 * q:
            raise ValueError(
                f"q must be a fixed point for some sigma_b; got {q}, which would need "
                f"sigma_b² = {variance:.3g}"
            )
        sigma_b, found = math.sqrt(max(variance, 0.0)), q
    elif sigma_b == 0 and abs(f(torch.zeros(1, dtype=torch.float64, device="cpu")).item()) < 1e-12:
        q, found = SMALLEST, 0.0
    else:
        q = found = _first_root(lambda q: bias_variance(q) - sigma_b**2, nonlinearity, sigma_b)
    derivative = second_moment(df, q)
    if not (math.isfinite(derivative) and derivative > 0):
        raise ValueError(f"nonlinearity must have a finite, non-zero slope; got {nonlinearity!r}")
    slope = moment_slope(f, q) / derivative
    return Critical(derivative**-0.5, float(sigma_b), float(found), slope)


def _first_root(
    function: Callable[[float], float], nonlinearity: Nonlinearity, sigma_b: float
) -> float:
    """Return where a function first changes from negative to positive in (1e-8, 1e8).

    It is found on a grid, and then by bisection.
    """
    grid = np.logspace(-8, 8, 129)
    above = next((i for i, q in enumerate(grid) if function(q) >= 0), None)
    if above is None:
        raise ValueError(
            f"sigma_b must allow a fixed point with chi_1 = 1; got {sigma_b}, for which "
            f"{nonlinearity!r} has none"
        )
    low, high = grid[max(above - 1, 0)], grid[above]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) >= 0 else (middle, high)
    return float(high)
