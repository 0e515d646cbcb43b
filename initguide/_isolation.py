"""Run a forward on private copies, so that the user's model and objects do not change.

The model that runs is a private copy. A forward also reaches objects outside its model: globals,
closures, default arguments, class attributes. While the copy is in use, these names hold private
copies as well, and afterwards they hold their own objects again.
"""

import functools
import io
import logging
import random
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from initguide._copies import LRU_CACHE, Copies, package_of
from initguide._state import random_states_kept

# A forward changes no state of these packages, so their globals are not looked at.
_OTHERS = {"torch", "numpy", "initguide", "builtins", *sys.stdlib_module_names}
_OTHERS -= {"__main__"}
# Methods that Python itself calls.
_CALLED_BY_PYTHON = {"forward", "__call__", "__getattr__", "__setattr__", "__getitem__"}
_CALLED_BY_PYTHON |= {"__setitem__", "__iter__", "__len__", "__enter__", "__exit__", "__bool__"}
# Objects that hold functions, and the names under which they hold them.
_WRAPPERS = (property, staticmethod, classmethod, functools.cached_property, LRU_CACHE, partial)
_PARTS = ("fget", "fset", "func", "__func__", "__wrapped__")
_SETTINGS: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_num_threads, torch.set_num_threads),
]


@contextmanager
def isolated(model: nn.Module, *, values: bool = True) -> Iterator[nn.Module]:
    """Yield a private copy of a model, whose forward changes nothing outside of the copy.

    Args:
        model: Any module.
        values: Whether the copies of large parameters hold values, or take no memory.
    """
    copies = Copies(values=values)
    private = copies.of(model)
    with in_use(copies), _even_draws():
        yield private


@contextmanager
def _even_draws() -> Iterator[None]:
    """Let each draw of a single number be one half.

    Stochastic depth then keeps all blocks, which have a chance of more than one half.
    """

    def even(draw: Callable[..., Any], *args: Any, **options: Any) -> Any:
        value = draw(*args, **options)
        if isinstance(value, torch.Tensor):
            return value.fill_(0.5) if type(value) is torch.Tensor and value.numel() == 1 else value
        return 0.5 if isinstance(value, float) else value

    holders = [(random, "random"), (np.random, "random"), (np.random, "rand"), (torch, "rand")]
    before = [getattr(holder, name) for holder, name in holders]
    try:
        for (holder, name), draw in zip(holders, before, strict=True):
            setattr(holder, name, partial(even, draw))
        yield
    finally:
        for (holder, name), draw in zip(holders, before, strict=True):
            setattr(holder, name, draw)


@contextmanager
def in_use(copies: Copies, *devices: torch.device) -> Iterator[None]:
    """Let the names that a forward reaches hold copies, and restore them at the end.

    Args:
        copies: The copies of the model, or what the model itself holds.
        *devices: The GPUs whose random states are kept as well.
    """
    scopes: list[_Scope] = []
    try:
        scopes += _reached_scopes(copies)
        for scope in scopes:
            scope.swap(copies)
        copies.fill()
        with random_states_kept(*devices), _settings_kept():
            yield
    finally:
        for scope in scopes:
            scope.restore()
        copies.close()


@contextmanager
def silence() -> Iterator[None]:
    """Drop all output, log messages and warnings."""
    level = logging.root.manager.disable
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(sys.maxsize)
        try:
            yield
        finally:
            logging.disable(level)


@contextmanager
def _settings_kept() -> Iterator[None]:
    before = [read() for read, _ in _SETTINGS]
    try:
        yield
    finally:
        for (read, write), value in zip(_SETTINGS, before, strict=True):
            if read() != value:
                write(value)


class _Scope:
    """Names outside a model that its forward reaches: globals, class attributes, a cell.

    Args:
        read: Returns the names with their values.
        write: Sets a name.
        remove: Removes a name.
    """

    def __init__(
        self,
        read: Callable[[], dict[str, Any]],
        write: Callable[[str, Any], Any],
        remove: Callable[[str], Any],
    ) -> None:
        self.read, self.write, self.remove = read, write, remove
        self.before = read()
        self.names = {"__warningregistry__"}
        self.copied: set[str] = set()

    def swap(self, copies: Copies) -> None:
        """Give the names that the forward uses private copies."""
        for name in self.names & self.before.keys():
            value = self.before[name]
            new = copies.of(value)
            if new is not value:
                self.write(name, new)

    def restore(self) -> None:
        """Give the names their own objects again, and remove new names."""
        after = self.read()
        for name in self.names & self.before.keys():
            if name not in after or after[name] is not self.before[name]:
                self.write(name, self.before[name])
        for name in (self.names & after.keys()) - self.before.keys():
            # The import of a module sets its name once, and is not repeated.
            if not isinstance(after[name], (types.ModuleType, type, types.FunctionType)):
                self.remove(name)


