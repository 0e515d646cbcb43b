"""What every initializer must do, whatever its law: fill or return, and obey its generator."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from initguide._state import seed_global_states
from initguide.testing.adapters import (
    Initializer,
    Shape,
    global_states,
)
from initguide.testing.judgment import Fault, fault


def at(shape: Shape) -> str:
    """Return a shape as it stands in a sentence."""
    return f"at shape {shape}"


def contract(reader: Initializer, shape: Shape, seed: int) -> list[Fault]:
    """Return what one call shows; the values are worth judging if none of FATAL is among it."""
    check = _of_tensor if reader.style == "tensor" else _of_array
    try:
        return check(reader, shape, seed)
    except Exception as error:
        # Whatever a reader's function raises, here and below, is a fault to report.
        words = f"it must draw {at(reader.own(shape))}; it raised {said(error)}"
        return [fault("raises", words)]


FATAL = {"raises", "wrong return", "wrong shape", "not finite"}


def said(error: Exception) -> str:
    """Return an exception's type and words, the first line of them."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _of_tensor(reader: Initializer, shape: Shape, seed: int) -> list[Fault]:
    tensor, found = torch.full(shape, torch.nan), []
    result: Any = reader.call(tensor, seed)
    if result is None:
        found.append(fault("returns nothing", "it must return the tensor; it returns None"))
    elif not isinstance(result, Tensor):
        words = f"it must return the tensor; it returns {type(result).__name__}"
        found.append(fault("wrong return", words))
    elif result is not tensor:
        if tensor.isnan().all():
            words = "it must fill the tensor that it is given; it returns another one"
            found.append(fault("not in place", words))
            tensor = result
        elif tuple(result.shape) != shape:
            found.append(_shape(shape, result.shape))
    if tuple(tensor.shape) != shape:
        return [*found, _shape(shape, tensor.shape)]
    found += _not_finite(int(tensor.isfinite().sum()), tensor.numel(), shape)
    if not {each.kind for each in found} & (FATAL | {"not in place"}):
        found += [*_dtype_kept(reader, shape, seed), *_leaf_kept(reader, shape, seed)]
    return found


def _dtype_kept(reader: Initializer, shape: Shape, seed: int) -> list[Fault]:
    tensor = torch.full(shape, torch.nan, dtype=torch.float64)
    rule = f"a float64 tensor must be filled as one {at(shape)}"
    try:
        result = reader.call(tensor, seed)
    except Exception as error:
        return [fault("wrong dtype", f"{rule}; it raised {said(error)}")]
    for each in (tensor, result):
        if isinstance(each, Tensor) and each.dtype != torch.float64:
            return [fault("wrong dtype", f"{rule}; it became {each.dtype}")]
    return []


def _leaf_kept(reader: Initializer, shape: Shape, seed: int) -> list[Fault]:
    parameter = nn.Parameter(torch.full(shape, torch.nan))
    rule = "a Parameter must stay a leaf that requires a gradient"
    try:
        with torch.enable_grad():
            reader.call(parameter, seed)
    except Exception as error:
        return [fault("gradient broken", f"{rule}; it raised {said(error)}")]
    if not (parameter.is_leaf and parameter.requires_grad):
        state = "is no leaf" if parameter.requires_grad else "requires none"
        return [fault("gradient broken", f"{rule}; afterwards it {state}")]
    return []


def _of_array(reader: Initializer, shape: Shape, seed: int) -> list[Fault]:
    own = reader.own(shape)
    array: Any = reader.call(own, seed)
    if not isinstance(array, np.ndarray):
        words = f"it must return a NumPy array; it returns {type(array).__name__}"
        return [fault("wrong return", words)]
    if array.shape != own:
        return [_shape(own, array.shape)]
    found = []
    if not np.issubdtype(array.dtype, np.floating):
        words = f"an array of floating-point numbers must come back; its dtype is {array.dtype}"
        found.append(fault("wrong dtype", words))
    elif "dtype" in reader.parameters:
        asked = reader.call(own, seed, dtype=np.float32)
        if asked.dtype != np.float32:
            words = f"dtype=np.float32 must be obeyed; it gave {asked.dtype}"
            found.append(fault("wrong dtype", words))
    return found + _not_finite(int(np.isfinite(array).sum()), array.size, own)


def _shape(wanted: Shape, found: Any) -> Fault:
    return fault("wrong shape", f"the shape must be {wanted}; got {tuple(found)}")


def _not_finite(finite: int, size: int, shape: Shape) -> list[Fault]:
    if finite == size:
        return []
    words = f"all entries must be written, with numbers; {size - finite} of {size} are not"
    return [fault("not finite", f"{words} {at(shape)}")]


def randomness(reader: Initializer, shape: Shape, seed: int, *, random: bool) -> list[Fault]:
    """Return whether the generator decides, and it alone; `random` says whether it is to."""

    def draw(source: Any, state: int) -> tuple[Tensor, bool]:
        seed_global_states(state)
        before = global_states()
        return reader.values(shape, source), global_states() != before

    word = "generator" if reader.style == "tensor" else "rng"
    (first, moved), (other_state, _), (other_source, _) = (
        draw(seed, 1),
        draw(seed, 2),
        draw(seed + 1, 1),
    )
    by_state, by_source = (not torch.equal(first, each) for each in (other_state, other_source))
    if by_state:
        again = draw(seed, 1)[0]
        if reader.source is None:
            words = f"it must take `{word}`; it takes none, and draws from the global state"
        elif torch.equal(first, again):
            words = f"one seed of `{word}` must give the same values; the global state decides them"
        else:
            words = f"one seed of `{word}` must give the same values; each call gives others"
        return [fault("generator ignored", words)]
    found = []
    if moved:
        words = "the global random state must stay as it is; it was changed"
        found.append(fault("global state moved", words))
    if random:
        source = reader.generator(seed)
        twice = [draw(source, 1)[0] for _ in range(2)]
        if not by_source or torch.equal(*twice):
            which = "two calls with one generator" if by_source else "two seeds"
            words = f"each call must draw anew; {which} gave the same values"
            found.append(fault("same values each call", words))
    return found
