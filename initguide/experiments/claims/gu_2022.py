r"""Gu et al. (2022): a state space model needs step sizes that match the length of its memory.

A channel has the states $h_t = e^{-\Delta k} h_{t-1} + \Delta\, u_t$ for $k = 1, 2, \dots$ So an
input is remembered for about $1/\Delta$ steps. S4 and Mamba draw $\Delta$ between 0.001 and 0.1,
uniformly on a logarithmic scale, so the channels together cover 10 to 1000 steps. With larger
$\Delta$ both the memory and the gradient of $\Delta$ vanish before the end of a long sequence. With
smaller $\Delta$ the memory is long, but each input has a small effect.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, lead
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.descent import descend
from initguide.experiments.recurrent import first_sign, task_batches
from initguide.experiments.rows import Rows, final_losses, grid
from initguide.experiments.tuning import tuned
from initguide.methods.lecun import lecun_normal_
from initguide.methods.normal import uniform_

MAMBA, LARGE, SMALL = "Δ 0.001 to 0.1", "Δ 0.1 to 10", "Δ 0.00001 to 0.001"
RANGES = {SMALL: (1e-5, 1e-3), MAMBA: (1e-3, 0.1), LARGE: (0.1, 10.0)}
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class StateSpace(nn.Module):
    """Channels with real decays, and two scores that are read after the last step."""

    order: Tensor
    ago: Tensor

    def __init__(
        self,
        bounds: tuple[float, float],
        length: int,
        channels: int,
        states: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        low, high = (math.log(bound) for bound in bounds)
        self.log_step = nn.Parameter(uniform_(torch.empty(channels), low, high, generator))
        self.enter, self.mix, self.leave = (
            nn.Parameter(lecun_normal_(torch.empty(shape), generator=generator))
            for shape in ((channels, 2), (channels, states), (2, channels))
        )
        self.register_buffer("order", torch.arange(1.0, states + 1))
        self.register_buffer("ago", torch.arange(length - 1.0, -1.0, -1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores for sequences of shape `(batch, length, 2)`."""
        step = self.log_step.exp()
        decays = torch.exp(-step[:, None, None] * self.order[:, None] * self.ago)
        kernels = ((step[:, None] * self.mix)[..., None] * decays).sum(1)
        return torch.einsum("ct,bti,ci->bc", kernels, x, self.enter) @ self.leave.T


@recorded
def run(
    seeds: Iterable[int],
    rates: Sequence[float] = RATES,
    length: int = 400,
    channels: int = 16,
    states: int = 2,
    batch: int = 16,
    steps: int = 100,
) -> Rows:
    """Train state space models to report the sign at the beginning of a sequence of noise.

    Args:
        seeds: One network per seed, range of step sizes and rate.
        rates: Adam's learning rates.
        length: The length of the sequences.
        channels: The number of channels.
        states: The number of states of each channel.
        batch: The number of sequences in each step.
        steps: The number of updates.

    Returns:
        The rows of [tuned][initguide.experiments.tuning.tuned]; `initialization` is the range. The
        loss is the mean of all steps, so it is small if a network learns early.
    """
    return tuned(partial(_sweep, rates, length, channels, states, batch, steps), seeds)


def _sweep(
    rates: Sequence[float],
    length: int,
    channels: int,
    states: int,
    batch: int,
    steps: int,
    seeds: list[int],
) -> Rows:
    runs = grid(initialization=RANGES, lr=rates, seed=seeds)
    models = [
        StateSpace(
            RANGES[run["initialization"]],
            length,
            channels,
            states,
            torch.Generator().manual_seed(run["seed"]),
        )
        for run in runs
    ]
    batches = islice(task_batches(first_sign, batch, length, seeds, len(runs) // len(seeds)), steps)
    lr = [run["lr"] for run in runs]
    losses = descend(models, batches, F.cross_entropy, lr=lr, betas=(0.9, 0.999))
    return final_losses(runs, losses, steps)


CLAIM = Claim(
    paper="gu2022",
    short="A state space model remembers if its steps Δ fit.",
    headline="A state space model learns a long memory if its step sizes Δ start near one over the "
    "length of the memory.",
    setup="The sign of the first of 400 numbers; 16 channels, 100 steps of Adam, each range of Δ "
    "at the best of six learning rates; mean loss of all steps.",
    run=run,
    checks=(
        Check("Loss, Δ 0.001 to 0.1 minus Δ 0.1 to 10", lead(MAMBA, LARGE), "<", 0),
        Check(
            "Loss, Δ 0.001 to 0.1 minus Δ 0.00001 to 0.001",
            lead(MAMBA, SMALL),
            "<",
            0,
            reproduced=False,
        ),
    ),
    page="examples/gu-2022.py",
)
