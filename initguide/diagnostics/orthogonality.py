"""Tell whether a weight is orthogonal, and if not, why."""

import math

import torch
from torch import Tensor

from initguide.diagnostics.explain import gain_mistake


def not_orthogonal(
    values: Tensor, std: float, blocks: int, rows: int | None = None
) -> tuple[str, str]:
    """Return the kind and the message of a finding if a weight is not orthogonal, or nothing.

    Args:
        values: The weight.
        std: The right std.
        blocks: The number of its parts; each part must be orthogonal.
        rows: The number of its rows with the padding row, if that is not among `values`.
    """
    padded = rows == len(values) + 1
    tol = min(64 * torch.finfo(values.dtype).eps, 0.1)
    wide = values.float() if values.dtype.itemsize < 4 else values
    parts = wide.chunk(blocks)
    height, width = parts[0].flatten(1).shape
    right = std**2 * max(height + padded, width)
    grams = [_gram(part) for part in parts]
    if all(_is_multiple(gram, right, tol, padded) for gram in grams):
        return "", ""
    sizes = [gram.diagonal().mean().item() for gram in grams]
    rule = f"all singular values must be {math.sqrt(right):.4g}"
    if all(_is_multiple(gram, size, tol) for gram, size in zip(grams, sizes, strict=True)):
        found = math.sqrt(sizes[0])
        kind = gain_mistake(found, math.sqrt(right), 1e-3)
        return kind, f"{rule}; got {found:.4g}"
    whole = _gram(wide)
    if blocks > 1 and _is_multiple(whole, whole.diagonal().mean().item(), tol):
        message = f"each of the {blocks} blocks must be orthogonal; only the whole matrix is"
        return "not orthogonal", message
    message = f"{rule}; they differ, and their mean square is {sum(sizes) / blocks:.3g}"
    return "not orthogonal", message


def _gram(part: Tensor) -> Tensor:
    matrix = part.flatten(1)
    return matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix


def _is_multiple(gram: Tensor, size: float, tol: float, padded: bool = False) -> bool:
    """Return whether a matrix is a number times the identity, less one row's part if `padded`."""
    off = size * torch.eye(len(gram), dtype=gram.dtype, device=gram.device) - gram
    if padded:
        # A row u that is gone takes u uᵀ with it. Its largest column is proportional to u.
        most = off.diagonal().argmax()
        off = off - off[:, most].outer(off[most]) / off[most, most].clamp_min(tol * size)
    return bool(off.abs().max() <= tol * size)
