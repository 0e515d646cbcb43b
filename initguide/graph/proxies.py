"""Proxies to run a forward on: they record each operation and need no data.

A proxy of torch.fx has no size, so most forwards would stop at the first `*x.shape` or at the first
check of a length. The kind of a layer and the activation after it do not depend on sizes. So our
proxies give a length that is equal to every number, which passes every check. A loop that counts
such a length down does not end, so the number of operations has a limit.
"""

import inspect
import operator
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from initguide._torch_internals import (
    names_to_unpack,
    unchecked_distributions,
    unmarked_for_compiler,
)
from initguide.graph.operations import is_write, operation_name
from initguide.graph.writes import Writes

# How many operations on proxies and lengths a trace may take, and how many more for each module.
OPERATIONS = 20_000
OPERATIONS_PER_MODULE = 200


class EndlessError(BaseException):
    """A forward takes so many operations on symbols that it seems not to end.

    It is no `Exception`, because a forward may catch every `Exception` in its loop.
    """


class _Budget:
    """The number of operations that the present trace may still take."""

    left = OPERATIONS

    @classmethod
    def spend(cls) -> None:
        """Count one operation."""
        cls.left -= 1
        if cls.left < 0:
            raise EndlessError("it does not end on proxies")


class AnyLength(int):
    """A length that equals every number, is below and above none, and divides by all."""

    def __new__(cls, value: int = 16) -> "AnyLength":
        """Return a length; torch uses its value, an even number, where it needs a number."""
        return super().__new__(cls, value)

    def _yes(self, other: Any) -> bool:
        _Budget.spend()
        return True

    def _no(self, other: Any) -> bool:
        _Budget.spend()
        return False

    __eq__ = __le__ = __ge__ = _yes
    __ne__ = __lt__ = __gt__ = _no

    def __hash__(self) -> int:
        return int.__hash__(self)

    def _any(self, *_: Any) -> "AnyLength":
        _Budget.spend()
        return AnyLength()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _any
    __floordiv__ = __rfloordiv__ = _any

    def __mod__(self, other: Any) -> int:
        _Budget.spend()
        return 0


class AnyShape(tuple):
    """A shape of unknown rank: as long as the statement that unpacks it needs, and else three."""

    def __new__(cls, rank: Any = 3) -> "AnyShape":
        """Return a shape of some rank, or as long as a sequence."""
        rank = rank if isinstance(rank, int) else len(rank)
        return super().__new__(cls, (AnyLength(),) * rank)

    def __iter__(self) -> Iterator[AnyLength]:
        # An endless iterator cannot be unpacked, and a list of it would never be full.
        return iter([AnyLength()] * (names_to_unpack() or len(self)))

    def __getitem__(self, key: Any) -> Any:
        return AnyShape(len(range(len(self))[key])) if isinstance(key, slice) else AnyLength()

    def numel(self) -> AnyLength:
        """Return the number of entries."""
        return AnyLength()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return tuple.__hash__(self)


class TensorProxy(fx.Proxy):
    """A tensor without values; the shape is known only for a parameter."""

    def __init__(self, node: fx.Node, tracer: Any, parameter: Tensor | None = None) -> None:
        super().__init__(node, tracer)
        self.parameter = parameter

    @property
    def shape(self) -> Any:
        """The shape."""
        return AnyShape() if self.parameter is None else self.parameter.shape

    @property
    def dtype(self) -> torch.dtype:
        """The type."""
        return torch.get_default_dtype() if self.parameter is None else self.parameter.dtype

    @property
    def device(self) -> torch.device:
        """The device."""
        return torch.device("cpu")

    @property
    def ndim(self) -> int:
        """The rank."""
        return AnyLength(3) if self.parameter is None else self.parameter.ndim

    is_cuda = requires_grad = False

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or one length."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Return the rank."""
        return self.ndim

    ndimension = dim

    def numel(self) -> int:
        """Return the number of entries."""
        return AnyLength() if self.parameter is None else self.parameter.numel()

    def __len__(self) -> int:
        return AnyLength()

    def __iter__(self) -> Iterator[Any]:
        # torch.fx disassembles the whole bytecode of the caller for this, which is slow.
        count, this = names_to_unpack() or _part_count(self.node), cast("Any", self)
        return iter([this[i] for i in range(count)]) if count else super().__iter__()

    def __int__(self) -> int:
        raise NeedsDataError("it reads a value as a number")

    __float__ = __complex__ = __int__

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise NeedsDataError("it hands a tensor to NumPy")

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})


