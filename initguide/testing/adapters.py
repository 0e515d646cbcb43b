"""Call an initializer of either style, and return its values in one form."""

# The function may draw from NumPy's legacy global state, so that state is compared.
# ruff: noqa: NPY002

import functools
import inspect
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from initguide._checks import one_of
from initguide.fans import Layout
from initguide.methods.record import Method, method_of

Style = Literal["tensor", "array"]
Shape = tuple[int, ...]

_SOURCE: dict[Style, str] = {"tensor": "generator", "array": "rng"}
_FIRST: dict[str, Style] = {
    **dict.fromkeys(("tensor", "weight", "w", "param", "parameter", "t"), "tensor"),
    **dict.fromkeys(("shape", "size", "dims"), "array"),
}


@dataclass(frozen=True)
class Initializer:
    """A function, and how it is called.

    Attributes:
        function: The function.
        name: Its name.
        style: Whether it fills a tensor or returns an array.
        parameters: The parameters of its signature.
        layout: How its shapes are read.
        pass_layout: Whether the layout is passed to it.
    """

    function: Callable[..., Any]
    name: str
    style: Style
    parameters: dict[str, inspect.Parameter]
    layout: Layout
    pass_layout: bool = False

    @property
    def source(self) -> str | None:
        """The name of the parameter that takes the source of randomness."""
        name = _SOURCE[self.style]
        kinds = {p.kind for p in self.parameters.values()}
        if name in self.parameters or inspect.Parameter.VAR_KEYWORD in kinds:
            return name
        # As in `lambda w, g: …`.
        return next((short for short in ("g", "gen", "source") if short in self.parameters), None)

    def own(self, shape: Shape) -> Shape:
        """Return a shape `(out, in, *kernel)` as the function takes it."""
        return shape if self.layout == "out_in" else (*shape[2:], shape[1], shape[0])

    def call(self, target: Any, source: Any, **options: Any) -> Any:
        """Call it with a tensor or a shape, and with a generator or the seed of one."""
        if isinstance(source, int):
            source = self.generator(source)
        if self.source is not None:
            options[self.source] = source
        if self.pass_layout:
            options["layout"] = self.layout
        return self.function(target, **options)

    def generator(self, seed: int) -> Any:
        """Return a generator for its style."""
        if self.style == "tensor":
            return torch.Generator().manual_seed(seed)
        return np.random.default_rng(seed)

    def values(self, shape: Shape, source: Any) -> Tensor:
        """Draw once; return float64 of shape `(out, in, *kernel)`."""
        if self.style == "tensor":
            tensor = torch.full(shape, torch.nan, device="cpu")
            result = self.call(tensor, source)
            # If it returned a copy, that is a finding, and the values are still compared.
            unwritten = isinstance(result, Tensor) and bool(tensor.isnan().all())
            return (result if unwritten else tensor).detach().double()
        array = np.asarray(self.call(self.own(shape), source), np.float64)
        axes = range(array.ndim)
        order = axes if self.layout == "out_in" else (axes[-1], axes[-2], *axes[:-2])
        return torch.from_numpy(array.transpose(tuple(order)).copy())


def initializer(function: Any, like: "Initializer | None", layout: Layout | None) -> Initializer:
    """Return a function with its style, from its signature or from the right initializer's."""
    if not callable(function):
        raise TypeError(f"an initializer must be a function; got {function!r}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some functions written in C have none.
        signature = None
    parameters = dict(signature.parameters) if signature else {}
    name = name_of(function)
    style = _style(parameters, name) or (like.style if like else None)
    if style is None:
        raise TypeError(
            "an initializer must be of the form fn_(tensor, generator=None) or "
            f"fn(shape, rng=None); cannot tell which {name}{signature or '(…)'} is"
        )
    if style == "tensor":
        return Initializer(function, name, style, parameters, "out_in")
    own = parameters["layout"].default if "layout" in parameters else "in_out"
    pass_layout = layout is not None and "layout" in parameters
    return Initializer(function, name, style, parameters, layout or own, pass_layout)


def reference(like: Any, function: Any, layout: Layout | None) -> Initializer:
    """Return the right initializer, from a method's name, its record, or a function."""
    if isinstance(like, str):
        method = method_of(like)
        if method is None:
            from initguide.methods.registry import METHODS

            names = one_of(name for method in METHODS for name in method.names)
            raise ValueError(f"like must be {names}, or a function; got {like!r}")
        function = method.tensor if like == method.names[0] else method.array
        return initializer(function, None, None)
    if isinstance(like, Method):
        return initializer(like.tensor, None, None)
    try:
        # A lambda may show no style, where the function that is checked does.
        checked = initializer(function, None, None)
    except TypeError:
        checked = None
    found = initializer(like, checked, None)
    plain = found.style == "array" and "layout" not in found.parameters
    return replace(found, layout=layout or "in_out") if plain else found


def _style(parameters: dict[str, inspect.Parameter], name: str) -> Style | None:
    for style, source in _SOURCE.items():
        if source in parameters:
            return style
    found = _FIRST.get(next(iter(parameters), ""))
    return found or ("tensor" if name.endswith("_") and not name.endswith("__") else None)


def name_of(function: Any) -> str:
    """Return a function's name; for a partial one, the name of the function that it calls."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def global_states() -> tuple[Any, ...]:
    """Return the global random states of torch, NumPy and Python, to compare."""
    of_numpy = pickle.dumps(np.random.get_state())
    return torch.get_rng_state().numpy().tobytes(), of_numpy, random.getstate()
