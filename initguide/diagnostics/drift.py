"""Where a sequence of sizes leaves its level for good: from which layer, and by which factor."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Drift:
    """A sequence that shrinks or grows.

    Attributes:
        start: The index of the first size that is off.
        total: The last size over the level at the start.
        factor: The factor a layer, from `start` to where the level is constant again.
    """

    start: int
    total: float
    factor: float


def drift(levels: list[float], limit: float) -> Drift | None:
    """Return the drift of sizes relative to a level of 1, if the last is off by more than `limit`.

    The last one counts, since what recovers has not been lost.
    """
    # What single precision rounds to zero has no logarithm.
    logs = [math.log(min(max(level, 1e-45), 1e45)) for level in levels]
    if not logs or abs(logs[-1]) <= math.log(limit):
        return None
    # Shares of the way: noise at both ends of it must not decide where it begins.
    done = [log / logs[-1] for log in logs]
    start = 1 + max((i for i, share in enumerate(done) if share < 0.1), default=-1)
    end = next(i for i, share in enumerate(done) if share > 0.9 or i == len(done) - 1)
    margin = max(end - start, 0) / 8
    start, end = max(round(start - margin), 0), min(round(end + margin), len(done) - 1)
    steps = max(end - start + 1, 1)
    return Drift(start, math.exp(logs[-1]), math.exp(logs[-1] / steps))
