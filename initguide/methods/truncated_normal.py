r"""Truncated normal: a normal without its tails, with bounds in absolute units or in std.

A normal sample of a million weights has some that lie five standard deviations out. Cutting at
$\pm c$ standard deviations removes them, and lowers the std of the rest to

$$s(c) = \sqrt{1 - \frac{2 c\, \phi(c)}{2 \Phi(c) - 1}}, \qquad s(2) = 0.8796$$

times the std before the cut. torch's `trunc_normal_` has absolute bounds, and does not correct
the std. Keras and JAX cut at two std, and divide by $s(2)$ in their scaled methods only.
`truncated_normal_` always divides, so that `std` is the std of the weights after the cut.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_dtype, check_number, check_real, check_shape, check_std
from initguide._sharding import shards_alike
from initguide._torch_internals import is_traced
from initguide.methods.record import Entry, Method
from initguide.papers import PAPERS
from initguide.random import (
    CHUNK,
    fast_generator,
    fill_truncated_normal_,
    generator_from,
    normal_sampler,
    uniform_sampler,
)


def truncated_moments(mean: float, std: float, a: float, b: float) -> tuple[float, float]:
    """Return the mean and std of a normal that is cut at `a` and `b`."""
    low, high = (a - mean) / std, (b - mean) / std
    # In the lower tail the distribution function has all its digits.
    sign = -1 if low + high > 0 else 1
    low, high = sorted((sign * low, sign * high))
    inside = (math.erfc(-high / math.sqrt(2)) - math.erfc(-low / math.sqrt(2))) / 2
    at_low, at_high = (math.exp(-z * z / 2) / math.sqrt(2 * math.pi) for z in (low, high))
    shift = (at_low - at_high) / inside
    ends = sum(z * density for z, density in ((low, at_low), (-high, at_high)) if density)
    return mean + sign * shift * std, std * math.sqrt(1 + ends / inside - shift**2)


def std_before_cut(std: float, cut: float = 2.0) -> float:
    """Return the std of a normal that has the given std after a cut at `cut` times its own std."""
    return std / truncated_moments(0, 1, -cut, cut)[1]


@shards_alike
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a tensor from a normal distribution that is cut at two bounds.

    $$w_i \sim \mathcal{N}(\text{mean}, \text{std}^2) \;\text{ given }\; a \le w_i \le b$$

    The bounds are **absolute**, as in torch: with `std=0.02` the default bounds ±2 cut nothing. To
    cut at two standard deviations, use [truncated_normal_][initguide.truncated_normal_]. The
    distribution is exact for any interval, also far out in a tail. The values differ from torch's
    and are drawn faster. Half precision is drawn in float32 and rounded to numbers inside the
    bounds.

    Args:
        tensor: A real floating-point tensor of any shape.
        mean: The mean before the cut.
        std: The standard deviation before the cut.
        a: The smallest value, or -inf.
        b: The largest value, or inf. If it equals `a`, all values are `a`.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: `mean` or `std` is not finite, or `std` is not positive.
        ValueError: `a` or `b` is NaN, `a` is inf, `b` is -inf, or `a` is above `b`.

    Source:
        H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles, H. Jégou (2021), *Training
        Data-Efficient Image Transformers & Distillation Through Attention*, who follow B. Hanin,
        D. Rolnick (2018), *How to Start Training*.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.trunc_normal_(torch.empty(300, 200), std=0.02, a=-0.04, b=0.04)
        print(f"{weight.abs().max().item():.2f} {weight.std().item() / 0.02:.2f}")
        #> 0.04 0.88
        ```
    """
    check_real(tensor)
    mean, std, a, b = _checked(mean, std, a, b)
    if tensor.is_meta:
        return tensor

    # Detached, a leaf may be written to.
    values = tensor.detach()
    out = values if values.is_contiguous() else values.new_empty(values.shape)
    if out.is_cpu and out.numel() >= CHUNK and not is_traced(out):
        source = fast_generator(generator)
        fills = normal_sampler(source), uniform_sampler(source)
    else:
        normal_ = partial(Tensor.normal_, generator=generator)
        fills = normal_, partial(Tensor.uniform_, generator=generator)
    fill_truncated_normal_(out, mean, std, a, b, *fills)
    if out is not values:
        values.copy_(out)
    return tensor


