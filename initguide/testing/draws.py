"""Draw from an initializer until there are enough values, each time with another seed."""

import math
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from initguide.model.distributions import critical_value
from initguide.testing.adapters import Initializer, Shape

# The chance of any false alarm in one call. Each of its tests gets an equal share.
FALSE_ALARM = 1e-6
TESTS = 32
P = FALSE_ALARM / TESTS
LIMIT = critical_value(P)

# This many numbers at each shape show a std that is off by 2 %.
VALUES = 48_000


@dataclass(frozen=True)
class Draws:
    """The values of an initializer at one shape: float64 of shape `(out, in, *kernel)`."""

    shape: Shape
    own: Shape
    draws: list[Tensor]

    @property
    def flat(self) -> Tensor:
        """All entries."""
        return torch.cat([draw.flatten() for draw in self.draws])


@dataclass(frozen=True)
class Source:
    """An initializer, and the seeds of its next draws."""

    initializer: Initializer
    seeds: "count[int]"

    def draw(self, shape: Shape, values: int = VALUES, least: int = 4) -> Draws:
        """Draw until there are enough values, each time with a new generator."""
        times = min(max(math.ceil(values / math.prod(shape)), least), 400)
        draws = [self.initializer.values(shape, next(self.seeds)) for _ in range(times)]
        return Draws(shape, self.initializer.own(shape), draws)
