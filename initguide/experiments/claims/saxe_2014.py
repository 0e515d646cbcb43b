r"""Saxe et al. (2014): from orthogonal weights a deep linear network learns at any depth.

With $W_L \cdots W_1 = W$, gradient descent at the rate $\eta / L$ moves $W$ along
$\sum_l B_l B_l^\top (\Sigma - W) A_l^\top A_l$. Here $B_l$ and $A_l$ are the products of the
layers above and below layer $l$. With orthogonal layers each term is $\Sigma - W$ for any $L$. For
a product of $L$ Gaussian matrices, the mean of the squared singular values is constant, but their
range grows exponentially with $L$. So most directions are learned too slowly, and a few too fast.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import truediv

import numpy as np
import torch
from numpy.typing import NDArray

from initguide.experiments.claims.claim import Check, Claim, Values, by_seed, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.experiments.data import digits
from initguide.experiments.rows import Rows, grid
from initguide.methods.lecun import lecun_normal
from initguide.methods.orthogonal import orthogonal

Array = NDArray[np.floating]
GAUSSIAN = "Gaussian, 1/n"
INITIALIZERS: dict[str, Callable[..., Array]] = {"Orthogonal": orthogonal, GAUSSIAN: lecun_normal}


@recorded
def run(
    seeds: Iterable[int],
    depths: Sequence[int] = (2, 4, 8, 16, 32),
    rates: Sequence[float] = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4),
    limit: int = 200,
    width: int = 32,
    spectrum_depth: int = 64,
) -> Rows:
    """Count the steps that deep linear networks need, and compute the spectrum of deep products.

    Args:
        seeds: One network per seed, initialization and depth.
        depths: The numbers of layers.
        rates: The learning rates to try, each divided by the depth. The best one counts.
        limit: The largest number of steps.
        width: The size of input and layers.
        spectrum_depth: The number of layers of the networks whose Jacobian is computed.

    Returns:
        Rows of two kinds, which have different values of `part`. With `"steps"` there is a row for
        each `depth`, with the `steps` until 95 % of the map are learned (`limit` if they are not)
        and the best `rate`. With `"spectrum"` there is a row for each activation. It has the
        `values`, the singular values of the Jacobian of the output by the input, and `spread`, the
        powers of ten from their median to the largest.
    """
    target, seeds = _target(width), list(seeds)
    steps = [
        run | result
        for name, draw in INITIALIZERS.items()
        for depth in depths
        for run, result in zip(
            grid(part=["steps"], initialization=[name], depth=[depth], seed=seeds),
            _steps(draw, depth, width, target, rates, limit, seeds),
            strict=True,
        )
    ]
    spectra = [
        run | _spectrum(draw, run["nonlinearity"], spectrum_depth, width, run["seed"])
        for name, draw in INITIALIZERS.items()
        for run in grid(
            part=["spectrum"], initialization=[name], nonlinearity=["linear", "tanh"], seed=seeds
        )
    ]
    return [*steps, *spectra]


def _target(width: int) -> Array:
    """Return the best linear map from the digits' leading directions, whitened, to the classes."""
    data = digits()
    x = data.x_train.double().numpy()
    y = np.eye(10)[data.y_train.numpy()]
    u = np.linalg.svd(x - x.mean(0), full_matrices=False)[0][:, :width]
    return (y - y.mean(0)).T @ u / np.sqrt(len(x))


