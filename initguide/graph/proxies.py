"""Symbols to run a forward on: they record what is done with them, and answer what is asked.

A symbol has no size, so most forwards would stop at the first `*x.shape`, or at the first check of
one. What a layer is and what follows it does not depend on sizes. So a symbol gives one that stands
for any, which fits whatever it is compared with.
"""

import dis
import inspect
import operator
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import torch
from torch import Tensor, fx, nn


class Length(int):
    """A length that stands for any: equal to all, below and above none, divided by all."""

    def __new__(cls, value: int = 16) -> "Length":
        """Return one; the value, even as it is, serves where torch wants a number."""
        return super().__new__(cls, value)

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __lt__(self, other: Any) -> bool:
        return False

    __gt__ = __lt__

    def __le__(self, other: Any) -> bool:
        return True

    __ge__ = __le__

    def __hash__(self) -> int:
        return int.__hash__(self)

    def _any(self, *_: Any) -> "Length":
        return Length()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _any
    __floordiv__ = __rfloordiv__ = _any

    def __mod__(self, other: Any) -> int:
        return 0


def _names_to_unpack(frame: Any) -> int:
    """Return how many names a caller unpacks into, which only its bytecode tells; else 0."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if dis.opname[code[at]] == "UNPACK_SEQUENCE" else 0


class Shape(tuple):
    """A shape of unknown rank: as long as what unpacks it wants, and three where that is open."""

    def __new__(cls, rank: Any = 3) -> "Shape":
        """Return one of some rank, or as long as a sequence."""
        return super().__new__(cls, (Length(),) * (rank if isinstance(rank, int) else len(rank)))

    def __iter__(self) -> Iterator[Length]:
        # An iterator without end cannot be unpacked, and would never fill a list.
        return iter([Length()] * (_names_to_unpack(sys._getframe(1)) or len(self)))

    def __getitem__(self, key: Any) -> Any:
        return Shape(len(range(len(self))[key])) if isinstance(key, slice) else Length()

    def numel(self) -> Length:
        """Return the product."""
        return Length()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return tuple.__hash__(self)


class Symbol(fx.Proxy):
    """A tensor of which only what is done with it is known; of a parameter, also its shape."""

    def __init__(self, node: fx.Node, tracer: Any, like: Tensor | None = None) -> None:
        super().__init__(node, tracer)
        self.like = like

    @property
    def shape(self) -> Any:
        """The shape."""
        return Shape() if self.like is None else self.like.shape

    @property
    def dtype(self) -> torch.dtype:
        """The type."""
        return torch.get_default_dtype() if self.like is None else self.like.dtype

    @property
    def device(self) -> torch.device:
        """The device."""
        return torch.device("cpu")

    @property
    def ndim(self) -> int:
        """The rank."""
        return Length(3) if self.like is None else self.like.ndim

    is_cuda = requires_grad = False

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or one length."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Return the rank."""
        return self.ndim

    def numel(self) -> int:
        """Return how many entries there are."""
        return Length() if self.like is None else self.like.numel()

    def __len__(self) -> int:
        return Length()

    def __iter__(self) -> Iterator[Any]:
        # torch.fx takes the caller's whole bytecode apart for this.
        count, own = _names_to_unpack(sys._getframe(1)), cast("Any", self)
        return iter([own[i] for i in range(count)]) if count else super().__iter__()

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})


class SymbolTracer(fx.Tracer):
    """Run a forward on symbols.

    Args:
        model: What is to be run.
        given: The names of the arguments to give; the others are left at their defaults. All of
            them where None.
    """

    def __init__(self, model: nn.Module, given: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.given = given
        self.held = dict(model.named_parameters(remove_duplicate=False))

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """Return a function to call and its arguments, symbols for what is given."""
        if self.given is None:
            return super().create_args_for_root(root_fn, is_module, concrete_args)
        given = {name: self.create_proxy("placeholder", name, (), {}) for name in self.given}
        return lambda model: root_fn(model, **given), [self.root]

    def create_arg(self, a: Any) -> Any:
        """Return what the graph holds for a value; for one that it cannot hold, nothing."""
        # Torch refuses what is neither a number nor a container of them, such as a cache.
        with suppress(NotImplementedError):
            return super().create_arg(a)
        return None

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return the symbol of a node."""
        like = self.held.get(str(node.target)) if node.op == "get_attr" else None
        return Symbol(node, self, like)


def calls(module: nn.Module) -> Iterator[tuple[str, ...] | None]:
    """Yield which arguments to give: what is required, with more and more of the rest."""
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
    yield None
