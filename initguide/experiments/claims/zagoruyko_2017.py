r"""Zagoruyko & Komodakis (2017): plain deep networks train from the delta as from shortcuts.

A $3 \times 3$ kernel that is one at its centre, from channel $i$ to channel $i$, is the identity,
and behind a first ReLU the others change nothing: twenty layers hand on what the first one saw, and
each one's gradient reaches it whole. He's kernels keep the second moment, but turn all inputs into
the same few channels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.descent import curves, descend
from initguide.methods.identity import dirac_
from initguide.methods.kaiming import kaiming_normal_
from initguide.methods.lecun import lecun_normal_

RATES: dict[str, tuple[float, ...]] = {"He": (0.01, 0.03, 0.1), "Dirac": (0.01, 0.03)}


@recorded
def run(
    seeds: Iterable[int],
    rates: Mapping[str, Sequence[float]] = RATES,
    depth: int = 20,
    channels: int = 8,
    batch: int = 20,
    steps: int = 100,
) -> Rows:
    """Train plain convolutional networks on the digits: ReLUs, no shortcut, no normalization.

    Args:
        seeds: One network for each seed, start and rate.
        rates: The learning rates of each start.
        depth: The number of layers between the first, of stride 2, and the head.
        channels: The channels of each layer.
        batch: The number of images in each step.
        steps: The number of updates.

    Returns:
        Rows every 10 steps: `initialization`, `lr`, `seed`, `step` and `loss`, the mean since the
        row before.
    """
    data, seeds = digits(), list(seeds)
    runs = [
        {"initialization": start, "lr": lr, "seed": seed}
        for start in rates
        for lr in rates[start]
        for seed in seeds
    ]
    models = [_network(one["initialization"], depth, channels, one["seed"]) for one in runs]

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for _ in range(steps):
            draws = [torch.randint(len(data.x_train), (batch,), generator=g) for g in generators]
            index = torch.stack(draws).repeat(len(runs) // len(seeds), 1)
            yield data.x_train[index].view(*index.shape, 1, 8, 8), data.y_train[index]

    losses = descend(models, batches(), F.cross_entropy, lr=[one["lr"] for one in runs])
    return curves(runs, losses)


@torch.no_grad()
def _network(start: str, depth: int, channels: int, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    # Made without weights, so that torch's own generator draws none.
    with torch.device("meta"):
        first = nn.Conv2d(1, channels, 3, stride=2, padding=1, bias=False)
        body = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(depth)]
        head = nn.Linear(16 * channels, 10)
    for layer in (first, *body, head):
        layer.to_empty(device="cpu")
    kaiming_normal_(first.weight, nonlinearity="relu", generator=generator)
    lecun_normal_(head.weight, generator=generator)
    head.bias.zero_()
    for layer in body:
        if start == "Dirac":
            dirac_(layer.weight)
        else:
            kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    layers = [part for layer in (first, *body) for part in (layer, nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), head)


def _best(start: str) -> Callable[[Rows], list[float]]:
    """Return a function that gives each seed's last loss at the rate that suits that seed best."""
    values = [by_seed("loss", 20, initialization=start, lr=lr) for lr in RATES[start]]
    return lambda rows: [min(losses) for losses in zip(*(v(rows) for v in values), strict=True)]


def _lead(rows: Rows) -> list[float]:
    dirac = by_seed("loss", 20, initialization="Dirac", lr=0.01)
    return [a - b for a, b in zip(_best("He")(rows), dirac(rows), strict=True)]


CLAIM = Claim(
    paper="zagoruyko2017",
    headline="Very deep networks without shortcuts train if their kernels start from the delta.",
    setup="Digits, 20 plain ReLU convolutions of 8 channels, 100 steps, a few rates each.",
    run=run,
    checks=(
        Check(
            "Dirac, rate 0.01: loss",
            by_seed("loss", 20, initialization="Dirac", lr=0.01),
            "<",
            0.9,
        ),
        Check("He, the best rate for each seed: loss", _best("He"), ">", 1.2),
        Check("He at its best less Dirac at 0.01", _lead, ">", 0.6),
    ),
    page="examples/zagoruyko-2017.py",
)
