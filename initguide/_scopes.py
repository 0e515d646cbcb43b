"""The names outside a model that its forward reaches: globals, closures, class attributes.

The names in the code of the model's methods say which globals, classes and functions the forward
may use, and the names in the code of those functions say more. Nothing runs to find them.
"""

import functools
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from initguide._copies import LRU_CACHE, Copies, package_of

# A forward changes no state of these packages, so their globals are not looked at.
_OTHERS = {"torch", "numpy", "initguide", "builtins", *sys.stdlib_module_names}
_OTHERS -= {"__main__"}
# Methods that Python itself calls.
_CALLED_BY_PYTHON = {"forward", "__call__", "__getattr__", "__setattr__", "__getitem__"}
_CALLED_BY_PYTHON |= {"__setitem__", "__iter__", "__len__", "__enter__", "__exit__", "__bool__"}
# Objects that hold functions, and the names under which they hold them.
_WRAPPERS = (property, staticmethod, classmethod, functools.cached_property, LRU_CACHE, partial)
_PARTS = ("fget", "fset", "func", "__func__", "__wrapped__")
_DEFAULTS = {"__defaults__", "__kwdefaults__"}


class Scope:
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


def _modules_reached(
    own: dict[str, Any], used: set[str], loaded: dict[str, dict[str, types.ModuleType]]
) -> Iterator[dict[str, Any]]:
    """Yield the globals of the modules that a function reaches by the names in its code.

    Args:
        own: The globals of the function.
        used: The names in its code.
        loaded: The loaded modules by their package, and there by their names.
    """
    queue = [own]
    for package in ("", own.get("__package__") or ""):
        children = loaded.get(package, {})
        queue += [vars(children[name]) for name in used & children.keys()]
    met: set[int] = set()
    for attributes in queue:
        if id(attributes) not in met and package_of(attributes.get("__name__")) not in _OTHERS:
            met.add(id(attributes))
            yield attributes
            values = (attributes[name] for name in used & attributes.keys())
            queue += [vars(value) for value in values if isinstance(value, types.ModuleType)]


def _loaded_modules() -> dict[str, dict[str, types.ModuleType]]:
    """Return the loaded modules by the name of their package, and there by their own names."""
    found: dict[str, dict[str, types.ModuleType]] = {}
    for full, module in [*sys.modules.items()]:
        if isinstance(module, types.ModuleType):
            package, _, name = full.rpartition(".")
            found.setdefault(package, {})[name] = module
    return found


def reached_scopes(copies: Copies) -> list[Scope]:
    """Return the scopes that the methods of the copied objects reach, by the names in their code.

    A method counts as reached if its name occurs in code that is reached. So the code that is found
    may be more than what runs.
    """
    scopes: dict[int, Scope] = {}
    loaded = _loaded_modules()
    names, met = {*_CALLED_BY_PYTHON}, set()
    copies.fill()
    functions = [*copies.functions]
    while True:
        while functions:
            function = functions.pop()
            if function not in met:
                met.add(function)
                names |= _names_in(function.__code__)
                for scope, used in _scopes_of_function(function, scopes, loaded):
                    scope.names |= used
                    functions += _use(scope, used, copies)
        copies.fill()
        for scope, used in _scopes_of_classes(copies, scopes):
            functions += _use(scope, names if used is None else used, copies)
        if not functions:
            for scope, used in _scopes_of_classes(copies, scopes):
                scope.names = names if used is None else used
            return [*scopes.values()]


def _use(scope: Scope, names: set[str], copies: Copies) -> list[types.FunctionType]:
    """Copy the values of a scope under some names, and return the functions among them."""
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
    if type(value) is types.FunctionType:
        return [value]
    if not issubclass(type(value), _WRAPPERS):
        return []
    parts = [getattr(value, name, None) for name in _PARTS]
    return [each for each in parts if isinstance(each, types.FunctionType)]


def _scopes_of_function(
    function: types.FunctionType,
    scopes: dict[int, Scope],
    loaded: dict[str, dict[str, types.ModuleType]],
) -> Iterator[tuple[Scope, set[str]]]:
    """Yield the scopes that a function reads, each with the names that it may use there."""

    def scope_of(value: Any, *parts: Callable[..., Any]) -> Scope:
        if id(value) not in scopes:
            scopes[id(value)] = Scope(*parts)
        return scopes[id(value)]

    def scope_of_attributes(value: Any, read: Callable[[], dict[str, Any]]) -> Scope:
        return scope_of(value, read, partial(setattr, value), partial(delattr, value))

    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        # The class itself is there for `super()`.
        if name != "__class__":
            yield scope_of_attributes(cell, partial(_content, cell)), {"cell_contents"}
    own = function.__globals__
    is_other = package_of(own.get("__name__")) in _OTHERS
    used = set() if is_other else _names_in(function.__code__)
    attributes = _DEFAULTS if is_other else used | _DEFAULTS | vars(function).keys()
    yield scope_of_attributes(function, partial(_attributes, function)), attributes
    if not is_other:
        for each in _modules_reached(own, used, loaded):
            parts = partial(dict, each), each.__setitem__, each.__delitem__
            yield scope_of(each, *parts), used


def _content(cell: types.CellType) -> dict[str, Any]:
    # A cell may be empty.
    return {"cell_contents": cell.cell_contents} if hasattr(cell, "cell_contents") else {}


def _attributes(function: types.FunctionType) -> dict[str, Any]:
    return {name: getattr(function, name) for name in _DEFAULTS} | vars(function)


def _scopes_of_classes(
    copies: Copies, scopes: dict[int, Scope]
) -> Iterator[tuple[Scope, set[str] | None]]:
    """Yield the classes of the copied objects, each with the names to copy; None is all."""
    for kind in {kind: None for cls in [*copies.classes] for kind in cls.__mro__}:
        # Python refuses `type.__setattr__` for classes that C code guards by its own.
        setter = type(kind).__setattr__
        if setter is not type.__setattr__ and isinstance(setter, types.WrapperDescriptorType):
            continue
        if id(kind) not in scopes:
            scopes[id(kind)] = Scope(
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


@functools.lru_cache(16384)
def _names_in(code: types.CodeType) -> set[str]:
    """Return the names in some code: globals, attributes, and strings that may be names."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    texts = {each for each in code.co_consts if isinstance(each, str) and each.isidentifier()}
    return {*code.co_names, *texts}.union(*map(_names_in, inner))
