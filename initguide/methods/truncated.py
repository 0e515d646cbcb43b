r"""Truncated normal: a normal without its tails.

Of a normal sample of a million weights, some lie five standard deviations out. Cutting at two keeps
95 % of the law and lowers its std to $\sqrt{1 - 4\phi(2) / (2\Phi(2) - 1)} = 0.8796$ of what it
was; who wants the std kept divides by that first, as Keras and JAX do in their scaled methods.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide.checks import (
    check_bounds,
    check_dtype,
    check_number,
    check_shape,
    check_std,
    check_tensor,
)
from initguide.method import Method
from initguide.papers import PAPERS
from initguide.sampling import drawn_in, generator_from, inside, truncated


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
    weights' own std is to be `std`.

    Args:
        tensor: A floating-point tensor of any shape.
        mean: The mean before the cut.
        std: The standard deviation before the cut.
        a: The least value.
        b: The greatest value.
        generator: The source of randomness; torch's global one where None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: A number is not finite, `std` is not positive, `a` is not below `b`, or the
            interval is so far out that it holds nothing of the distribution.

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
    check_tensor(tensor)
    check_number("mean", mean)
    check_std(std, zero=False)
    check_bounds(a, b, equal=False)
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    dtype = torch.float64 if tensor.dtype == torch.float64 else torch.float32

    def empty(shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=tensor.device)

    with torch.no_grad():
        values = truncated(
            tuple(tensor.shape),
            (a - mean) / std,
            (b - mean) / std,
            lambda shape: empty(shape).normal_(generator=generator),
            lambda shape: empty(shape).uniform_(generator=generator),
        )
        return inside(tensor.copy_(values.mul_(std).add_(mean)), a, b)


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
        a: The least value.
        b: The greatest value.
        dtype: float16, float32 or float64.
        rng: A generator, a seed or None.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape`, `dtype` or `rng` is of the wrong kind.
        ValueError: A size is below 1, a number is not finite, `std` is not positive, `a` is not
            below `b`, or the interval holds nothing of the distribution.

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
    check_number("mean", mean)
    check_std(std, zero=False)
    check_bounds(a, b, equal=False)
    source, drawn = generator_from(rng), drawn_in(kind)
    values = truncated(
        sizes,
        (a - mean) / std,
        (b - mean) / std,
        lambda shape: torch.from_numpy(source.standard_normal(shape, drawn)),
        lambda shape: torch.from_numpy(source.random(shape, drawn)),
    )
    array = values.mul_(std).add_(mean).numpy().astype(kind, copy=False)
    return inside(torch.from_numpy(array), a, b).numpy()


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
