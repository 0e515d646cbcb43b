r"""Sitzmann et al. (2020): a network of sines needs weights that match the factor in the sine.

The layers are $h \mapsto \sin(\omega W h)$ with $\omega = 30$. The sine of an argument with a large
range has $\mathbb{E}[h^2] = \tfrac12$. So $w \sim \mathcal{U}(\pm\sqrt{6 / n} / \omega)$ gives the
argument the variance $\omega^2 \cdot n \cdot \tfrac{6}{3 n \omega^2} \cdot \tfrac12 = 1$ in each
layer. The first layer, whose inputs are coordinates, has $\mathcal{U}(\pm 1/n)$. With PyTorch's
$\mathcal{U}(\pm 1/\sqrt n)$ the argument has the std $\omega / \sqrt 6 \approx 12$, which is many
periods of the sine.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.descent import gradient_step
from initguide.experiments.models import Initializer, pytorch_default, seeded_mlp
from initguide.experiments.rows import Rows
from initguide.methods.constant import zeros_
from initguide.methods.normal import uniform_

OMEGA = 30.0


@torch.no_grad()
def siren(model: nn.Module, generator: torch.Generator | None = None) -> None:
    """Initialize every Linear as in the paper, with zero biases."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    for index, layer in enumerate(layers):
        fan_in = layer.in_features
        bound = math.sqrt(6 / fan_in) / OMEGA if index else 1 / fan_in
        uniform_(layer.weight, -bound, bound, generator)
        zeros_(layer.bias)


STARTS: dict[str, Initializer] = {"SIREN": siren, "PyTorch default": pytorch_default}


def picture(size: int = 64) -> Tensor:
    """Return an image of waves, squares and a disc, shape `(size, size)`, values from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    waves = np.sin(12 * x + 5 * y) * np.exp(-2 * (x**2 + y**2))
    squares = np.sign(np.sin(9 * x) * np.sin(9 * y)) * (x > 0)
    disc = (x + 0.4) ** 2 + (y - 0.3) ** 2 < 0.1
    return torch.from_numpy((0.5 * waves + 0.5 * squares + 0.4 * disc).astype(np.float32))


@recorded
def run(
    seeds: Iterable[int],
    size: int = 64,
    width: int = 64,
    hidden: int = 3,
    lr: float = 1e-4,
    steps: int = 140,
) -> Rows:
    """Fit networks of sines to half of the pixels of an image, and predict the other half.

    Args:
        seeds: One network per seed and initialization. All are fitted to the same half.
        size: The image's height and width.
        width: The number of units of each hidden layer.
        hidden: The number of hidden layers.
        lr: The learning rate of Adam.
        steps: The number of updates, each on all pixels of the half.

    Returns:
        Rows with `initialization`, `seed`, `step` and the peak signal-to-noise ratio in dB: `train`
        of the fitted pixels and `held out` of the other pixels. The row of step 0 also has
        `argument`, the std of the argument of the last hidden sine. The last row also has `image`.
    """
    axis = torch.linspace(-1, 1, size)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    values = picture(size).view(-1, 1)
    halves = torch.randperm(size**2, generator=torch.Generator().manual_seed(999)).chunk(2)
    return [
        {"initialization": name, "seed": seed} | row
        for name, initialize_ in STARTS.items()
        for seed in seeds
        for row in _fit(
            seeded_mlp(initialize_, (2, *[width] * hidden, 1), _sine, seed=seed),
            points,
            values,
            halves,
            lr,
            steps,
            size,
        )
    ]


def _sine(z: Tensor) -> Tensor:
    return torch.sin(OMEGA * z)


def _fit(
    model: nn.Sequential,
    points: Tensor,
    values: Tensor,
    halves: tuple[Tensor, ...],
    lr: float,
    steps: int,
    size: int,
) -> Rows:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    rows: Rows = []
    for step in range(steps + 1):
        if step % 20 == 0 or step == steps:
            with torch.no_grad():
                image = model(points)
                # The values have a range of 2, from -1 to 1.
                errors = ((image - values) / 2).square()
                train, held_out = (-10 * errors[half].mean().log10().item() for half in halves)
                row: dict[str, Any] = {"step": step, "train": train, "held out": held_out}
                if step == 0:
                    row["argument"] = (OMEGA * model[:-2](points)).std().item()
                if step == steps:
                    row["image"] = image.view(size, size).tolist()
                rows.append(row)
        gradient_step(optimizer, lambda: F.mse_loss(model(points[halves[0]]), values[halves[0]]))
    return rows


def _last(name: str, key: str) -> Values:
    """Return a function that gives each seed's value in the last row with this key."""
    return by_seed(key, 1, initialization=name)


def _given(name: str) -> Values:
    """Return a function that gives each seed's mean ratio of the given pixels in the last 3 rows.

    Near a perfect fit the error can jump up for a few steps. The mean depends less on such a jump.
    """
    return by_seed("train", 60, initialization=name)


_DEFAULT = "PyTorch default"

CLAIM = Claim(
    paper="sitzmann2020",
    short="Networks of sines represent images from SIREN's start.",
    headline="Networks of sines represent images, if their weights take account of the factor "
    "inside the sine.",
    setup="Half of the pixels of a 64 by 64 image; 3 hidden layers of 64 sines, 140 steps of Adam, "
    "learning rate 0.0001.",
    run=run,
    checks=(
        Check("dB of held-out pixels, SIREN", _last("SIREN", "held out"), ">", 23),
        Check("dB of held-out pixels, PyTorch's default", _last(_DEFAULT, "held out"), "<", 13),
        Check("Std of the last argument, SIREN", _last("SIREN", "argument"), "<", 1.3),
        Check("Std of the last argument, PyTorch", _last(_DEFAULT, "argument"), ">", 8),
        Check("dB of given pixels, SIREN", _given("SIREN"), "<", 45, supports=False),
        Check(
            "dB of given pixels, PyTorch's default",
            _given(_DEFAULT),
            ">",
            55,
            supports=False,
        ),
    ),
    page="examples/sitzmann-2020.py",
)