def _reached_scopes(copies: Copies) -> list[_Scope]:
    """Return the scopes that the methods of the copied objects reach, by the names in their code.

    A method counts as reached if its name occurs in code that is reached. So the code that is found
    may be more than what runs.
    """
    scopes: dict[int, _Scope] = {}
    names, met = {*_CALLED_BY_PYTHON}, set()
    copies.fill()
    functions = [*copies.functions]
    while True:
        while functions:
            function = functions.pop()
            if function not in met:
                met.add(function)
                names |= _names_in(function.__code__)
                for scope, used in _scopes_of_function(function, scopes):
                    scope.names |= used
                    functions += _use(scope, used, copies)
        copies.fill()
        for scope, used in _scopes_of_classes(copies, scopes):
            functions += _use(scope, names if used is None else used, copies)
        if not functions:
            for scope, used in _scopes_of_classes(copies, scopes):
                scope.names = names if used is None else used
            return [*scopes.values()]


def _use(scope: _Scope, names: set[str], copies: Copies) -> list[types.FunctionType]:
    """Copy what a scope has under some names, and return the functions in it."""
    # The names of all code that is reached are many, and most scopes hold few names.
    more = (names & scope.before.keys()) - scope.copied
    scope.copied |= more
    functions = []
    for name in more:
        value = scope.before[name]
        copies.of(value)
        functions += _functions_in(value)
    return functions


def _functions_in(value: Any) -> list[types.FunctionType]:
    """Return the functions that a value calls: itself, or those of a property or a method."""
    parts = [getattr(value, name, None) for name in _PARTS] if isinstance(value, _WRAPPERS) else []
    return [each for each in (value, *parts) if isinstance(each, types.FunctionType)]


def _scopes_of_function(
    function: types.FunctionType, scopes: dict[int, _Scope]
) -> Iterator[tuple[_Scope, set[str]]]:
    """Yield the scopes that a function reads, each with the names that it may use there."""

    def scope_of(value: Any, *parts: Callable[..., Any]) -> _Scope:
        if id(value) not in scopes:
            scopes[id(value)] = _Scope(*parts)
        return scopes[id(value)]

    def scope_of_dict(value: dict[str, Any]) -> _Scope:
        return scope_of(value, partial(dict, value), value.__setitem__, value.__delitem__)

    def scope_of_attributes(value: Any, *names: str) -> _Scope:
        read = partial(_read, value, names)
        return scope_of(value, read, partial(setattr, value), partial(delattr, value))

    used = _names_in(function.__code__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        # The class itself is there for `super()`.
        if name != "__class__":
            yield scope_of_attributes(cell, "cell_contents"), {"cell_contents"}
    defaults = ("__defaults__", "__kwdefaults__")
    yield scope_of_attributes(function, *defaults), {*defaults}
    own = function.__globals__
    if package_of(own.get("__name__")) in _OTHERS:
        return
    yield scope_of_dict(vars(function)), used | {*vars(function)}
    yield scope_of_dict(own), used
    imported = (f"{own.get('__package__')}.{name}" for name in used)
    modules = [own.get(name) for name in used] + [*map(sys.modules.get, (*used, *imported))]
    seen: set[int] = set()
    while modules:
        module = modules.pop()
        if not isinstance(module, types.ModuleType) or id(module) in seen:
            continue
        seen.add(id(module))
        if package_of(module.__name__) not in _OTHERS:
            attributes = vars(module)
            yield scope_of_dict(attributes), used
            # `used & attributes.keys()` would go through all names of the module.
            modules += [attributes[name] for name in used if name in attributes]


def _read(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    # A cell may be empty.
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _scopes_of_classes(
    copies: Copies, scopes: dict[int, _Scope]
) -> Iterator[tuple[_Scope, set[str] | None]]:
    """Yield the classes of the copied objects, each with the names to copy; None is all."""
    for kind in {kind: None for cls in [*copies.classes] for kind in cls.__mro__}:
        # Python refuses `type.__setattr__` for classes that C code guards by its own.
        setter = type(kind).__setattr__
        if setter is not type.__setattr__ and isinstance(setter, types.WrapperDescriptorType):
            continue
        if id(kind) not in scopes:
            scopes[id(kind)] = _Scope(
                lambda kind=kind: dict(vars(kind)),
                partial(type.__setattr__, kind),
                partial(type.__delattr__, kind),
            )
        scope = scopes[id(kind)]
        is_other = package_of(kind.__module__) in _OTHERS
        # Users of other packages put functions with a cache into their classes.
        yield scope, _caches_of(kind) if is_other else None


@functools.lru_cache(1024)
def _caches_of(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if type(value) is LRU_CACHE}


@functools.lru_cache(4096)
def _names_in(code: types.CodeType) -> set[str]:
    """Return the names in some code: globals, attributes, and strings that may be names."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    texts = {each for each in code.co_consts if isinstance(each, str) and each.isidentifier()}
    return {*code.co_names, *texts}.union(*map(_names_in, inner))
