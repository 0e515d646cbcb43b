"""Sums over large tensors in few passes: moments, shares of zeros, units that are copies."""

import math

import torch
from torch import Tensor

from initguide._torch_internals import is_functorch_wrapped_tensor

Moments = tuple[float, float, float] | Tensor


def has_numbers(tensor: Tensor) -> bool:
    """Return whether a tensor holds real or complex numbers that can be read.

    Integers are no such numbers, and those inside `torch.func.vmap` cannot be read.
    """
    is_real = tensor.is_floating_point() or tensor.is_complex()
    return is_real and not is_functorch_wrapped_tensor(tensor)


def plain(tensor: Tensor) -> Tensor:
    """Return the values of a tensor; of a sparse or nested one, those that it stores."""
    tensor = tensor.detach()
    if tensor.is_nested:
        return tensor.values() if tensor.layout == torch.jagged else torch.cat(tensor.unbind())
    if tensor.layout == torch.strided:
        return tensor
    return (tensor.coalesce() if tensor.layout == torch.sparse_coo else tensor).values()


def _real(y: Tensor) -> Tensor:
    """Return real numbers whose mean square is that of `y`."""
    if y.is_complex():
        parts = torch.view_as_real(y.resolve_conj())
        return parts.flatten(-2) * math.sqrt(2) if y.ndim else parts
    return y if y.dtype.itemsize >= 4 else y.float()


def size(y: Tensor) -> float | Tensor:
    """Return the root mean square; a tensor unless `y` is on a CPU."""
    found = norm(y)
    return found / math.sqrt(max(y.numel(), 1))


def moments(y: Tensor, axis: int | None) -> Moments:
    """Return mean, std over the batch and root mean square.

    The std is taken over the batch (the positions along `axis`) for each unit, and its square is
    averaged over the units. Without an axis it is NaN. The result is a tensor unless `y` is on a
    CPU, so that the device need not be waited for.
    """
    wide = _real(y.detach())
    if wide.device.type != "cpu":
        centred = wide.new_tensor(math.nan) if axis is None else wide.var(axis, correction=0)
        size = torch.linalg.vector_norm(wide) / math.sqrt(wide.numel())
        return torch.stack([wide.mean(), centred.mean().sqrt(), size])
    found = _from_sums(wide, axis)
    _, std, rms = found
    # Squares of huge and of tiny numbers leave the range of single precision, and a difference of
    # two nearly equal sums loses its digits.
    if not 1e-15 < rms < 1e15 or std < 1e-2 * rms:
        return _centred(wide.double(), axis)
    return found


def _from_sums(y: Tensor, axis: int | None) -> tuple[float, float, float]:
    square = torch.linalg.vector_norm(y).item() ** 2 / y.numel()
    if axis is None:
        return y.mean().item(), math.nan, math.sqrt(square)
    means = y.sum(axis) / y.shape[axis]
    variance = square - torch.linalg.vector_norm(means).item() ** 2 / means.numel()
    return means.mean().item(), math.sqrt(max(variance, 0.0)), math.sqrt(square)


def _centred(y: Tensor, axis: int | None) -> tuple[float, float, float]:
    root = math.sqrt(y.numel())
    rms = torch.linalg.vector_norm(y).item() / root
    if axis is None:
        return y.mean().item(), math.nan, rms
    means = y.mean(axis, keepdim=True)
    return means.mean().item(), torch.linalg.vector_norm(y - means).item() / root, rms


def norm(gradient: Tensor) -> float | Tensor:
    """Return the square root of the sum of squares."""
    wide = plain(gradient)
    wide = wide if wide.dtype.itemsize >= 4 else wide.float()
    found = torch.linalg.vector_norm(wide)
    if wide.device.type != "cpu":
        return found
    value = found.item()
    # The range of single precision, as in `moments`.
    safe = 1e-18 < value < 1e18 or wide.dtype == torch.float64 or wide.is_complex()
    return value if safe else torch.linalg.vector_norm(wide.double()).item()


def counts(mask: Tensor, axis: int) -> Tensor:
    """Return the sum at each position along an axis."""
    others = [i for i in range(mask.ndim) if i != axis % mask.ndim]
    return mask.sum(others) if others else mask.clone()


def equal_units(y: Tensor, batch: int, axis: int) -> Tensor:
    """Return whether all units see the same difference between two inputs, and there is one."""
    # If no signal arrives, the outputs are the biases, and there is no difference.
    y = y.detach()
    change = y.select(batch, 0) - y.select(batch, -1)
    axis = axis % y.ndim
    axis -= axis > batch
    spread = (change - change.narrow(axis, 0, 1)).abs().max()
    # Apart from rounding: the order of a sum may differ from unit to unit.
    return spread < 1e-6 * change.abs().max()


def copies(rows: Tensor) -> int:
    """Return how many rows repeat another row; rows of zeros do not count."""
    rows = rows.detach().flatten(1)
    # Equal rows have equal sums, so only rows with equal sums are compared.
    rows = torch.view_as_real(rows).flatten(1) if rows.is_complex() else rows
    sums, order = rows.sum(1, dtype=torch.float64).sort()
    near = (sums[1:] == sums[:-1]).nonzero().flatten()
    alike = rows[order[torch.cat([near, near + 1]).unique()]]
    alike = alike[(alike != 0).any(1)]
    return len(alike) - len(alike.unique(dim=0))
