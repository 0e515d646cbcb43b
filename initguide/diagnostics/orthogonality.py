"""Whether a weight is orthogonal, block by block."""

import math

import torch
from torch import Tensor


def unlike_orthogonal(values: Tensor, std: float, blocks: int) -> tuple[str, str]:
    """Return the kind of fault of a weight that is to be orthogonal, and words; or nothing.

    Args:
        values: The weight.
        std: What its std is to be.
        blocks: How many parts of it are orthogonal, each by itself.
    """
    tol = min(64 * torch.finfo(values.dtype).eps, 0.1)
    wide = values.float() if values.dtype.itemsize < 4 else values
    parts = wide.chunk(blocks)
    want = std**2 * max(parts[0].flatten(1).shape)
    grams = [_gram(part) for part in parts]
    if all(_is_multiple(gram, want, tol) for gram in grams):
        return "", ""
    sizes = [gram.diagonal().mean().item() for gram in grams]
    gain = f"{math.sqrt(want):.4g}"
    if all(_is_multiple(gram, size, tol) for gram, size in zip(grams, sizes, strict=True)):
        words = f"orthogonal with the gain {math.sqrt(sizes[0]):.4g}; the plan wants {gain}"
        return "gain", words
    whole = _gram(wide)
    if blocks > 1 and _is_multiple(whole, whole.diagonal().mean().item(), tol):
        words = f"orthogonal as a whole; the plan wants each of its {blocks} blocks to be"
        return "not orthogonal", words
    words = f"singular values differ, with a mean square of {sum(sizes) / blocks:.3g}"
    return "not orthogonal", f"{words}; the plan wants all of them to be {gain}"


def _gram(part: Tensor) -> Tensor:
    matrix = part.flatten(1)
    return matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix


def _is_multiple(gram: Tensor, size: float, tol: float) -> bool:
    """Return whether a matrix is a number times the identity."""
    off = gram - size * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return bool(off.abs().max() <= tol * size)
