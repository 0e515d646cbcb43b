"""What a model and the objects around it hold, noted before a forward and restored after it."""

import array
import enum
import functools
import io
import operator
import random
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from initguide._copies import LRU_CACHE, Copies, attributes_of, base_of, slots_of
from initguide._stand_ins import LARGE, Unreadable, iterator_like
from initguide._torch_internals import HOOKS


class Contents(Copies):
    """What objects hold, to be restored; the objects themselves stay in use.

    Iterators and caches of functions cannot be restored. These are replaced by copies until the
    end. As in a private copy, objects of some packages are left alone.
    """

    def __init__(self) -> None:
        super().__init__()
        # Functions with their arguments.
        self._restoring: list[tuple[Any, ...]] = []
        # The largest tensor or array whose values are kept, and the larger tensors.
        self._limit = float("inf")
        self.large: list[Tensor] = []

    def note(self, *values: Any) -> None:
        """Note the content of some values; large arrays that are found later are left alone."""
        for value in values:
            self.of(value)
        self.fill()
        self._limit = LARGE

    def close(self) -> None:
        """Restore the content of all objects."""
        errors = []
        with torch.no_grad():
            while self._restoring:
                restore, *arguments = self._restoring.pop()
                try:
                    restore(*arguments)
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def _later(self, restore: Callable[..., object], *arguments: Any) -> None:
        self._restoring.append((restore, *arguments))

    def table(self) -> list[tuple[Any, Callable[[Any, Any], Any]]]:
        return _KEPT

    def of_object(self, value: Any) -> Any:
        kind = type(value)
        if kind not in self._bases:
            self.classes[kind] = None
            self._bases[kind] = base_of(kind)
        if self._bases[kind] is not None:
            self._to_fill.append((value, value))
        elif issubclass(kind, Iterator):
            new = iterator_like(value, self.of, lambda *pair: self._positions.append(pair))
            return value if isinstance(new, Unreadable) else new
        return value

    def _fill(self, value: Any, new: Any) -> None:
        """Note the attributes, slots and items of an object, past the methods of its class."""
        if (attributes := attributes_of(value)) is not None:
            if issubclass(type(value), nn.Module):
                for name in HOOKS & attributes.keys():
                    self._keep_hooks(attributes[name])
            self.of_dict(attributes)
        for member in slots_of(type(value)):
            self._keep_slot(member, value)
        for base, keep in _KEEP_ITEMS:
            if issubclass(type(value), base):
                keep(self, value)
                break

    def of_dict(self, value: dict[Any, Any]) -> None:
        base: Any = OrderedDict if isinstance(value, OrderedDict) else dict
        items: Any = base.items(value)
        if not items:
            # A module holds many of these.
            self._later(base.clear, value)
            return
        items = [*items]
        self._later(_restore_dict, base, value, items)
        for key, each in items:
            self.of(key)
            if (new := self.of(each)) is not each:
                base.__setitem__(value, key, new)

    def _keep_hooks(self, value: dict[Any, Any]) -> None:
        """Note which hooks there are; their own records, which are their purpose, are kept."""
        self._copied[id(value)] = value, value
        self._later(_restore_dict, OrderedDict, value, [*value.items()])

    def _keep_slot(self, member: Any, value: Any) -> None:
        try:
            held = member.__get__(value)
        except AttributeError:
            self._later(_restore_slot, member, value)
            return
        self.of(held)
        self._later(_restore_slot, member, value, held)

    def of_list(self, value: list[Any]) -> None:
        items = [*list.__iter__(value)]
        self._later(_restore_list, value, items)
        for index, each in enumerate(items):
            if (new := self.of(each)) is not each:
                list.__setitem__(value, index, new)

    def of_set(self, value: set[Any]) -> None:
        self._keep_items(value, set.__iter__, set.clear, set.update)

    def of_deque(self, value: deque[Any]) -> None:
        self._keep_items(value, deque.__iter__, deque.clear, deque.extend)

    def _keep_items(self, value: Any, *functions: Callable[..., Any]) -> None:
        items = [*functions[0](value)]
        self._later(_restore_items, value, items, *functions)
        for each in items:
            self.of(each)

    def of_state(self, value: Any) -> Any:
        """Note a state that one method returns and another one sets."""
        kinds = (names for kind, *names in _STATES if isinstance(value, kind))
        for get, put in kinds:
            with suppress(ValueError):
                # A closed file has no state.
                self._later(getattr(value, put), getattr(value, get)())
            break
        return value

    def of_numpy_generator(self, value: Any) -> Any:
        source = getattr(value, "bit_generator", value)
        self._later(setattr, source, "state", source.state)
        return value

    def of_memory(self, value: Any) -> Any:
        if len(value) <= self._limit:
            self._later(_restore_memory, value, value[:])
        return value

    def of_array(self, value: np.ndarray[Any, Any]) -> Any:
        if value.size <= self._limit and value.flags.writeable:
            self._later(_restore_array, value, value.copy())
        if value.dtype.hasobject:
            for each in value.flat:
                self.of(each)
        return value

    def of_tensor(self, value: Tensor) -> Tensor:
        if is_lazy(value):
            return value
        if (attributes := attributes_of(value)) is not None:
            self.of_dict(attributes)
        if value.is_leaf:
            gradient = value.grad
            self._later(_restore_leaf, value, value.requires_grad, gradient)
        # The values of parameters take much memory, and other functions restore them.
        if not isinstance(value, nn.Parameter):
            if value.numel() <= self._limit:
                self.note_values(value)
            else:
                self.large.append(value)
        return value

    def note_values(self, value: Tensor) -> None:
        """Note the values of a tensor, and in which memory they are."""
        with suppress(RuntimeError, NotImplementedError):
            # Some formats, such as quantized ones, have no such functions.
            alias = value.detach()
            self._later(_restore_tensor, value, alias, alias.clone())

    def of_script(self, value: Any) -> Any:
        for module in value.modules():
            self._later(setattr, module, "training", module.training)
        for tensor in (*value.parameters(), *value.buffers()):
            self.of(tensor)
        return value

    def of_parts(self, value: Any) -> Any:
        """Note the parts of a method or of a partial function."""
        for name in ("__self__", "__func__", "func", "args", "keywords"):
            self.of(getattr(value, name, None))
        return value

    def of_weak_reference(self, value: Any) -> Any:
        self.of(value())
        return value

    def of_weak_proxy(self, value: Any) -> Any:
        with suppress(ReferenceError):
            # The methods of a proxy are bound to the object itself.
            self.of(value.__repr__.__self__)
        return value


