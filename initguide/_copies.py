"""Private copies of a model and of all that it holds, made without running code of the user.

`copy.deepcopy` calls methods of the objects that it copies, and refuses locks and generators. A
[Copies][initguide._copies.Copies] object fills new objects directly. Two references to one object
become two references to one copy. What cannot be copied is shared, or it is replaced by an object
that holds nothing: the user's own generators and files are never read.
"""

import array
import enum
import functools
import io
import random
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from initguide._stand_ins import (
    deep_copy,
    empty_file,
    iterator_like,
    tensor_like,
    without_finalizer,
)
from initguide._torch_internals import HOOKS

T = TypeVar("T")

_ATOMS = {type(None), bool, int, float, complex, str, bytes, range, slice, type(...), enum.EnumMeta}
_ATOMS |= {torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size, np.dtype}
_ATOMS |= {
    types.CodeType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
}
LRU_CACHE = type(functools.lru_cache(len))
# Objects that hold the state of a generator of random numbers, or plain memory.
_DEEP_COPIED = (random.Random, torch.Generator, np.random.Generator, np.random.RandomState)
_DEEP_COPIED += (np.random.BitGenerator, np.ndarray, array.array, bytearray)
# Python classes are built on one of these; objects of other C types are shared.
_BASES = (OrderedDict, dict, list, set, deque, BaseException, types.SimpleNamespace, object)
# The instances of these packages are shared: they hold threads, handles, settings or declarations.
_SHARED = {"torch", "numpy", "initguide", "logging", "ctypes", "socket", "subprocess"}
_SHARED |= {"threading", "concurrent", "multiprocessing", "asyncio", "contextvars"}
_SHARED |= {"dataclasses", "typing", "inspect"}


def package_of(name: Any) -> str:
    """Return the name of the package that holds a module."""
    return str(name).partition(".")[0]


class Copies:
    """The copies of some objects, one for each.

    Args:
        values: Whether the copies of large parameters hold values. Without values they take no
            memory.

    Attributes:
        functions: The functions that were met; they are shared.
        classes: The classes that were met, and those of the objects.
    """

    def __init__(self, *, values: bool = True) -> None:
        self.values = values
        self.functions: dict[types.FunctionType, None] = {}
        self.classes: dict[type, None] = {}
        # The originals are kept, so that no other object gets the same id.
        self._copied: dict[int, tuple[Any, Any]] = {}
        self._makers: dict[type, Any] = {}
        self._bases: dict[type, Any] = {}
        self._to_fill: list[tuple[Any, Any]] = []
        self._positions: list[tuple[Any, Any]] = []
        self._finalizable: list[Any] = []

    def table(self) -> list[tuple[Any, Callable[[Any, Any], Any]]]:
        """Return the function that copies an object of each class; the first match is taken."""
        return _COPIED

    def of(self, value: Any) -> Any:
        """Return the copy of a value; `fill` gives it its content."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        if id(value) not in self._copied:
            if kind not in self._makers:
                makers = (make for kinds, make in self.table() if issubclass(kind, kinds))
                self._makers[kind] = next(makers)
            self._copied[id(value)] = value, self._makers[kind](self, value)
        return self._copied[id(value)][1]

    def fill(self) -> None:
        """Give the copies their content."""
        while self._to_fill:
            self._fill(*self._to_fill.pop())
        while self._positions:
            iterator, position = self._positions.pop()
            iterator.__setstate__(position)

    def close(self) -> None:
        """Take the finalizers from the copies: they would act on the originals."""
        for each in self._finalizable:
            without_finalizer(each)

    def of_object(self, value: Any) -> Any:
        kind = type(value)
        if kind not in self._bases:
            self.classes[kind] = None
            self._bases[kind] = base_of(kind)
        base = self._bases[kind]
        if base is None:
            if not issubclass(kind, Iterator):
                return value
            return iterator_like(value, self.of, lambda *pair: self._positions.append(pair))
        new = base.__new__(kind)
        if hasattr(kind, "__del__"):
            self._finalizable.append(new)
        # Objects may hold each other, so each gets its content later.
        self._to_fill.append((value, new))
        return new

    def _fill(self, value: Any, new: Any) -> None:
        """Copy attributes, slots and items, past all methods of the object's class."""
        if (attributes := attributes_of(value)) is not None:
            into = cast("dict[str, Any]", attributes_of(new))
            is_module = issubclass(type(value), nn.Module)
            for name, each in attributes.items():
                if is_module and name.endswith("_hooks_installed"):
                    # A model of transformers hooks its parts once. A copy, without them, does so.
                    continue
                into[name] = OrderedDict() if is_module and name in HOOKS else self.of(each)
            if is_module:
                into["_compiled_call_impl"] = None
        for member in slots_of(type(value)):
            try:
                member.__set__(new, self.of(member.__get__(value)))
            except (AttributeError, TypeError):
                # The slot is empty or cannot be set.
                continue
        for base, add_items in _ADD_ITEMS:
            if issubclass(type(value), base):
                add_items(self, value, new)
                break

    def fill_dict(self, value: Any, new: Any) -> None:
        base = OrderedDict if isinstance(value, OrderedDict) else dict
        for key, each in base.items(value):
            base.__setitem__(new, self._key(key), self.of(each))

    def fill_list(self, value: Any, new: Any) -> None:
        list.extend(new, map(self.of, list.__iter__(value)))

    def fill_set(self, value: Any, new: Any) -> None:
        set.update(new, map(self._key, set.__iter__(value)))

    def fill_deque(self, value: Any, new: Any) -> None:
        length: Any = deque.maxlen
        deque.__init__(new, map(self.of, deque.__iter__(value)), length.__get__(value))

    def fill_error(self, value: Any, new: Any) -> None:
        new.args = self.of(value.args)

    def _key(self, key: Any) -> Any:
        """Return the copy of a key, if its hash does not depend on its content."""
        is_plain = type(key).__hash__ in (object.__hash__, nn.Module.__hash__, Tensor.__hash__)
        return self.of(key) if is_plain or isinstance(key, (tuple, weakref.ref)) else key

    def of_class(self, value: type) -> type:
        self.classes[value] = None
        return value

    def of_function(self, value: types.FunctionType) -> types.FunctionType:
        self.functions[value] = None
        return value

    def of_descriptor(self, value: Any) -> Any:
        for name in ("fget", "fset", "fdel", "func", "__func__"):
            self.of(getattr(value, name, None))
        return value

    def of_bound_method(self, value: Any) -> Any:
        owner = self.of(value.__self__)
        if owner is value.__self__:
            return value
        if isinstance(value, types.MethodType):
            return types.MethodType(self.of(value.__func__), owner)
        return getattr(owner, value.__name__)

    def of_partial(self, value: functools.partial[Any]) -> Any:
        named = {name: self.of(each) for name, each in value.keywords.items()}
        return functools.partial(self.of(value.func), *map(self.of, value.args), **named)

    def of_lru_cache(self, value: Any) -> Any:
        """Return the same function with an empty cache."""
        return functools.lru_cache(**value.cache_parameters())(self.of(value.__wrapped__))

    def of_tuple(self, value: Any) -> Any:
        items = [*map(self.of, tuple.__iter__(value))]
        if all(new is old for new, old in zip(items, tuple.__iter__(value), strict=True)):
            return value
        return tuple.__new__(type(value), items)

    def of_weak_reference(self, value: Any) -> Any:
        target = self.of(value())
        if target is not None and isinstance(value, weakref.KeyedRef):
            # An entry of a WeakValueDictionary. Its callback would clean the original.
            return cast(Any, weakref.KeyedRef)(target, None, value.key)
        return value if target is None else type(value)(target)

    def of_weak_proxy(self, value: Any) -> Any:
        try:
            # The methods of a proxy are bound to the object itself.
            return weakref.proxy(self.of(value.__repr__.__self__))
        except ReferenceError:
            return value

    def of_tensor(self, value: Tensor) -> Tensor:
        new = tensor_like(value, values=self.values)
        if new is not value:
            for name, each in vars(value).items():
                vars(new)[name] = self.of(each)
        return new


