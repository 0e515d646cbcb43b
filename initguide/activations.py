"""Activations and their derivatives as elementwise functions of a float64 tensor.

An activation is given by name, as a module or as any elementwise function.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide._copies import private_copy

Nonlinearity = str | nn.Module | Callable[[Any], Any]
"""An activation: its name, its module, or any function of each element, in torch or NumPy."""

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
    """Return a key for caching an activation's gains, or None if they must not be cached.

    Names and torch's own modules without parameters have a key. A function or a module of the
    user's own may change between two calls.
    """
    if isinstance(nonlinearity, str):
        return nonlinearity
    if not isinstance(nonlinearity, nn.Module):
        # A function that was read from a graph has a key of its operations.
        return getattr(nonlinearity, "graph_key", None)
    if next(nonlinearity.parameters(), None) is not None:
        return None
    defined_by_torch = type(nonlinearity).__module__ == nn.modules.activation.__name__
    return repr(nonlinearity) if defined_by_torch else None


def function_of(nonlinearity: Nonlinearity) -> Callable[[Tensor], Tensor]:
    """Return an activation as an elementwise function of a float64 tensor.

    Args:
        nonlinearity: An activation, in any form that [gain][initguide.gain] takes.

    Returns:
        A function that leaves its argument, and the module that it was made from, unchanged.

    Raises:
        ValueError: The name is unknown, or the function is not elementwise.
        TypeError: `nonlinearity` is not a name and not callable.
    """
    raw = _raw(nonlinearity)

    def function(z: Tensor) -> Tensor:
        with torch.no_grad():
            return _call(raw, z, nonlinearity)

    # The value of an elementwise function depends on the element alone, so it stays the same if the
    # order of the elements is reversed and every second one is dropped.
    probe = torch.linspace(-3, 3, 31, dtype=torch.float64, device="cpu")
    value = function(probe)
    if not torch.allclose(value.flip(0)[::2], function(probe.flip(0)[::2]), equal_nan=True):
        raise ValueError(f"nonlinearity must be elementwise; got {nonlinearity!r}")
    return function


def derivative_of(nonlinearity: Nonlinearity) -> Callable[[Tensor], Tensor]:
    """Return the derivative of an activation, as an elementwise function of a float64 tensor.

    A function of tensors is differentiated by autograd, a NumPy function by central differences.

    Args:
        nonlinearity: An activation, in any form that [gain][initguide.gain] takes.

    Returns:
        A function that leaves its argument, and the module that it was made from, unchanged.

    Raises:
        ValueError: The name is unknown, or the function is not elementwise.
        TypeError: `nonlinearity` is not a name and not callable.
    """
    raw, function = _raw(nonlinearity), function_of(nonlinearity)

    def by_autograd(z: Tensor) -> Tensor:
        with torch.enable_grad(), torch.device("cpu"):
            z = z.clone().requires_grad_()
            return torch.autograd.grad(raw(z * 1.0).sum(), z)[0]

    def by_difference(z: Tensor, step: float = 1e-6) -> Tensor:
        return (function(z + step) - function(z - step)) / (2 * step)

    try:
        by_autograd(torch.zeros(3, dtype=torch.float64, device="cpu"))
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
        return private_copy(nonlinearity).double().eval()
    if callable(nonlinearity):
        return nonlinearity
    raise TypeError(f"nonlinearity must be a name or a callable; got {nonlinearity!r}")


def _call(raw: Callable[[Any], Any], z: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    """Call `raw` with a tensor, or with an array if it does not take tensors.

    The argument is a copy of `z`, because an activation may work in place.
    """
    try:
        # A default device, such as meta while a large model is built, must not reach the values.
        with warnings.catch_warnings(), torch.device("cpu"):
            # A NumPy function that is given a tensor only warns. As an error it leads to the array.
            warnings.simplefilter("error", DeprecationWarning)
            value = raw(z.clone())
    except Exception as on_tensor:
        try:
            value = raw(z.numpy().copy())
        except Exception as on_array:
            # A function of arrays fails on a tensor because of a warning that is made an error.
            error = on_array if isinstance(on_tensor, DeprecationWarning) else on_tensor
            raise ValueError(
                f"nonlinearity must be an elementwise function; got {nonlinearity!r}, which "
                f"raised {type(error).__name__}: {error}"
            ) from error
    value = torch.as_tensor(np.asarray(value, dtype=np.float64), device="cpu")
    if value.shape != z.shape:
        raise ValueError(
            f"nonlinearity must be elementwise; got {nonlinearity!r}, which turns shape "
            f"{tuple(z.shape)} into {tuple(value.shape)}"
        )
    return value
