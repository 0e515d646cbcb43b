r"""Plain random weights, normal or uniform, with a spread that you choose.

Random weights break the symmetry between units. But a fixed std ignores the width of the layer:
each layer multiplies the second moment by $n \sigma^2$ (by half of it after a ReLU), so the signal
shrinks or grows geometrically with depth unless $\sigma \propto 1/\sqrt n$.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import (
    check_bounds,
    check_dtype,
    check_number,
    check_real,
    check_shape,
    check_std,
    check_tensor,
)
from initguide._sharding import shards_alike
from initguide._torch_internals import is_overridden, overridden, scripted_as_torch
from initguide.methods.record import Entry, Method
from initguide.papers import PAPERS
from initguide.random import (
    clamp_to_bounds,
    generator_from,
    normal_sampler,
    representable_bounds,
    sampling_dtype,
)


@scripted_as_torch
@shards_alike
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill a tensor from a normal distribution.

    $$w_i \sim \mathcal{N}(\text{mean}, \text{std}^2)$$

    The values are torch's own, bit for bit, in float32 and float64. Half precision is drawn in
    float32 and rounded.

    Args:
        tensor: A floating-point tensor of any shape.
        mean: The mean.
        std: The standard deviation.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a floating-point tensor.
        ValueError: `mean` or `std` is not finite, or `std` is negative.

    Source:
        A. Krizhevsky, I. Sutskever, G. E. Hinton (2012), *ImageNet Classification with Deep
        Convolutional Neural Networks*: std 0.01.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.normal_(torch.empty(300, 200), std=0.01)
        print(f"{weight.std().item():.3f}")
        #> 0.010
        ```
    """
    if is_overridden(tensor):
        return overridden("normal_", tensor, mean=mean, std=std, generator=generator)
    check_tensor(tensor)
    return draw_normal_(tensor, check_number("mean", mean), check_std(std), generator)


@scripted_as_torch
@shards_alike
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill a tensor from a uniform distribution.

    $$w_i \sim \mathcal{U}(a, b), \qquad \operatorname{Var} w_i = \frac{(b - a)^2}{12}$$

    The values are torch's own, bit for bit, in float32 and float64. In half precision torch's are
    biased towards `a`; here they are drawn in float32 and rounded.

    Args:
        tensor: A real floating-point tensor of any shape.
        a: The lower bound.
        b: The upper bound.
        generator: The source of randomness; torch's global one if None.

    Returns:
        `tensor`, changed in place.

    Raises:
        TypeError: `tensor` is not a tensor of real floating-point numbers.
        ValueError: `a` or `b` is not finite, or `a` is above `b`.

    Source:
        Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller (1998), *Efficient BackProp*, section 4.6.

    Examples:
        ```python
        import torch

        import initguide as init

        weight = init.uniform_(torch.empty(300, 200), -0.1, 0.1)
        print(f"{weight.std().item():.3f} {0.2 / 12**0.5:.3f}")
        #> 0.058 0.058
        ```
    """
    if is_overridden(tensor):
        return overridden("uniform_", tensor, a=a, b=b, generator=generator)
    check_real(tensor)
    return draw_uniform_(tensor, *check_bounds(a, b), generator)


# In a dtype of fewer bytes torch's `uniform_` is biased, so values are drawn in float32.
_SHORTEST = 4


def draw_normal_(
    tensor: Tensor, mean: float, std: float, generator: torch.Generator | None
) -> Tensor:
    """Fill a tensor that has been checked, with numbers that have been."""
    # Detached, a leaf may be written to: the same as under no_grad, at half the overhead.
    values = tensor.detach()
    if values.dtype.itemsize < _SHORTEST:
        drawn = torch.empty_like(values, dtype=torch.float32)
        values.copy_(drawn.normal_(mean, std, generator=generator))
    else:
        values.normal_(mean, std, generator=generator)
    return tensor


def draw_uniform_(tensor: Tensor, a: float, b: float, generator: torch.Generator | None) -> Tensor:
    """Fill a tensor that has been checked, with numbers that have been."""
    values = tensor.detach()
    if values.dtype.itemsize < _SHORTEST:
        drawn = torch.empty_like(values, dtype=torch.float32)
        drawn.uniform_(a, b, generator=generator)
        # Clamped before they are rounded, because torch cannot clamp float8.
        values.copy_(drawn.clamp_(*representable_bounds(values.dtype, a, b)))
    else:
        values.uniform_(a, b, generator=generator)
    return tensor


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [normal_][initguide.normal_].

    Args:
        shape: The shape of the array.
        dtype: float16, float32 or float64.
        rng: A generator, a seed, or None for a fresh generator.

    Returns:
        An array of shape `shape`.

    Raises:
        TypeError: `shape` is not a sequence of integers.
        TypeError: `dtype` is not float16, float32 or float64.
        TypeError: `rng` is not a generator, a seed or None.
        ValueError: `shape` has a size below 1.
        ValueError: `rng` is a negative seed.

    Examples:
        ```python
        import initguide as init

        print(init.normal((2, 2), std=0.01, rng=0).round(4).tolist())
        #> [[0.0013, -0.0013], [0.0064, 0.001]]
        ```
    """
    sizes, kind = check_shape(shape), check_dtype(dtype)
    mean, std = check_number("mean", mean), check_std(std)
    values = np.empty(sizes, sampling_dtype(kind))
    normal_sampler(generator_from(rng))(torch.from_numpy(values))
    values *= std
    values += mean
    return values.astype(kind, copy=False)


def uniform(
    shape: Sequence[int],
    a: float = 0.0,
    b: float = 1.0,
    *,
    dtype: DTypeLike = np.float64,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.floating]:
    """Draw an array from the distribution of [uniform_][initguide.uniform_].

    `shape`, `dtype` and `rng` are those of [normal][initguide.normal].

    Examples:
        ```python
        import initguide as init

        print(init.uniform((3,), -1, 1, rng=0).round(3).tolist())
        #> [0.274, -0.46, -0.918]
        ```
    """
    sizes, kind = check_shape(shape), check_dtype(dtype)
    a, b = check_bounds(a, b)
    values = generator_from(rng).random(sizes, sampling_dtype(kind))
    values *= b - a
    values += a
    return clamp_to_bounds(torch.from_numpy(values.astype(kind, copy=False)), a, b).numpy()


_PAGE = "guide/methods/random.md"

METHODS = (
    Method(
        title="Normal",
        array=normal,
        tensor=normal_,
        law=r"\mathcal{N}(\mu, \sigma^2)",
        paper=PAPERS["krizhevsky2012"],
        use_when="the right std is known: embeddings, GPT-2's 0.02",
        avoid_when="one std for all layers of a deep network: it knows no width",
        elsewhere="Keras `RandomNormal`, JAX `normal`",
        page=_PAGE,
        entry=lambda mean=0.0, std=1.0: Entry("normal", mean, std),
    ),
    Method(
        title="Uniform",
        array=uniform,
        tensor=uniform_,
        law=r"\mathcal{U}(a, b)",
        paper=PAPERS["lecun1998"],
        use_when="weights must be bounded, the variance being the same",
        avoid_when="the bound is taken for the std: that is smaller by √3",
        elsewhere="Keras `RandomUniform`, JAX `uniform` (from 0 to the scale)",
        page=_PAGE,
        entry=lambda a=0.0, b=1.0: Entry("uniform", (a + b) / 2, (b - a) / 2, -1.0, 1.0),
    ),
)