def private_copy(value: T) -> T:
    """Return a copy of a value that shares nothing with it that a call could change."""
    copies = Copies()
    new = copies.of(value)
    copies.fill()
    return new


def base_of(kind: type) -> Any:
    """Return the type that makes empty objects of a class, or None if its objects are shared."""
    if package_of(kind.__module__) in _SHARED and not issubclass(kind, nn.Module):
        return None
    base: Any = next(base for base in _BASES if issubclass(kind, base))
    if hasattr(kind, "__del__") and (base is not object or slots_of(kind)):
        # Its class cannot be changed, so its finalizer would run.
        return None
    try:
        new = base.__new__(kind)
    except TypeError:
        # A C type.
        return None
    if hasattr(kind, "__del__"):
        without_finalizer(new)
    return base


@functools.lru_cache(1024)
def slots_of(kind: type) -> list[Any]:
    """Return the descriptors of the slots of a class."""
    values = (value for each in kind.__mro__ for value in vars(each).values())
    return [each for each in values if isinstance(each, types.MemberDescriptorType)]


def attributes_of(value: Any) -> dict[str, Any] | None:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None


_ADD_ITEMS = (
    (dict, Copies.fill_dict),
    (list, Copies.fill_list),
    (set, Copies.fill_set),
    (deque, Copies.fill_deque),
    (BaseException, Copies.fill_error),
)
_COPIED: list[tuple[Any, Any]] = [
    (type, Copies.of_class),
    (types.FunctionType, Copies.of_function),
    ((types.MethodType, types.BuiltinMethodType), Copies.of_bound_method),
    (functools.partial, Copies.of_partial),
    (LRU_CACHE, Copies.of_lru_cache),
    ((property, staticmethod, classmethod, functools.cached_property), Copies.of_descriptor),
    (weakref.ref, Copies.of_weak_reference),
    (weakref.ProxyTypes, Copies.of_weak_proxy),
    (Tensor, Copies.of_tensor),
    (_DEEP_COPIED, lambda _, value: deep_copy(value)),
    (tuple, Copies.of_tuple),
    (enum.Enum, lambda _, value: value),
    (io.IOBase, lambda _, value: empty_file(value)),
    (types.ModuleType, lambda _, value: value),
    (torch.jit.ScriptModule, lambda _, value: deep_copy(value)),
    (object, Copies.of_object),
]
