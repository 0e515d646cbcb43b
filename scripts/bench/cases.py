"""The cases to be timed, one row each, made from the package's records where possible."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from scipy import stats
from table import Call, Case, Limit
from torch import Tensor, nn

import initguide as init

# Arguments that a function needs besides the tensor, and shapes that are not square.
OPTIONS: dict[str, dict[str, float]] = {
    "constant_": {"val": 0.5},
    "sparse_": {"sparsity": 0.9},
    "trunc_normal_": {"std": 0.02, "a": -0.04, "b": 0.04},
}
SHAPES: dict[str, Callable[[int], tuple[int, ...]]] = {"dirac_": lambda n: (n, n, 3)}
NOT_ELEMENTWISE = {"orthogonal_", "sparse_", "dirac_", "eye_"}
# The lower bound of a function's cost, by the end of its name.
LIMITS: dict[str, tuple[str, Callable[[Tensor], object]]] = {
    "uniform_": ("`uniform_`", Tensor.uniform_),
    "normal_": ("`normal_`", Tensor.normal_),
    "zeros_": ("`zero_`", Tensor.zero_),
    "ones_": ("`fill_`", partial(Tensor.fill_, value=1.0)),
    "constant_": ("`fill_`", partial(Tensor.fill_, value=0.5)),
}
ORTHOGONAL = [
    (2, 2),
    (8, 8),
    (64, 64),
    (256, 256),
    (512, 512),
    (1024, 1024),
    (2048, 2048),
    (4096, 4096),
    (16384, 512),
    (512, 16384),
    (512, 512, 3, 3),
]
FRAMEWORKS = ("keras", "jax")


def by_torch() -> Iterator[Case]:
    """Every function that torch.nn.init has too."""
    for method in init.METHODS:
        name = method.names[0]
        peer = getattr(nn.init, name, None)
        if peer is None or name == "orthogonal_":
            continue
        for size in (2, 64, 1024, *([] if name in NOT_ELEMENTWISE else [4096])):
            shape = SHAPES.get(name, lambda n: (n, n))(size)
            tensor, options = torch.empty(shape), OPTIONS.get(name, {})
            limits = [
                Limit(label, partial(fill, tensor))
                for end, (label, fill) in LIMITS.items()
                if name.endswith(end)
            ]
            ours, theirs = (partial(f, tensor, **options) for f in (method.tensor, peer))
            yield Case(f"`{name}` {_times(shape)}", ours, "torch", theirs, *limits)


def orthogonal() -> Iterator[Case]:
    """Orthogonal weights at all sizes. The limit is a matrix product with the necessary work."""
    for shape in ORTHOGONAL:
        tensor = torch.empty(shape)
        short, long = sorted((shape[0], tensor.numel() // shape[0]))
        one, other = torch.randn(long, short), torch.randn(short, short)
        yield Case(
            f"`orthogonal_` {_times(shape)}",
            partial(init.orthogonal_, tensor),
            "torch",
            partial(nn.init.orthogonal_, tensor),
            Limit("matrix products", partial(torch.mm, one, other), 1 - short / long / 3),
        )


def arrays() -> Iterator[Case]:
    """The NumPy functions against the code of tutorials, and against scipy."""
    rng = np.random.default_rng(0)
    legacy = np.random.RandomState(0)
    for count in (2**20, 2**24):
        yield Case(
            f"`normal` float32, {count // 2**20} Mi",
            partial(init.normal, (count,), std=0.02, dtype=np.float32, rng=rng),
            "`np.random.randn(n) * s`",
            lambda n=count: (legacy.randn(n) * 0.02).astype(np.float32),
            Limit("`normal_`", torch.empty(count).normal_),
        )
    yield Case(
        "`trunc_normal` float64, 64 Ki",
        partial(init.trunc_normal, (2**16,), rng=rng),
        "`scipy.stats.truncnorm`",
        partial(stats.truncnorm(-2, 2).rvs, 2**16, rng),
    )
    for size in (64, 256, 1024):
        gaussian = partial(rng.standard_normal, (size, size), np.float32)
        peers: dict[str, Call] = {
            "`np.linalg.qr`": lambda draw=gaussian: np.linalg.qr(draw()),
            "`np.linalg.svd`": lambda draw=gaussian: np.linalg.svd(draw()),
            "`scipy.stats.ortho_group`": partial(stats.ortho_group.rvs, size, 1, rng),
        }
        for name, peer in peers.items():
            ours = partial(init.orthogonal, (size, size), dtype=np.float32, rng=rng)
            yield Case(f"`orthogonal` float32, {size} × {size}", ours, name, peer)


def frameworks() -> Iterator[Case]:
    """Keras and JAX, if they are installed."""
    for framework in filter(importlib.util.find_spec, FRAMEWORKS):
        for name, call in _FRAMEWORKS[framework]():
            ours = partial(getattr(init, name), (1024, 1024), dtype=np.float32)
            yield Case(f"`{name}` float32, 1024 × 1024", ours, framework, call)


def _keras() -> Iterator[tuple[str, Call]]:
    initializers = importlib.import_module("keras").initializers
    for name, kind in {"orthogonal": "Orthogonal", "kaiming_normal": "HeNormal"}.items():
        yield name, partial(getattr(initializers, kind)(seed=0), (1024, 1024))


def _jax() -> Iterator[tuple[str, Call]]:
    jax = importlib.import_module("jax")
    initializers, key = importlib.import_module("jax.nn.initializers"), jax.random.key(0)
    for name, kind in {"orthogonal": "orthogonal", "kaiming_normal": "he_normal"}.items():
        draw = getattr(initializers, kind)()
        yield name, lambda draw=draw: draw(key, (1024, 1024)).block_until_ready()


_FRAMEWORKS = {"keras": _keras, "jax": _jax}


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
