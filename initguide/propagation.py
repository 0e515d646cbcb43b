r"""What theory says about very wide random networks, layer by layer.

In a wide layer with weights of variance $\sigma_w^2 / \text{fan\_in}$ and biases of variance
$\sigma_b^2$ each pre-activation is a sum of many small terms, hence nearly normal. A normal of zero
mean is known by one number, its second moment $q_l$, and a pair of them, for two inputs, by $q_l$
and the correlation $c_l$. So a network of any depth becomes a recursion in two numbers. Two slopes
of it decide what depth does: that of the map $q_l \to q_{l+1}$, and
$\chi_1 = \sigma_w^2\, \mathbb{E}[f'(z)^2]$, by which the gradient's second moment grows a layer,
and at which two nearly equal inputs part. $\chi_1 = 1$ is the edge of chaos.
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
    """The prediction for each layer; every field is an array of shape `(depth,)`.

    Attributes:
        layer: 1, 2, …, depth.
        second_moment: Of the pre-activations, their variance over draws of the weights.
        correlation: Between the pre-activations of two inputs.
        chi_1: The weights' variance factor times E f'(z)²: the growth of the gradient's second
            moment on its way down through this layer.
        slope: Of the map from this layer's second moment to the next layer's.
        activation: The second moment of the activations, E f(z)².
        variance: The variance of an activation over inputs of that correlation. This part of the
            second moment depends on the input. It shrinks if the biases or the activation's mean
            take over.
        gradient: The second moment of the gradient with respect to the pre-activations, where a
            gradient of unit variance arrives at the last activation.
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
        """Standard deviation of an activation over the inputs, of which `c0` is the correlation."""
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
    r"""Predict second moments, correlation, gradient and both slopes in each layer of a wide net.

    $$\begin{aligned}
    q_1 &= \sigma_w^2 q_0 + \sigma_b^2, &
    q_{l+1} &= \sigma_w^2\, \mathbb{E}\bigl[f(\sqrt{q_l}\, z)^2\bigr] + \sigma_b^2, \\
    \chi_1 &= \sigma_w^2\, \mathbb{E}\bigl[f'(\sqrt{q_l}\, z)^2\bigr], &
    \text{slope} = \frac{d q_{l+1}}{d q_l} &= \frac{\sigma_w^2}{2 q_l}\,
    \mathbb{E}\bigl[(z^2 - 1) f(\sqrt{q_l}\, z)^2\bigr]
    \end{aligned}$$

    Args:
        nonlinearity: What [gain][initguide.gain] takes.
        sigma_w: The weights' standard deviation times sqrt(fan_in): sqrt(2) for He, 1 for 1/fan_in.
        sigma_b: The biases' standard deviation.
        depth: The number of layers.
        q0: The second moment of the network's input.
        c0: The correlation of two inputs.

    Returns:
        A [Propagation][initguide.propagation.Propagation], arrays of shape `(depth,)`. What
        overflows is inf or nan.

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
    # Products, since Python's power raises where a product overflows to infinity.
    w, b = float(sigma_w) * float(sigma_w), float(sigma_b) * float(sigma_b)
    q = w * q0 + b
    # One minus the correlation: near a correlation of one it keeps the digits that matter.
    d = ratio(w * q0 * (1 - c0), q)
    layers, finite_width_variance = [], 0.0
    for _ in range(depth):
        activation, derivative = second_moment(f, q), second_moment(df, q)
        variance = decorrelation(f, q, d, activation, derivative)
        growth = moment_slope(f, q)
        # What the layer below strayed by, as this one passes it on, and what its own units add.
        passed = ratio(growth * q, activation)
        finite_width_variance = (
            finite_width_variance * passed * passed + relative_variance_of_square(f, q, activation)
        )
        layers.append((q, 1 - d, w * growth, activation, variance, derivative, finite_width_variance))
        q = w * activation + b
        d = ratio(w * variance, q)
        share = ratio(w * activation, q)
        finite_width_variance *= share * share
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


# Small enough for the limit q → 0, large enough that differences of f there keep their digits.
SMALLEST = 1e-8


class Critical(NamedTuple):
    """A point on the edge of chaos, where `chi_1` is one at a fixed point of the second moment.

    Attributes:
        sigma_w: The weights' standard deviation times sqrt(fan_in), that is, their gain.
        sigma_b: The biases' standard deviation.
        second_moment: The pre-activations' second moment that a layer maps onto itself.
        slope: Of the second moment's map there; the fixed point attracts where it is below one.
    """

    sigma_w: float
    sigma_b: float
    second_moment: float
    slope: float


@random_states_kept()
def critical(
    nonlinearity: Nonlinearity, sigma_b: float = 0.0, *, q: float | None = None
) -> Critical:
    r"""Return the edge of chaos: the weights' scale at which $\chi_1 = 1$ at the fixed point.

    $$\sigma_w^2 = \frac{1}{\mathbb{E}[f'(\sqrt{q}\, z)^2]}, \qquad
    \sigma_b^2 = q - \sigma_w^2\, \mathbb{E}[f(\sqrt{q}\, z)^2]$$

    Each fixed point $q$ has one such pair. Given $\sigma_b$, the smallest fitting $q$ is found.
    Where $f(0) = 0$ and $\sigma_b = 0$ that is the limit $q \to 0$; positively homogeneous
    functions, ReLU among them, then have $\chi_1 = 1$ at every $q$.

    Args:
        nonlinearity: What [gain][initguide.gain] takes.
        sigma_b: The biases' standard deviation; only where `q` is not given.
        q: The pre-activations' second moment at the fixed point, positive.

    Returns:
        A [Critical][initguide.propagation.Critical] point: `sigma_w`, `sigma_b`, `second_moment`,
        `slope`.

    Raises:
        ValueError: There is no such point, both `sigma_b` and `q` are given, or one is out of
            range.

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
        # Homogeneous functions have exactly zero here, up to rounding.
        if variance < -1e-9 * q:
            raise ValueError(
                f"q must be a second moment that some sigma_b keeps; got {q}, which would need "
                f"sigma_b² = {variance:.3g}"
            )
        sigma_b, found = math.sqrt(max(variance, 0.0)), q
    elif sigma_b == 0 and abs(f(torch.zeros(1, dtype=torch.float64)).item()) < 1e-12:
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
    """Return the first change from negative to positive in (1e-8, 1e8), by bisection."""
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
