r"""Truncated normal: a normal without its tails.

Of a normal sample of a million weights, some lie five standard deviations out. Cutting at two keeps
95 % of the law and lowers its std to $\sqrt{1 - 4\phi(2) / (2\Phi(2) - 1)} = 0.8796$ of what it
was; who wants the std kept divides by that first, as Keras and JAX do in their scaled methods.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import (
    check_dtype,
    check_number,
    check_real,
    check_shape,
    check_std,
)
from initguide._sharding import shards_alike
from initguide.methods.record import Method
from initguide.papers import PAPERS
from initguide.random import (
    CHUNK,
    fast_generator,
    fill_truncated_normal_,
    generator_from,
    normal_sampler,
    uniform_sampler,
)


@shards_alike
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a tensor from a normal distribution cut off at two bounds.

    $$w_i \sim \mathcal{N}(\text{mean}, \text{std}^2) \;\text{ given }\; a \le w_i \le b$$

    The bounds are **absolute**, as in torch: with `std=0.02` the default ±2 cuts nothing. Cut at
    two standard deviations with `a=-2 * std, b=2 * std`, and divide `std` by 0.8796 first if the
    weights' own std is to be `std`. Any interval gets its exact law, far out in a tail too; the
    values are not torch's, and come faster. Half precision is drawn in float32 and rounded to
    numbers inside the bounds.

    Args:
        tensor: A real floating-point tensor of any shape.
        mean: The mean before the cut.
        std: The standard deviation before the cut.
        a: The least value, or -inf.
        b: The greatest value, or inf; where it equals `a`, all values do.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: A number is not finite (but `a` may be -inf, `b` inf), `std` is not positive,
            or `a` is above `b`.

    Source:
        H. Touvron et al. (2021), *Training Data-Efficient Image Transformers & Distillation
        Through Attention*, who follow B. Hanin, D. Rolnick (2018), *How to Start Training*.

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
    if tensor.is_meta or tensor.numel() == 0:
        return tensor

    # Detached, a leaf may be written to.
    values = tensor.detach()
    out = values if values.is_contiguous() else values.new_empty(values.shape)
    if out.is_cpu and out.numel() >= CHUNK:
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
    r"""Draw an array from a normal distribution cut off at two bounds.

    $$w_i \sim \mathcal{N}(\text{mean}, \text{std}^2) \;\text{ given }\; a \le w_i \le b$$

    The bounds are **absolute**; see [trunc_normal_][initguide.trunc_normal_].

    Args:
        shape: The array's shape.
        mean: The mean before the cut.
        std: The standard deviation before the cut.
        a: The least value, or -inf.
        b: The greatest value, or inf; where it equals `a`, all values do.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: A size is below 1, a number is not finite (but `a` may be -inf, `b` inf), `std`
            is not positive, or `a` is above `b`.

    Source:
        H. Touvron et al. (2021), *Training Data-Efficient Image Transformers & Distillation
        Through Attention*, who follow B. Hanin, D. Rolnick (2018), *How to Start Training*.

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


def _checked(mean: float, std: float, a: float, b: float) -> tuple[float, float, float, float]:
    """Return the four numbers; the interval may be open, to one side or both."""
    mean, std = check_number("mean", mean), check_std(std, zero=False)
    a = a if a == -math.inf else check_number("a", a)
    b = b if b == math.inf else check_number("b", b)
    if a > b:
        raise ValueError(f"a must be at most b; got a={a} and b={b}")
    return mean, std, a, b


METHODS = (
    Method(
        title="Truncated normal",
        names=("trunc_normal_", "trunc_normal"),
        array=trunc_normal,
        tensor=trunc_normal_,
        law=r"\mathcal{N}(\mu, \sigma^2) \text{ on } [a, b]",
        paper=PAPERS["touvron2021"],
        use_when="no outliers are wanted: Transformers, embeddings",
        avoid_when="the bounds are left at ±2 with a small std: nothing is cut",
        elsewhere="none: bounds in Keras and JAX are in units of std",
        page="guide/methods/random.md",
    ),
)
