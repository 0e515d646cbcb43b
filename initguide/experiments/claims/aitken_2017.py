r"""Aitken et al. (2017): with ICNR a sub-pixel convolution starts without a checkerboard.

The pixel shuffle turns the outputs of $r^2$ kernels into blocks of $r \times r$ pixels. If the
kernels are independent, the variance inside the blocks is the share $1 - 1/r^2$ of the mean square
of the pixels. If the kernels of a block are equal, that variance is zero. Training then makes the
kernels different.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from operator import truediv

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.descent import descend
from initguide.experiments.models import uninitialized
from initguide.experiments.rows import Rows, grid
from initguide.experiments.tuning import averaged
from initguide.methods.constant import zeros_
from initguide.methods.icnr import icnr_
from initguide.methods.kaiming import kaiming_normal_


def wrong_order_(weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill as ICNR with r = 2, but with the copies of the kernels in the wrong order."""
    once = kaiming_normal_(weight.detach()[::4].clone(), generator=generator)
    with torch.no_grad():
        return weight.copy_(once.repeat(4, 1, 1, 1))


INITIALIZERS: dict[str, Callable[..., Tensor]] = {
    "He": kaiming_normal_,
    "ICNR": partial(icnr_, upscale_factor=2),
    "wrong order": wrong_order_,
}


@recorded
def run(
    seeds: Iterable[int],
    channels: int = 16,
    steps: int = 100,
    lr: float = 0.05,
    networks: int = 3,
) -> Rows:
    """Enlarge digits by untrained convolutions, then train small networks to enlarge them.

    Args:
        seeds: One draw and one curve for each seed and initialization.
        channels: The output channels of the untrained convolution.
        steps: The number of updates, by gradient descent on batches of 20.
        lr: The learning rate.
        networks: The number of trained networks per seed; a curve is their mean.

    Returns:
        Rows of two kinds, each with `initialization` and `seed`. The first kind has `inside`: the
        variance inside the blocks of an untrained output, as a share of its mean square. The second
        kind has `step`, `checkerboard` (the rms deviation inside the blocks of enlarged flat
        images, in units of the pixels' std) and `loss` (the mean square error of the batch before
        the step).
    """
    images, seeds = digits().x_train.view(-1, 1, 8, 8), list(seeds)
    drawn = [
        one | {"inside": _inside(one["initialization"], images[:50], channels, one["seed"])}
        for one in grid(seed=seeds, initialization=INITIALIZERS)
    ]
    trained = averaged(partial(_trained, images, steps, lr), networks, ("checkerboard", "loss"))
    return drawn + trained(seeds)


def _inside(name: str, images: Tensor, channels: int, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    weight = INITIALIZERS[name](torch.empty(channels * 4, 1, 3, 3), generator=generator)
    larger = F.pixel_shuffle(F.conv2d(images, weight, padding=1), 2)
    return (_deviation(larger) / larger.square().mean()).item()


def _deviation(larger: Tensor) -> Tensor:
    """Return the mean variance inside the blocks of 2 by 2."""
    blocks = F.pixel_unshuffle(larger, 2).unflatten(1, (-1, 4))
    return blocks.var(2, correction=0).mean()


def _trained(images: Tensor, steps: int, lr: float, seeds: list[int]) -> Rows:
    """Train to enlarge 4 by 4 pixels to 8 by 8, and return checkerboard and loss by step."""
    # The trained networks have one output channel, so both orders of ICNR are the same.
    runs = grid(seed=seeds, initialization=("He", "ICNR"))
    generators = [torch.Generator().manual_seed(run["seed"]) for run in runs]
    models = [
        _network(INITIALIZERS[run["initialization"]], generator)
        for run, generator in zip(runs, generators, strict=True)
    ]
    small = F.avg_pool2d(images, 2)
    greys = torch.linspace(images.min().item(), images.max().item(), 5)
    flat = greys.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            draws = [torch.randint(len(images), (20,), generator=g) for g in generators]
            index = torch.stack(draws)
            yield small[index], images[index]

    rows, drawn = [], batches()
    for step in range(0, steps + 1, 10):
        with torch.no_grad():
            # Without the border, where the padding changes the pattern.
            inner = [model(flat)[..., 4:-4, 4:-4] for model in models]
        some = islice(drawn, min(10, steps + 1 - step))
        losses = descend(models, some, F.mse_loss, lr=[lr] * len(models))[0]
        rows += [
            run | {"step": step, "checkerboard": _deviation(one).sqrt().item(), "loss": loss}
            for run, one, loss in zip(runs, inner, losses.tolist(), strict=True)
        ]
    return rows


def _network(fill_: Callable[..., Tensor], generator: torch.Generator) -> nn.Sequential:
    first = uninitialized(nn.Conv2d, 1, 8, 3, padding=1)
    last = uninitialized(nn.Conv2d, 8, 4, 3, padding=1)
    kaiming_normal_(first.weight, generator=generator)
    fill_(last.weight, generator=generator)
    for layer in (first, last):
        assert layer.bias is not None
        zeros_(layer.bias)
    return nn.Sequential(first, nn.ReLU(), last, nn.PixelShuffle(2))


def _start(name: str) -> Values:
    return by_seed("inside", initialization=name)


def _end(name: str) -> Values:
    return by_seed("checkerboard", 1, initialization=name)


CLAIM = Claim(
    paper="aitken2017",
    short="With ICNR the start has no checkerboard.",
    headline="With ICNR a sub-pixel convolution starts without a checkerboard (training brings "
    "some of it back).",
    setup="Digits enlarged by 2: untrained convolutions to 16 channels; networks of 2 "
    "convolutions, 3 per seed, 100 steps of gradient descent, learning rate 0.05.",
    run=run,
    checks=(
        Check("Share of variance in the blocks, ICNR, untrained", _start("ICNR"), "<", 1e-9),
        Check("Share of variance in the blocks, He, untrained", _start("He"), ">", 0.6),
        Check("The same, copies in the wrong order", _start("wrong order"), ">", 0.3),
        Check(
            "Checkerboard after 100 steps, ICNR divided by He",
            per_seed(truediv, _end("ICNR"), _end("He")),
            "<",
            1,
        ),
        Check("Checkerboard after 100 steps, ICNR, in stds", _end("ICNR"), ">", 0.01),
    ),
    page="examples/aitken-2017.py",
)