def _are(items: Iterable[Any], others: list[Any]) -> bool:
    """Return whether some items are the same objects as others."""
    items = [*items]
    return len(items) == len(others) and all(map(operator.is_, items, others))


def _restore_dict(base: Any, value: dict[Any, Any], items: list[tuple[Any, Any]]) -> None:
    keys, values = [key for key, _ in items], [each for _, each in items]
    if not (_are(base.__iter__(value), keys) and _are(base.values(value), values)):
        base.clear(value)
        for key, each in items:
            base.__setitem__(value, key, each)


def _restore_list(value: list[Any], items: list[Any]) -> None:
    if not _are(list.__iter__(value), items):
        list.__setitem__(value, slice(None), items)


def _restore_items(
    value: Any,
    items: list[Any],
    read: Callable[..., Any],
    clear: Callable[..., Any],
    add: Callable[..., Any],
) -> None:
    if not _are(read(value), items):
        clear(value)
        add(value, items)


def _restore_slot(member: Any, value: Any, *held: Any) -> None:
    """Set a slot to its former value, or empty it."""
    with suppress(AttributeError, TypeError):
        # Some slots cannot be set.
        if not held:
            member.__delete__(value)
        elif getattr(value, member.__name__, None) is not held[0]:
            member.__set__(value, held[0])


def _restore_memory(value: Any, kept: Any) -> None:
    if value != kept:
        value[:] = kept


def _restore_array(value: np.ndarray[Any, Any], kept: np.ndarray[Any, Any]) -> None:
    if value.dtype.hasobject or not np.array_equal(value, kept):
        np.copyto(value, kept)


def _restore_leaf(value: Tensor, requires_grad: bool, gradient: Tensor | None) -> None:
    if not value.is_leaf:
        # A result that needs a gradient was written to it. A view cannot be detached.
        with suppress(RuntimeError):
            value.detach_()
    if value.requires_grad != requires_grad and value.is_leaf:
        value.requires_grad_(requires_grad)
    value.grad = gradient


def _restore_tensor(value: Tensor, alias: Tensor, kept: Tensor) -> None:
    """Restore a tensor's memory, which a forward may have replaced, and its values."""
    if value.is_meta:
        return
    if value.layout is torch.strided and value.data_ptr() != alias.data_ptr():
        value.data = alias
    # An expanded tensor refuses writes. Nested tensors cannot be compared.
    with suppress(RuntimeError, NotImplementedError, AttributeError):
        if not torch.equal(alias, kept):
            alias.copy_(kept)


_STATES = (
    (random.Random, "getstate", "setstate"),
    (torch.Generator, "get_state", "set_state"),
    (np.random.RandomState, "get_state", "set_state"),
    (io.StringIO, "__getstate__", "__setstate__"),
    (io.BytesIO, "__getstate__", "__setstate__"),
)
_KEEP_ITEMS: tuple[tuple[type, Callable[[Contents, Any], None]], ...] = (
    (dict, Contents.of_dict),
    (list, Contents.of_list),
    (set, Contents.of_set),
    (deque, Contents.of_deque),
)
_KEPT: list[tuple[Any, Callable[[Any, Any], Any]]] = [
    (type, Copies.of_class),
    (types.FunctionType, Copies.of_function),
    ((types.MethodType, types.BuiltinMethodType, functools.partial), Contents.of_parts),
    (LRU_CACHE, Copies.of_lru_cache),
    ((property, staticmethod, classmethod, functools.cached_property), Copies.of_descriptor),
    (weakref.ref, Contents.of_weak_reference),
    (weakref.ProxyTypes, Contents.of_weak_proxy),
    (Tensor, Contents.of_tensor),
    (tuple(kind for kind, *_ in _STATES), Contents.of_state),
    ((np.random.Generator, np.random.BitGenerator), Contents.of_numpy_generator),
    (np.ndarray, Contents.of_array),
    ((array.array, bytearray), Contents.of_memory),
    (tuple, Copies.of_tuple),
    # An error that is raised gets notes, which are meant to stay.
    ((enum.Enum, io.IOBase, types.ModuleType, BaseException), lambda _, value: value),
    (torch.jit.ScriptModule, Contents.of_script),
    (object, Contents.of_object),
]
