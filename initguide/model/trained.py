r"""Recognize trained weights: directions that stand out, as in no matrix of independent values.

Training adds a few strong directions to a random matrix, so its largest singular value leaves the
bulk of the others. The bulk needs no formula here: random signs on the entries destroy the
directions and keep the size of each entry. The largest singular value of independent values around
a common mean stays the same under random signs, up to the scale of Tracy and Widom,

$$\tau = \frac{\sigma}{2} \left(\frac{1}{\sqrt m} + \frac{1}{\sqrt n}\right)^{1/3}$$

That of an orthogonal matrix gets larger by random signs, and never looks trained.
"""

import math

import torch
from torch import Tensor

from initguide.model.patterns import can_be_read, part_of, pattern

# The largest part of a weight that is looked at, the smallest one, and the number of weights.
_SIDE, _LEAST, _WEIGHTS = 128, 16, 12
_FLIPS = 3
# A random matrix is beyond this many scales with a probability of about 1e-9.
_LIMIT = 10.0


def trained_among(weights: dict[str, Tensor]) -> tuple[list[str], int]:
    """Return which weights look trained, by name, and how many were looked at: at most 12.

    A weight with a pattern, such as an identity or a table of waves, was not trained.
    """
    large = [n for n, w in weights.items() if can_be_read(w) and min(w.flatten(1).shape) >= _LEAST]
    looked_at = large[:: max(1, -(-len(large) // _WEIGHTS))]
    found = [name for name in looked_at if _excess(weights[name]) > _LIMIT]
    return [n for n in found if not pattern(weights[n], part_of(weights[n]))], len(looked_at)


def _excess(weight: Tensor) -> float:
    """Return by how many scales the largest singular value exceeds that with random signs."""
    part = weight.detach()[:_SIDE].flatten(1)[:, :_SIDE].to("cpu", torch.float32)
    part = part - part.mean()
    rows, columns = part.shape
    sigma = part.square().mean().sqrt().item()
    if not (math.isfinite(sigma) and sigma > 0):
        return 0.0
    source = torch.Generator().manual_seed(0)
    bits = torch.randint(2, (_FLIPS, rows, columns), generator=source, device="cpu")
    batch = torch.cat([part[None], part * (2.0 * bits - 1)]) / sigma
    largest = torch.linalg.eigvalsh(batch @ batch.mT)[:, -1].sqrt()
    scale = (rows**-0.5 + columns**-0.5) ** (1 / 3) / 2
    return (largest[0] - largest[1:].max()).item() / scale
