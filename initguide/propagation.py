r"""What theory says about very wide random networks, layer by layer.

In a wide layer with weights of variance $\sigma_w^2 / \text{fan\_in}$ and biases of variance
$\sigma_b^2$ each pre-activation is a sum of many small terms, hence nearly normal. A normal of zero
mean is known by one number, its second moment $q_l$, and a pair of them, for two inputs, by $q_l$
and the correlation $c_l$. So a network of any depth becomes a recursion in two numbers. Two slopes
of it decide what depth does: that of the map $q_l \to q_{l+1}$, and
$\chi_1 = \sigma_w^2\, \mathbb{E}[f'(z)^2]$, by which the gradient's second moment grows a layer,
and at which two nearly equal inputs part. $\chi_1 = 1$ is the edge of chaos.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from initguide._checks import check_number
from initguide._state import random_states_kept
from initguide.activations import Nonlinearity, derivative_of, function_of
from initguide.criticality import Critical as Critical
from initguide.criticality import check_not_negative
from initguide.criticality import critical as critical
from initguide.moments import moment_slope, parted, ratio, second_moment, square_spread

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
        spread: The variance of an activation over inputs of that correlation: what of it depends on
            the input. It shrinks where the biases or the activation's mean take over.
        gradient: The second moment of the gradient with respect to the pre-activations, where a
            gradient of unit variance arrives at the last activation.
        wobble: The variance, over draws of the weights, of the log of a layer's mean squared
            activation, **times the width**: divide by it. To first order in 1/width, for one input.
    """

    layer: NDArray[np.int64]
    second_moment: Array
    correlation: Array
    chi_1: Array
    slope: Array
    activation: Array
    spread: Array
    gradient: Array
    wobble: Array

    @property
    def rms(self) -> Array:
        """Root mean square of the activations."""
        return np.sqrt(self.activation)

    @property
    def std(self) -> Array:
        """Standard deviation of an activation over the inputs, of which `c0` is the correlation."""
        return np.sqrt(np.maximum(self.spread, 0))

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
    layers, wobble = [], 0.0
    for _ in range(depth):
        activation, derivative = second_moment(f, q), second_moment(df, q)
        spread = parted(f, q, d, activation, derivative)
        growth = moment_slope(f, q)
        # What the layer below strayed by, as this one passes it on, and what its own units add.
        passed = ratio(growth * q, activation)
        wobble = wobble * passed * passed + square_spread(f, q, activation)
        layers.append((q, 1 - d, w * growth, activation, spread, derivative, wobble))
        q = w * activation + b
        d = ratio(w * spread, q)
        share = ratio(w * activation, q)
        wobble *= share * share
    moments, correlation, slope, activations, spreads, derivatives, wobbles = np.array(layers).T
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
        spread=spreads,
        gradient=gradient,
        wobble=wobbles,
    )