def _part_count(node: fx.Node) -> int:
    """Return how many parts a node makes of a tensor, or 0 if its arguments do not tell."""
    named = [value for key, value in node.kwargs.items() if key not in ("input", "dim")]
    name, given = operation_name(node), [*node.args[1:], *named, None][0]
    if name in ("split", "split_with_sizes", "tensor_split") and isinstance(given, (list, tuple)):
        return len(given) + (name == "tensor_split")
    return given if name in ("chunk", "tensor_split") and type(given) is int else 0


class NeedsDataError(Exception):
    """A forward asks a proxy for a value, which only data can give."""


class ProxyTracer(fx.Tracer):
    """Run a forward on proxies.

    Args:
        model: The module whose forward is run.
        arguments: The names of the arguments to pass; the others keep their defaults. None passes
            all.
    """

    def __init__(self, model: nn.Module, arguments: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.arguments = arguments
        self.parameters = dict(model.named_parameters(remove_duplicate=False))
        tensors = (*model.named_buffers(), *model.named_parameters())
        self.names = {id(tensor): name for name, tensor in tensors}
        self.writes = Writes()

    def trace(self, root: Any, concrete_args: Any = None) -> fx.Graph:
        """Return the graph of a module's forward.

        Raises:
            EndlessError: The forward takes too many operations.
        """
        modules = sum(1 for _ in root.modules())
        _Budget.left = OPERATIONS + OPERATIONS_PER_MODULE * modules
        with self.writes, unchecked_distributions(), unmarked_for_compiler():
            return super().trace(root, concrete_args)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Add a node to the graph."""
        _Budget.spend()
        return super().create_node(*args, **kwargs)

    def create_proxy(
        self, kind: str, target: Any, args: tuple[Any, ...], kwargs: Any, *more: Any, **named: Any
    ) -> fx.Proxy:
        """Add a node and return its proxy, which also stands for a tensor that it writes to."""
        result = super().create_proxy(kind, target, args, kwargs, *more, **named)
        if args and is_write(result.node, self.root):
            self.writes.add(args[0], result)
        return result

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """Return a function to call, and its arguments: a proxy for each name."""
        if self.arguments is None:
            return super().create_args_for_root(root_fn, is_module, concrete_args)
        proxies = {name: self.create_proxy("placeholder", name, (), {}) for name in self.arguments}
        # An instance may have a forward of its own.
        return lambda model: model.forward(**proxies), [self.root]

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Return the proxy of a parameter that the forward reads, and any other value itself."""
        name = self.names.get(id(attr_val))
        if name is None or not isinstance(attr_val, nn.Parameter):
            return attr_val
        if name not in parameter_proxy_cache:
            parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
        return parameter_proxy_cache[name]

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Refuse to choose a branch."""
        raise NeedsDataError("it branches on a value")

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Refuse to count the parts of a tensor."""
        raise NeedsDataError("it loops over a tensor")

    def create_arg(self, a: Any) -> Any:
        """Return the form in which the graph stores a value, or None if it cannot store it."""
        a = self.writes.proxy_of(a)
        if (name := self.names.get(id(a))) is not None:
            node = self.create_node("get_attr", name, (), {})
            node.meta["value"] = a
            return node
        # Torch stores numbers and containers of numbers, and refuses other objects.
        with suppress(NotImplementedError):
            argument = super().create_arg(a)
            if isinstance(a, Tensor) and isinstance(argument, fx.Node):
                # A buffer, or a tensor that the forward made from constants.
                argument.meta["value"] = a
            return argument
        return None

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return the proxy of a node."""
        parameter = self.parameters.get(str(node.target)) if node.op == "get_attr" else None
        return TensorProxy(node, self, parameter)


def argument_choices(module: nn.Module) -> Iterator[tuple[str, ...] | None]:
    """Yield which arguments to pass to a forward: the required ones, then more and more others.

    The last choice is None, which passes all to the forward of the class.
    """
    parameters = [
        each
        for each in inspect.signature(module.forward).parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    required = [each.name for each in parameters if each.default is each.empty]
    required = required or [each.name for each in parameters[:1]]
    more = [e.name for e in parameters if e.default is None and e.name not in required]
    yield tuple(required)
    yield from ((*required, name) for name in more)
    yield from ((*required, *more[:count]) for count in range(2, len(more) + 1))
    if "forward" not in vars(module):
        yield None
