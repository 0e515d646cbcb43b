"""Run a forward on private copies, so that the user's model and objects do not change.

The model that runs is a private copy. A forward also reaches objects outside its model: globals,
closures, default arguments, class attributes. While the copy is in use, these names hold private
copies as well, and afterwards they hold their own objects again.
"""

import io
import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from initguide._copies import Copies
from initguide._scopes import Scope, reached_scopes
from initguide._state import random_states_kept

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
    scopes: list[Scope] = []
    try:
        scopes += reached_scopes(copies)
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
