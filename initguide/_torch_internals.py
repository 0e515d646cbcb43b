"""The private names of torch and CPython that this package uses, each with its purpose.

No other file uses a private name of torch. A new version of torch or Python may rename one:
`tests/test_torch_internals.py` checks each and names the one that is missing.
"""

import copy
import dis
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.distributions import Distribution
from torch.utils.checkpoint import CheckpointFunction

# The base class of all convolutions, lazy and quantization-aware ones too.
ConvBase = nn.modules.conv._ConvNd
# The base class of transposed convolutions, which store their weight as (in, out, *kernel).
ConvTransposeBase = nn.modules.conv._ConvTransposeNd
# The base class of batch and instance norms in one, two and three dimensions.
NormBase = nn.modules.batchnorm._NormBase
# The output projection of attention: attention reads its weight and never calls it.
AttentionProjection = nn.modules.linear.NonDynamicallyQuantizableLinear

# What divides a weight by its spectral norm, as a parametrization.
SpectralNormStep = nn.utils.parametrizations._SpectralNorm

# Prefixes that torch puts before a layer's class when it shards, parametrizes or specializes it.
CLASS_PREFIXES = ("FSDP", "Parametrized", "NonDynamicallyQuantizable")

# The files of torch/nn/modules whose layers pass a signal on to the activation.
PASSING_MODULES = {"batchnorm", "normalization", "instancenorm", "dropout", "pooling", "padding"}
PASSING_MODULES |= {"flatten", "fold", "pixelshuffle", "upsampling", "channelshuffle"}

# The attributes of a module that hold its hooks.
HOOKS = frozenset(name for name in vars(nn.Module()) if "_hooks" in name)

# The instruction that assigns one value to several names, as in `a, b = x.shape`.
_UNPACK = "UNPACK_SEQUENCE"

Function = TypeVar("Function", bound=Callable[..., Any])

_PLAIN_TORCH_FUNCTION = Tensor.__torch_function__.__func__  # pyright: ignore[reportFunctionMemberAccess]


def is_overridden(tensor: Any) -> bool:
    """Return whether the class of `tensor` defines its own `__torch_function__`."""
    # A disabled one has no __func__, and an inherited one is the plain one.
    own = getattr(getattr(type(tensor), "__torch_function__", None), "__func__", None)
    return own is not None and own is not _PLAIN_TORCH_FUNCTION


def overridden(name: str, tensor: Any, **options: Any) -> Any:
    """Call the function `torch.nn.init.<name>` as the class of `tensor` overrides it.

    The class knows the functions of torch, and does not know ours.
    """
    function = getattr(nn.init, name)
    return torch.overrides.handle_torch_function(function, (tensor,), tensor=tensor, **options)


def scripted_as_torch(function: Function) -> Function:
    """Make `torch.jit.script` compile torch's function of the same name, whose values are equal.

    A script knows no unions, generators or callables, and calls no Python code.
    """
    function.__prepare_scriptable__ = lambda: getattr(nn.init, function.__name__)  # pyright: ignore[reportFunctionMemberAccess]
    return function


def is_traced(tensor: Tensor) -> bool:
    """Return whether the operations on `tensor` are recorded or transformed.

    This is so for a fake tensor, under `torch.compile` and under `torch.func.vmap`. Then a function
    must not read values, and must not use the argument `out` of torch's functions.
    """
    if torch.compiler.is_compiling() or type(tensor) not in (Tensor, nn.Parameter):
        return True
    return is_functorch_wrapped_tensor(tensor)


def without_hooks(module: nn.Module) -> nn.Module:
    """Return a module with the same parameters and no forward hooks."""
    bare = copy.copy(module)
    bare._forward_hooks, bare._forward_pre_hooks = OrderedDict(), OrderedDict()
    return bare


def writes_to(tensor: Tensor) -> int:
    """Return how often a tensor was written to; a copy of it starts at zero again."""
    return tensor._version


def writes_in_place(function: Any) -> bool:
    """Return whether a function of torch writes to its first argument, by its name.

    These are `mul_`, `__imul__`, `__setitem__`, and the `__set__` of `tensor.data = value`.
    """
    name = getattr(function, "__name__", "")
    if name.startswith("__"):
        return name in ("__setitem__", "__set__") or name.startswith("__i")
    return name.endswith("_")


