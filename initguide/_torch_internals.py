"""The private names of torch and CPython that this package uses, each with its purpose.

No other file uses a private name of torch. A new version of torch or Python may rename one:
`tests/test_torch_internals.py` checks each and names the one that is missing.
"""

import copy
import dis
import sys
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

# The base class of all convolutions, lazy and quantization-aware ones too.
ConvBase = nn.modules.conv._ConvNd
# The base class of transposed convolutions, which store their weight as (in, out, *kernel).
ConvTransposeBase = nn.modules.conv._ConvTransposeNd
# The base class of batch and instance norms in one, two and three dimensions.
NormBase = nn.modules.batchnorm._NormBase
# The output projection of attention: attention reads its weight and never calls it.
AttentionProjection = nn.modules.linear.NonDynamicallyQuantizableLinear

# Prefixes that torch puts before a layer's class when it shards, parametrizes or specializes it.
CLASS_PREFIXES = ("FSDP", "Parametrized", "NonDynamicallyQuantizable")

# The files of torch/nn/modules whose layers pass a signal on to the activation.
PASSING_MODULES = {"batchnorm", "normalization", "instancenorm", "dropout", "pooling", "padding"}
PASSING_MODULES |= {"flatten", "fold", "pixelshuffle", "upsampling", "channelshuffle"}

# The instruction that assigns one value to several names, as in `a, b = x.shape`.
_UNPACK = "UNPACK_SEQUENCE"

_PLAIN_TORCH_FUNCTION = Tensor.__torch_function__.__func__  # pyright: ignore[reportFunctionMemberAccess]


def is_overridden(tensor: Any) -> bool:
    """Return whether the class of `tensor` defines its own `__torch_function__`."""
    kind = type(tensor)
    if kind is Tensor or kind is nn.Parameter:
        return False
    # A disabled one has no __func__, and an inherited one is the plain one.
    own = getattr(getattr(kind, "__torch_function__", None), "__func__", None)
    return own is not None and own is not _PLAIN_TORCH_FUNCTION


def overridden(name: str, tensor: Any, **options: Any) -> Any:
    """Call the function `torch.nn.init.<name>` as the class of `tensor` overrides it.

    The class knows the functions of torch, and does not know ours.
    """
    function = getattr(nn.init, name)
    return torch.overrides.handle_torch_function(function, (tensor,), tensor=tensor, **options)


def uncompiled(model: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` wrapped, or the module itself."""
    return getattr(model, "_orig_mod", model)


def without_hooks(module: nn.Module) -> nn.Module:
    """Return a module with the same parameters and no forward hooks."""
    bare = copy.copy(module)
    bare._forward_hooks, bare._forward_pre_hooks = OrderedDict(), OrderedDict()
    return bare


def names_to_unpack() -> int:
    """Return how many names the statement that runs the caller's `__iter__` assigns.

    In `a, b, c = value` an object of unknown length can only learn from the bytecode that three
    values are needed. Other statements give 0. To be called from `__iter__` itself.
    """
    frame = sys._getframe(2)
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if dis.opname[code[at]] == _UNPACK else 0
