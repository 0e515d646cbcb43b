"""What every initializer must do: fill or return, and obey its generator."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from initguide._state import seed_global_states
from initguide.diagnostics.report import Finding, finding
from initguide.testing.adapters import Initializer, Shape, global_states


def at(shape: Shape) -> str:
    """Return a shape as part of a sentence."""
    return f"at shape {shape}"


def contract(reader: Initializer, shape: Shape, seed: int) -> list[Finding]:
    """Return the findings of one call; if one of FATAL is among them, no values can be compared."""
    check = _of_tensor if reader.style == "tensor" else _of_array
    try:
        return check(reader, shape, seed)
    except Exception as error:
        # Any error that the function raises, here and below, is a finding.
        message = f"it must draw {at(reader.own(shape))}; it raised {described(error)}"
        return [finding("raises", message)]


FATAL = {"raises", "wrong return", "wrong shape", "not finite"}


def described(error: Exception) -> str:
    """Return an exception's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _of_tensor(reader: Initializer, shape: Shape, seed: int) -> list[Finding]:
    tensor, found = torch.full(shape, torch.nan, device="cpu"), []
    result: Any = reader.call(tensor, seed)
    if result is None:
        found.append(finding("returns nothing", "it must return the tensor; it returns None"))
    elif not isinstance(result, Tensor):
        message = f"it must return the tensor; it returns {type(result).__name__}"
        found.append(finding("wrong return", message))
    elif result is not tensor:
        if tensor.isnan().all():
            message = "it must fill the tensor that it is given; it returns another one"
            found.append(finding("not in place", message))
            tensor = result
        elif tuple(result.shape) != shape:
            found.append(_shape(shape, result.shape))
    if tuple(tensor.shape) != shape:
        return [*found, _shape(shape, tensor.shape)]
    found += _not_finite(int(tensor.isfinite().sum()), tensor.numel(), shape)
    if not {each.kind for each in found} & (FATAL | {"not in place"}):
        found += [*_dtype_kept(reader, shape, seed), *_leaf_kept(reader, shape, seed)]
    return found


def _dtype_kept(reader: Initializer, shape: Shape, seed: int) -> list[Finding]:
    tensor = torch.full(shape, torch.nan, dtype=torch.float64, device="cpu")
    rule = f"a float64 tensor must be filled as one {at(shape)}"
    try:
        result = reader.call(tensor, seed)
    except Exception as error:
        return [finding("wrong dtype", f"{rule}; it raised {described(error)}")]
    for each in (tensor, result):
        if isinstance(each, Tensor) and each.dtype != torch.float64:
            return [finding("wrong dtype", f"{rule}; it became {each.dtype}")]
    return []


def _leaf_kept(reader: Initializer, shape: Shape, seed: int) -> list[Finding]:
    parameter = nn.Parameter(torch.full(shape, torch.nan, device="cpu"))
    rule = "a Parameter must stay a leaf that requires a gradient"
    try:
        with torch.enable_grad():
            reader.call(parameter, seed)
    except Exception as error:
        return [finding("gradient broken", f"{rule}; it raised {described(error)}")]
    if not (parameter.is_leaf and parameter.requires_grad):
        state = "is not a leaf" if parameter.requires_grad else "requires none"
        return [finding("gradient broken", f"{rule}; afterwards it {state}")]
    return []


def _of_array(reader: Initializer, shape: Shape, seed: int) -> list[Finding]:
    own = reader.own(shape)
    array: Any = reader.call(own, seed)
    if not isinstance(array, np.ndarray):
        message = f"it must return a NumPy array; it returns {type(array).__name__}"
        return [finding("wrong return", message)]
    if array.shape != own:
        return [_shape(own, array.shape)]
    found = []
    if not np.issubdtype(array.dtype, np.floating):
        message = f"an array of floating-point numbers must come back; its dtype is {array.dtype}"
        found.append(finding("wrong dtype", message))
    elif "dtype" in reader.parameters:
        asked = reader.call(own, seed, dtype=np.float32)
        if asked.dtype != np.float32:
            message = f"dtype=np.float32 must be obeyed; it gave {asked.dtype}"
            found.append(finding("wrong dtype", message))
    return found + _not_finite(int(np.isfinite(array).sum()), array.size, own)


def _shape(right: Shape, found: Any) -> Finding:
    return finding("wrong shape", f"the shape must be {right}; got {tuple(found)}")


def _not_finite(finite: int, size: int, shape: Shape) -> list[Finding]:
    if finite == size:
        return []
    message = f"all entries must be written and finite; {size - finite} of {size} are not"
    return [finding("not finite", f"{message} {at(shape)}")]


def randomness(reader: Initializer, shape: Shape, seed: int, *, random: bool) -> list[Finding]:
    """Return findings unless the values depend on the generator alone, if they are `random`."""

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
            message = f"it must take `{word}`; it takes none, and draws from the global state"
        elif torch.equal(first, again):
            message = (
                f"one seed of `{word}` must give the same values; the global state decides them"
            )
        else:
            message = f"one seed of `{word}` must give the same values; each call gives others"
        return [finding("generator ignored", message)]
    found = []
    if moved:
        message = "the global random state must stay as it is; it was changed"
        found.append(finding("global state moved", message))
    if random:
        source = reader.generator(seed)
        twice = [draw(source, 1)[0] for _ in range(2)]
        if not by_source or torch.equal(*twice):
            which = "two calls with one generator" if by_source else "two seeds"
            message = f"each call must draw new values; {which} gave the same values"
            found.append(finding("same values each call", message))
    return found
