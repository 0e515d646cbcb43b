"""The edge of chaos: the scale of weights at which nearly equal inputs neither part nor meet."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from initguide._checks import check_number
from initguide._state import random_states_kept
from initguide.activations import Nonlinearity, derivative_of, function_of
from initguide.moments import moment_slope, second_moment

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


def check_not_negative(name: str, value: float) -> None:
    """Raise unless `value` is a finite number of at least 0."""
    check_number(name, value)
    if value < 0:
        raise ValueError(f"{name} must be at least 0; got {value}")