def trunc_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [trunc_normal_][initguide.trunc_normal_].

    `shape`, `dtype` and `rng` are those of [normal][initguide.normal].

    Examples:
        ```python
        import initguide as init

        weight = init.trunc_normal((300, 200), rng=0)
        print(f"{abs(weight).max():.2f} {weight.std():.2f}")
        #> 2.00 0.88
        ```
    """
    sizes, kind = check_shape(shape), check_dtype(dtype)
    mean, std, a, b = _checked(mean, std, a, b)
    source = generator_from(rng)
    array = np.empty(sizes, kind)
    fills = normal_sampler(source), uniform_sampler(source)
    fill_truncated_normal_(torch.from_numpy(array), mean, std, a, b, *fills)
    return array


def truncated_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    cut: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a tensor from a normal that is cut at a number of its std, so that `std` is exact.

    $$w_i \sim \mathcal{N}(\text{mean}, \sigma^2) \;\text{ given }\;
    |w_i - \text{mean}| \le c\,\sigma, \qquad \operatorname{Var} w_i = \text{std}^2$$

    Args:
        tensor: A real floating-point tensor of any shape.
        mean: The mean.
        std: The standard deviation of the weights, after the cut.
        cut: Where the normal is cut, in units of its standard deviation before the cut, $c$.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: `mean` or `std` is not finite, or `std` is not positive.
        ValueError: `cut` is not finite, or below 0.01.

    Source:
        H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles, H. Jégou (2021), *Training
        Data-Efficient Image Transformers & Distillation Through Attention*, who follow B. Hanin,
        D. Rolnick (2018), *How to Start Training*.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.truncated_normal_(torch.empty(300, 200), std=0.02)
        print(f"{weight.std().item():.3f} {weight.abs().max().item():.3f}")  # 0.04 / 0.8796
        #> 0.020 0.045
        ```
    """
    return trunc_normal_(tensor, *_bounds(mean, std, cut), generator)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    cut: float = 2.0,
    *,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [truncated_normal_][initguide.truncated_normal_].

    `shape`, `dtype` and `rng` are those of [normal][initguide.normal].

    Examples:
        ```python
        import initguide as init

        weight = init.truncated_normal((300, 200), std=0.02, cut=3, rng=0)
        print(f"{weight.std():.3f}")
        #> 0.020
        ```
    """
    return trunc_normal(shape, *_bounds(mean, std, cut), dtype=dtype, rng=rng)


def _checked(mean: float, std: float, a: float, b: float) -> tuple[float, float, float, float]:
    """Return the four numbers; the interval may be open on one side or both."""
    mean, std = check_number("mean", mean), check_std(std, zero=False)
    a = a if a == -math.inf else check_number("a", a)
    b = b if b == math.inf else check_number("b", b)
    if a > b:
        raise ValueError(f"a must be at most b; got a={a} and b={b}")
    return mean, std, a, b


def _bounds(mean: float, std: float, cut: float) -> tuple[float, float, float, float]:
    """Return mean, std, a and b for `trunc_normal_`."""
    mean, std = check_number("mean", mean), check_std(std, zero=False)
    cut = check_number("cut", cut)
    # For smaller cuts the distribution is uniform to four digits, and rounding errors hide its std.
    if cut < 0.01:
        raise ValueError(f"cut must be at least 0.01 standard deviations; got {cut}")
    whole = std_before_cut(std, cut)
    return mean, whole, mean - cut * whole, mean + cut * whole


METHODS = (
    Method(
        title="Truncated normal",
        tensor=trunc_normal_,
        array=trunc_normal,
        law=r"\mathcal{N}(\mu, \sigma^2) \text{ on } [a, b]",
        paper=PAPERS["touvron2021"],
        use_when="no outliers are wanted: Transformers, embeddings",
        avoid_when="the bounds are left at ±2 with a small std: nothing is cut",
        elsewhere="none: bounds in Keras and JAX are in units of std",
        page="guide/methods/random.md",
        entry=lambda mean=0.0, std=1.0, a=-2.0, b=2.0: Entry(
            "normal", mean, std, (a - mean) / std, (b - mean) / std
        ),
    ),
    Method(
        title="Truncated normal, by std",
        tensor=truncated_normal_,
        array=truncated_normal,
        law=r"\mathcal{N}(\mu, \sigma^2) \text{ within } \mu \pm c\,\sigma",
        paper=PAPERS["touvron2021"],
        use_when="no outliers are wanted, and the std is to be what it says",
        avoid_when="torch's values or absolute bounds are wanted",
        elsewhere="Keras `TruncatedNormal`, JAX `truncated_normal` (both: std before the cut)",
        page="advanced/truncated-normal.md",
        entry=lambda mean=0.0, std=1.0, cut=2.0: Entry(
            "normal", mean, std_before_cut(std, cut), -cut, cut
        ),
    ),
)
