r"""Aitken et al. (2017): with ICNR a sub-pixel convolution starts without a checkerboard.

Of the mean square of what comes out of independent kernels, the part $1 - 1/r^2$ lies inside the
blocks of the pixel shuffle. With the kernels of a block equal, none does. Training then lets the
kernels part.
"""

from collections.abc import Callable, Iterable
from functools import partial
from operator import truediv

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Rows, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.models import undrawn
from initguide.methods.constant import zeros_
from initguide.methods.icnr import icnr_
from initguide.methods.kaiming import kaiming_normal_


def wrong_order_(weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill as ICNR does at r = 2, but with whole sets of kernels one after the other: a slip."""
    once = kaiming_normal_(weight.detach()[::4].clone(), generator=generator)
    with torch.no_grad():
        return weight.copy_(once.repeat(4, 1, 1, 1))


LAWS: dict[str, Callable[..., Tensor]] = {
    "He": kaiming_normal_,
    "ICNR": partial(icnr_, upscale_factor=2),
    "wrong order": wrong_order_,
}


@recorded
def run(seeds: Iterable[int], channels: int = 16, steps: int = 100, lr: float = 0.05) -> Rows:
    """Enlarge digits by untrained convolutions, then train small networks to enlarge them.

    Args:
        seeds: One draw and one network for each seed and initialization.
        channels: The output channels of the untrained convolution.
        steps: The number of updates, by gradient descent on batches of 20.
        lr: The learning rate.

    Returns:
        Rows with `initialization`, `seed` and either `inside`, the part of an untrained output's
        mean square inside the blocks, or `step`, `checkerboard` (the rms deviation inside the
        blocks of enlarged flat images, in units of the pixels' std) and `loss` (the mean square
        error of the batch before the step).
    """
    images = digits().x_train.view(-1, 1, 8, 8)
    rows: Rows = []
    for seed in seeds:
        for name, fill_ in LAWS.items():
            run_of = {"initialization": name, "seed": seed}
            rows.append(run_of | {"inside": _inside(fill_, images[:50], channels, seed)})
            # With one output channel the wrong order is the right one.
            if name != "wrong order":
                rows += [run_of | row for row in _enlarge(fill_, images, seed, steps, lr)]
    return rows


def _inside(fill_: Callable[..., Tensor], images: Tensor, channels: int, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    weight = fill_(torch.empty(channels * 4, 1, 3, 3), generator=generator)
    larger = F.pixel_shuffle(F.conv2d(images, weight, padding=1), 2)
    return (_deviation(larger) / larger.square().mean()).item()


def _deviation(larger: Tensor) -> Tensor:
    """Return the mean variance inside the blocks of 2 by 2."""
    blocks = F.pixel_unshuffle(larger, 2).unflatten(1, (-1, 4))
    return blocks.var(2, correction=0).mean()


def _enlarge(
    fill_: Callable[..., Tensor], images: Tensor, seed: int, steps: int, lr: float
) -> Rows:
    """Train to enlarge 4 by 4 pixels to 8 by 8; return checkerboard and loss by step."""
    generator = torch.Generator().manual_seed(seed)
    first = undrawn(nn.Conv2d, 1, 8, 3, padding=1)
    last = undrawn(nn.Conv2d, 8, 4, 3, padding=1)
    kaiming_normal_(first.weight, generator=generator)
    fill_(last.weight, generator=generator)
    model = nn.Sequential(first, nn.ReLU(), last, nn.PixelShuffle(2))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            zeros_(parameter)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    small = F.avg_pool2d(images, 2)
    greys = torch.linspace(images.min().item(), images.max().item(), 5)
    flat = greys.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    rows: Rows = []
    for step in range(steps + 1):
        batch = torch.randint(len(images), (20,), generator=generator)
        with torch.enable_grad():
            loss = F.mse_loss(model(small[batch]), images[batch])
        if step % 10 == 0 or step == steps:
            with torch.no_grad():
                # Away from the border, where the padding is no part of the pattern.
                grid = _deviation(model(flat)[..., 4:-4, 4:-4]).sqrt().item()
            rows.append({"step": step, "checkerboard": grid, "loss": loss.item()})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return rows


def _start(name: str) -> Values:
    return by_seed("inside", initialization=name)


def _end(name: str) -> Values:
    return by_seed("checkerboard", 1, initialization=name)


CLAIM = Claim(
    paper="aitken2017",
    headline="With ICNR a sub-pixel convolution starts without a checkerboard.",
    setup="Digits enlarged by 2: untrained convolutions to 16 channels; networks of 2 "
    "convolutions, 100 steps of gradient descent, learning rate 0.05.",
    run=run,
    checks=(
        Check("He: part inside the blocks, untrained", _start("He"), ">", 0.6),
        Check("ICNR: part inside the blocks, untrained", _start("ICNR"), "<", 1e-9),
        Check("Copies in the wrong order: the same", _start("wrong order"), ">", 0.3),
        Check(
            "ICNR: checkerboard after 100 steps, He's being 1",
            per_seed(truediv, _end("ICNR"), _end("He")),
            "<",
            1,
        ),
        Check(
            "ICNR: checkerboard after 100 steps",
            _end("ICNR"),
            ">",
            0.01,
            for_it=False,
        ),
    ),
    page="examples/aitken-2017.py",
)
