"""Activations: by name, as a module or as any function, made elementwise in float64."""

import copy
import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Nonlinearity = str | nn.Module | Callable[[Any], Any]

LINEAR = (
    "linear",
    "identity",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
)
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(LINEAR, lambda z: z),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "prelu": functools.partial(F.leaky_relu, negative_slope=0.25),
    "rrelu": functools.partial(F.rrelu, training=False),
    "relu6": F.relu6,
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "logsigmoid": F.logsigmoid,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "tanhshrink": F.tanhshrink,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
}


def key_of(nonlinearity: Nonlinearity) -> str | None:
    """Return what its numbers may be kept under; a function may change, and one's own module."""
    if isinstance(nonlinearity, str):
        return nonlinearity
    if not isinstance(nonlinearity, nn.Module) or next(nonlinearity.parameters(), None) is not None:
        return None
    torchs = type(nonlinearity).__module__ == nn.modules.activation.__name__
    return repr(nonlinearity) if torchs else None


def function_of(nonlinearity: Nonlinearity) -> Callable[[Tensor], Tensor]:
    """Return an activation as an elementwise function of a float64 tensor.

    Args:
        nonlinearity: What [gain][initguide.gain] takes.

    Returns:
        A function that neither changes its argument nor the module it came from.

    Raises:
        ValueError: The name is unknown, or the function is not elementwise.
        TypeError: It is neither a name nor callable.
    """
    raw = _raw(nonlinearity)

    def function(z: Tensor) -> Tensor:
        with torch.no_grad():
            return _call(raw, z, nonlinearity)

    # An elementwise function does not see an element's neighbours, nor its place.
    probe = torch.linspace(-3, 3, 31, dtype=torch.float64)
    value = function(probe)
    if not torch.allclose(value.flip(0)[::2], function(probe.flip(0)[::2]), equal_nan=True):
        raise ValueError(f"nonlinearity must be elementwise; got {nonlinearity!r}")
    return function


def derivative_of(nonlinearity: Nonlinearity) -> Callable[[Tensor], Tensor]:
    """Return the derivative of an activation, as an elementwise function of a float64 tensor.

    By autograd where the function is torch's, by central differences where it is NumPy's.

    Args:
        nonlinearity: What [gain][initguide.gain] takes.

    Returns:
        A function that neither changes its argument nor the module it came from.

    Raises:
        ValueError: The name is unknown, or the function is not elementwise.
        TypeError: It is neither a name nor callable.
    """
    raw, function = _raw(nonlinearity), function_of(nonlinearity)

    def by_autograd(z: Tensor) -> Tensor:
        with torch.enable_grad():
            z = z.clone().requires_grad_()
            return torch.autograd.grad(raw(z * 1.0).sum(), z)[0]

    def by_difference(z: Tensor, step: float = 1e-6) -> Tensor:
        return (function(z + step) - function(z - step)) / (2 * step)

    try:
        by_autograd(torch.zeros(3, dtype=torch.float64))
    except (RuntimeError, TypeError, AttributeError):
        return by_difference
    return by_autograd


def _raw(nonlinearity: Nonlinearity) -> Callable[[Any], Any]:
    if isinstance(nonlinearity, str):
        if nonlinearity not in FUNCTIONS:
            names = ", ".join(sorted(FUNCTIONS))
            raise ValueError(f"nonlinearity must be one of {names}; got {nonlinearity!r}")
        return FUNCTIONS[nonlinearity]
    if isinstance(nonlinearity, nn.Module):
        return copy.deepcopy(nonlinearity).double().eval()
    if callable(nonlinearity):
        return nonlinearity
    raise TypeError(f"nonlinearity must be a name or a callable; got {nonlinearity!r}")


def _call(raw: Callable[[Any], Any], z: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    """Call with a copy of `z` (an activation may work in place): a tensor, else an array."""
    try:
        with warnings.catch_warnings():
            # NumPy takes a tensor too, and warns that it should not.
            warnings.simplefilter("error", DeprecationWarning)
            value = raw(z.clone())
    except Exception:
        try:
            value = raw(z.numpy().copy())
        except Exception as error:
            raise ValueError(
                f"nonlinearity must be an elementwise function; got {nonlinearity!r}, which "
                f"raised {type(error).__name__}: {error}"
            ) from error
    value = torch.as_tensor(np.asarray(value, dtype=np.float64))
    if value.shape != z.shape:
        raise ValueError(
            f"nonlinearity must be elementwise; got {nonlinearity!r}, which turns shape "
            f"{tuple(z.shape)} into {tuple(value.shape)}"
        )
    return value