def memory_of(tensor: Tensor) -> int:
    """Return the address of the memory that a tensor shares with its views, or 0 if it has none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        # Sparse, quantized and other formats have no single memory.
        return 0


def names_to_unpack() -> int:
    """Return how many names the statement that runs the caller's `__iter__` assigns.

    In `a, b, c = value` an object of unknown length can only learn from the bytecode that three
    values are needed. Other statements give 0. To be called from `__iter__` itself.
    """
    frame = sys._getframe(2)
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if dis.opname[code[at]] == _UNPACK else 0


# Modules that only wrap another one: where the class is defined, its name, and the wrapped module.
_WRAPPERS = (
    ("torch.nn.parallel.distributed", "DistributedDataParallel", "module"),
    ("torch.nn.parallel.data_parallel", "DataParallel", "module"),
    ("torch._dynamo.eval_frame", "OptimizedModule", "_orig_mod"),
    (
        "torch.distributed.algorithms._checkpoint.checkpoint_wrapper",
        "CheckpointWrapper",
        "_checkpoint_wrapped_module",
    ),
)


def unwrapped(module: nn.Module) -> nn.Module:
    """Return a model without the wrappers that put a prefix before the names of its parameters.

    A module that holds a wrapper is copied without its tensors. All others are the model's own.
    """
    return _unwrapped(module, {})


def _unwrapped(module: nn.Module, copies: dict[nn.Module, nn.Module]) -> nn.Module:
    while (inner := _wrapped_by(module)) is not None:
        module = inner
    if module not in copies:
        # A module that holds itself ends the recursion.
        copies[module] = module
        # A child may have several names.
        new = {child: _unwrapped(child, copies) for child in module.children()}
        if any(child is not bare for child, bare in new.items()):
            copies[module] = copy.copy(module)
            children = {name: c if c is None else new[c] for name, c in module._modules.items()}
            copies[module]._modules = children
    return copies[module]


def _wrapped_by(module: nn.Module) -> nn.Module | None:
    """Return the module that a wrapper holds, or None for other modules."""
    for place, kind, name in _WRAPPERS:
        wrapper = getattr(sys.modules.get(place), kind, None)
        if wrapper is not None and isinstance(module, wrapper):
            return getattr(module, name)
    return None


def run_eagerly() -> AbstractContextManager[object]:
    """Run compiled modules as they were before torch.compile, so that hooks see their layers."""
    # Before this import, which is slow, no module can be compiled.
    is_loaded = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if is_loaded else nullcontext()


@contextmanager
def unchecked_distributions() -> Iterator[None]:
    """Let distributions take any parameters: to check them, they would read values."""
    checks = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(checks)


@contextmanager
def unmarked_for_compiler() -> Iterator[None]:
    """Let a forward mark anything for the compiler, such as the static address of a cache."""
    # torch loads this module, which is slow, only when somebody uses it.
    dynamo = vars(sys.modules["torch._dynamo"]) if "torch._dynamo" in sys.modules else {}
    marks = {name: value for name, value in dynamo.items() if name.startswith("mark_")}
    dynamo.update(dict.fromkeys(marks, lambda *_, **__: None))
    try:
        yield
    finally:
        dynamo.update(marks)


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Run what `torch.utils.checkpoint` wraps as it is, with `use_reentrant=True` too.

    That kind refuses `torch.autograd.grad`, and first runs its function without gradients.
    """

    def apply(function: Callable[..., Any], _preserve: bool, *args: Any) -> Any:
        return function(*args)

    CheckpointFunction.apply = apply  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        # The method of the parent class is found again.
        del CheckpointFunction.apply


def hooks_before(module: Any) -> list[Any]:
    """Return the hooks that a module calls before its forward."""
    return [*getattr(module, "_forward_pre_hooks", {}).values()]


def computes_from(module: nn.Module, key: str) -> str:
    """Return the name of the hook that computes a weight from a parameter before each forward.

    Old-style weight norm and pruning have such hooks, and replace `weight` by
    `weight_orig`, or by `weight_g` and `weight_v`. Other parameters give an empty text.
    """
    for hook in hooks_before(module):
        weight = getattr(hook, "name", None) or getattr(hook, "_tensor_name", None)
        if isinstance(weight, str) and key.startswith(f"{weight}_"):
            return type(hook).__name__
    return ""