def _steps(
    draw: Callable[..., Array],
    depth: int,
    width: int,
    target: Array,
    rates: Sequence[float],
    limit: int,
    seeds: Sequence[int],
) -> list[dict[str, float]]:
    """Return for each seed the number of steps and the rate that needs the fewest."""
    shapes = [(width, width)] * (depth - 1) + [(len(target), width)]
    generators = [np.random.default_rng(seed) for seed in seeds]
    drawn = [[draw(shape, layout="out_in", rng=rng) for shape in shapes] for rng in generators]
    # All seeds and rates are tried at once: the weights have the shape (seeds * rates, out, in).
    weights = [
        torch.from_numpy(np.repeat(np.stack(layer), len(rates), 0)).float()
        for layer in zip(*drawn, strict=True)
    ]
    eta = torch.tensor(rates).repeat(len(seeds)).view(-1, 1, 1) / depth
    goal = torch.from_numpy(target).float()
    runs, found = grid(seed=range(len(seeds)), rate=rates), {}
    for step in range(limit):
        below = [torch.eye(width).expand(len(runs), -1, -1)]
        for weight in weights:
            below.append(weight @ below[-1])
        error = below.pop() - goal
        losses = error.square().sum((1, 2))
        for run, learned in zip(runs, losses < 0.05 * goal.square().sum(), strict=True):
            if learned:
                found.setdefault(run["seed"], {"steps": step, "rate": run["rate"]})
        # A run that diverges ends, and so do all runs of a seed of which one has learned.
        going = [i for i, run in enumerate(runs) if losses[i] <= 1e4 and run["seed"] not in found]
        if len(going) < len(runs):
            runs = [runs[i] for i in going]
            eta, error, *rest = (each[going] for each in (eta, error, *weights, *below))
            weights, below = rest[:depth], rest[depth:]
        if not runs:
            break
        for i in reversed(range(depth)):
            gradient = error @ below[i].mT
            error = weights[i].mT @ error
            weights[i] -= eta * gradient
    return [found.get(i, {"steps": limit, "rate": np.nan}) for i in range(len(seeds))]


def _spectrum(
    draw: Callable[..., Array], nonlinearity: str, depth: int, width: int, seed: int
) -> dict[str, Array | float]:
    rng = np.random.default_rng(seed)
    # A small input, because tanh is close to the identity only near zero.
    h, jacobian = 0.1 * rng.standard_normal(width), np.eye(width)
    for _ in range(depth):
        jacobian = (weight := draw((width, width), layout="out_in", rng=rng)) @ jacobian
        h = weight @ h
        if nonlinearity == "tanh":
            h = np.tanh(h)
            jacobian = (1 - h**2)[:, None] * jacobian
    values = np.linalg.svd(jacobian, compute_uv=False)
    return {"values": values, "spread": float(np.log10(values[0] / np.median(values)))}


def _steps_at(name: str, depth: int) -> Values:
    return by_seed("steps", part="steps", initialization=name, depth=depth)


def _spread(name: str, nonlinearity: str) -> Values:
    return by_seed("spread", part="spectrum", initialization=name, nonlinearity=nonlinearity)


CLAIM = Claim(
    paper="saxe2014",
    short="From orthogonal weights the time to learn stays bounded.",
    headline="From orthogonal weights the time that a linear network needs to learn stays bounded "
    "as its depth grows (here up to 32 layers). From scaled Gaussian weights it does not.",
    setup="Linear networks of width 32 learn the digits' classes, each seed at the best of seven "
    "rates; the spread of the Jacobian of 64 layers: log₁₀ of its largest singular value divided "
    "by its median one.",
    run=run,
    checks=(
        Check("Steps to learn, orthogonal, 32 layers", _steps_at("Orthogonal", 32), "<", 70),
        Check(
            "Orthogonal: steps of 32 layers divided by those of 8",
            per_seed(truediv, _steps_at("Orthogonal", 32), _steps_at("Orthogonal", 8)),
            "<",
            2.5,
        ),
        Check("Steps, Gaussian, 4 layers", _steps_at(GAUSSIAN, 4), "<", 100),
        Check("Steps, Gaussian, 16 layers (200: not learned)", _steps_at(GAUSSIAN, 16), ">", 150),
        Check("Steps, Gaussian, 32 layers (200: not learned)", _steps_at(GAUSSIAN, 32), ">", 150),
        Check("Spread, orthogonal, linear", _spread("Orthogonal", "linear"), "<", 1e-6),
        Check("Spread, Gaussian, linear", _spread(GAUSSIAN, "linear"), ">", 6),
        Check("Spread, orthogonal, tanh", _spread("Orthogonal", "tanh"), "<", 0.2),
        Check("Spread, Gaussian, tanh", _spread(GAUSSIAN, "tanh"), ">", 6),
    ),
    page="examples/saxe-2014.py",
)
