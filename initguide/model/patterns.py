"""Patterns that no random draw of independent values leaves: zeros, constants, identities, orders.

Only a part of a large tensor is looked at. A part is copied to the CPU once.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initguide._sharding import is_sharded

Part = NDArray[np.float64]
NEAR_IDENTITY, SMOOTH, MANY_ZEROS = "near the identity", "smooth values", "many zeros"
# The largest part that is looked at: so many rows and columns of a matrix, or values of a vector.
SIDE, _LENGTH = 16, 4096
# A random vector of so many values is in order with a probability of 2 / 12! = 4e-9.
_ORDERED = 12
# Fewer values than this show no statistics.
FEW = 16


def can_be_read(tensor: Tensor) -> bool:
    """Return whether this process can look at the values, which must be real numbers."""
    held = not (tensor.is_meta or is_sharded(tensor)) and tensor.layout == torch.strided
    return held and tensor.is_floating_point() and tensor.itemsize > 1 and tensor.numel() > 0


def part_of(tensor: Tensor, padding_row: int | None = None) -> Part:
    """Return the first rows and columns of a tensor in double precision, without a padding row."""
    values = tensor.detach()
    if values.ndim < 2:
        return values.reshape(-1)[:_LENGTH].to("cpu", torch.float64).numpy()
    rows = values[: SIDE + 1].flatten(1)[:, :SIDE].to("cpu", torch.float64).numpy()
    if padding_row is not None and padding_row % len(values) < len(rows):
        rows = np.delete(rows, padding_row % len(values), axis=0)
    return rows[:SIDE]


def pattern(tensor: Tensor, part: Part) -> str:
    """Return in words the pattern that a tensor shows, or nothing for a random draw.

    Args:
        tensor: The tensor.
        part: The part to look at, from `part_of`.
    """
    flat = part.ravel()
    if not len(flat):
        return ""
    digits = -math.log10(torch.finfo(tensor.dtype).eps)
    first = flat[0].item()
    if (flat == first).all():
        # Rounding makes a few random values equal.
        if first and (len(flat) - 1) * digits < 6:
            return ""
        return _of_equal(tensor, first)
    if len(flat) < _ORDERED:
        return ""
    if _is_near_identity(part):
        return NEAR_IDENTITY
    if 4 * np.count_nonzero(flat) < 3 * len(flat):
        return MANY_ZEROS
    if len(np.unique(flat)) < _least_different(len(flat), digits):
        return "few different values"
    if _is_ordered(part):
        return "values in order"
    return SMOOTH if _is_smooth(part) else ""


def is_orthogonal(tensor: Tensor) -> bool:
    """Return whether a square matrix, or a convolution of kernel 1, has orthonormal rows."""
    matrix = tensor.detach().flatten(1)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        return False
    # So few rows tell: those of a random draw are far from orthonormal.
    rows = matrix[:SIDE].to("cpu", torch.float64)
    off = (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device="cpu")).abs().max()
    return off.item() < min(32 * torch.finfo(tensor.dtype).eps, 0.02)


def looks_unwritten(part: Part, dtype: torch.dtype) -> bool:
    """Return whether values are those of memory that nothing was written to."""
    sizes = np.abs(part)
    most = sizes.max(initial=0.0)
    # A number that is not one is not below any bound.
    return not most < 1e8 or bool(((sizes > 0) & (sizes < torch.finfo(dtype).tiny)).any())


def _of_equal(tensor: Tensor, value: float) -> str:
    """Return the pattern of a tensor whose first values are equal."""
    equal = tensor.detach() == value
    if equal.all():
        return f"all {value:.4g}" if value else "all zero"
    return "few different values" if 4 * int(equal.sum()) > tensor.numel() else ""


def _least_different(count: int, digits: float) -> float:
    """Return how many different values a random draw has at least."""
    # Half precision has so few numbers that many values of a draw are equal.
    return 0.6 * count if digits > 6 else min(0.125 * count, 64)


def _is_ordered(part: Part) -> bool:
    """Return whether the values rise or fall from first to last, in each row or each column."""
    for axis in range(part.ndim):
        if part.shape[axis] >= _ORDERED:
            rises = np.diff(part, axis=axis) >= 0
            if (rises.all(axis) | ~rises.any(axis)).all():
                return True
    return False


def _is_smooth(part: Part) -> bool:
    """Return whether neighbors are alike: their correlation is above one half."""
    centred = part - part.mean()
    square = np.square(centred).mean()
    for lines in (centred, centred.T)[: part.ndim]:
        if part.size > 4 * FEW and len(lines) > 1:
            near = (lines[1:] * lines[:-1]).mean() / square
            # Of so few values, chance makes a larger correlation.
            if near > 0.5 + 3 / math.sqrt(part.size):
                return True
    return False


def _is_near_identity(part: Part) -> bool:
    """Return whether the diagonal stands out by far more than chance explains."""
    if part.ndim < 2 or min(part.shape) < FEW:
        return False
    diagonal = part.diagonal()
    return abs(diagonal.mean()) * math.sqrt(len(diagonal)) > 8 * part.std()
