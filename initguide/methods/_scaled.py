"""The engine of the methods whose std comes from the fans: from that std to tensors and arrays."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from initguide._checks import check_real, check_tensor
from initguide._sharding import shards_alike
from initguide.fans import Fans, Layout, fans, tensor_fans
from initguide.methods.normal import draw_normal_, draw_uniform_, normal, uniform
from initguide.methods.record import Distribution, Method
from initguide.methods.truncated_normal import truncated_normal, truncated_normal_
from initguide.papers import PAPERS

StdOf = Callable[[Fans], float]
_ROOT = math.sqrt(3.0)
# Fill a tensor, or draw an array, with mean 0 and a given std.
DRAW: dict[Distribution, Callable[[Tensor, float, torch.Generator | None], Tensor]] = {
    "truncated_normal": lambda w, std, source: truncated_normal_(w, 0.0, std, generator=source),
    "normal": lambda w, std, source: draw_normal_(w, 0.0, std, source),
    "uniform": lambda w, std, source: draw_uniform_(w, -_ROOT * std, _ROOT * std, source),
}
_ARRAY: dict[Distribution, Callable[..., NDArray[np.floating]]] = {
    "truncated_normal": lambda shape, std, **how: truncated_normal(shape, 0.0, std, **how),
    "normal": lambda shape, std, **how: normal(shape, 0.0, std, **how),
    "uniform": lambda shape, std, **how: uniform(shape, -_ROOT * std, _ROOT * std, **how),
}


@shards_alike
def fill_(
    tensor: Tensor, std_of: StdOf, distribution: Distribution, generator: torch.Generator | None
) -> Tensor:
    """Fill a weight from a distribution with mean 0 and the std that its fans give."""
    check_tensor(tensor) if distribution == "normal" else check_real(tensor)
    fans = tensor_fans(tensor)
    if tensor.numel():
        return DRAW[distribution](tensor, std_of(fans), generator)
    # An empty weight has no fans to divide by, but its options are checked.
    std_of(Fans(1, 1))
    return tensor


def array(
    shape: Sequence[int],
    std_of: StdOf,
    distribution: Distribution,
    layout: Layout,
    dtype: DTypeLike,
    rng: np.random.Generator | int | None,
) -> NDArray[np.floating]:
    """Draw a weight array from a distribution with mean 0 and the std that its fans give."""
    return _ARRAY[distribution](shape, std_of(fans(shape, layout)), dtype=dtype, rng=rng)


def pair(
    title: str,
    std_of: Callable[..., float],
    functions: dict[Distribution, tuple[Callable[..., Tensor], Callable[..., NDArray]]],
    *,
    uniform: str,
    normal: str,
    paper: str,
    use: str,
    avoid: str,
    elsewhere: str,
    page: str,
) -> tuple[Method, ...]:
    """Return the records of a uniform and a normal method that share the formula of their std.

    Args:
        title: What the titles of both begin with.
        std_of: The std, from the fans and the functions' own options.
        functions: The PyTorch and the NumPy function, by distribution.
        uniform: The formula of the bound, in LaTeX, such as `b = …`.
        normal: The formula of the std, in LaTeX.
        paper: The key of the paper.
        use: What both are good for.
        avoid: Where both go wrong.
        elsewhere: What their names in Keras and JAX begin with.
        page: Their page, under `docs`.
    """
    laws = {"uniform": rf"\mathcal{{U}}(-{uniform[0]}, {uniform[0]}),\ {uniform}"}
    laws["normal"] = rf"\mathcal{{N}}(0, \sigma^2),\ {normal}"
    notes = {"uniform": "", "normal": " (both cut at ±2 std)"}

    def record(kind: Distribution) -> Method:
        tensor, array = functions[kind]
        peers = f"Keras `{elsewhere.title()}{kind.title()}`, JAX `{elsewhere}_{kind}`{notes[kind]}"
        return Method(
            title=f"{title} {kind}",
            tensor=tensor,
            array=array,
            law=laws[kind],
            paper=PAPERS[paper],
            use_when=use,
            avoid_when=avoid,
            elsewhere=peers,
            page=page,
            spread=lambda fans, **options: (kind, std_of(fans, **options)),
        )

    return record("uniform"), record("normal")
