r"""LSUV: scale each layer's weights until its output has unit variance on a batch of data.

Formulas for gains assume normal pre-activations and independent weights; data need not obey. LSUV
measures instead. Start orthonormal, send a batch through, and divide each layer's weights by the
standard deviation of its output before the activation (Mishkin and Matas, 2016):

$$W \leftarrow W / \sqrt{\operatorname{Var}(W x + b)}$$

The paper runs the whole network forward again after each division. That is not needed: scaling the
weights scales the output, so the output can be scaled as well, in flight, and the next layer
already sees it. One forward pass does all layers, in the order in which they run.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import nn

from initguide._checks import check_memory, check_model, check_number, one_of
from initguide._sharding import is_sharded
from initguide._state import naming_the_layer, side_effects_undone, unchanged_on_error
from initguide._tree import given
from initguide.lsuv.distributed import (
    Processes,
    check_alike,
    failing_together,
    from_first,
    processes_of,
    resharded,
    total,
)
from initguide.lsuv.next_activation import followers
from initguide.lsuv.rescale import Pass, owner, rescaling, row

MeasureAt = Literal["pre", "post"]


@dataclass(frozen=True)
class LsuvReport:
    """What [lsuv_][initguide.lsuv_] did; printing it gives a table.

    Attributes:
        rows: One for each layer, in the order of the forward pass: `layer`, `std_before` (of its
            output, or behind its activation), `scale` (what its weights were multiplied by),
            `std_after`, and a `note`: with `measure_at="post"`, where the std was measured. A layer
            that the batch did not reach, that is frozen, or whose weight belongs to another, comes
            with None for numbers, and its note says so.
    """

    rows: list[dict[str, Any]]

    def __str__(self) -> str:
        """Return the rows as a table."""
        width = max(len(each["layer"]) for each in self.rows)
        lines = [f"{'layer':{width}}  {'std before':>10}  {'scale':>10}  {'std after':>10}"]
        for each in self.rows:
            numbers = (each["std_before"], each["scale"], each["std_after"])
            cells = [f"{'–' if n is None else f'{n:.4g}':>10}" for n in numbers]
            lines.append("  ".join([f"{each['layer']:{width}}", *cells, each["note"]]).rstrip())
        return "\n".join(lines)


@torch.no_grad()
def lsuv_(
    model: nn.Module,
    *inputs: Any,
    tol: float = 1e-3,
    orthonormal: bool = True,
    generator: torch.Generator | None = None,
    measure_at: MeasureAt = "pre",
    **named: Any,
) -> LsuvReport:
    r"""Give every layer's output unit variance on a batch, in a single forward pass.

    $$W \leftarrow a W, \qquad \operatorname{Var}(a W x + b) = 1$$

    This is the method of the paper: orthonormal weights first, then a scale for each layer, found
    from the variance of its output **before** the activation, over all units and inputs. Nothing is
    shifted. (Others subtract the mean by the bias.) Biases stay as they are and are counted in; the
    model runs in the mode that it is in.

    With `measure_at="post"`, as others do, the std is that behind the activation $f$ which follows
    the layer, $\operatorname{Var} f(a W x + b) = 1$. Where none follows, where it is not known, or
    where something stands before it that mixes or rescales the signal (a norm undoes any scale; a
    sum adds another signal), the layer is measured before, and its note says why.

    Linear layers and convolutions are scaled, and the output projection of
    `nn.MultiheadAttention`. A module that is called several times is scaled at its first call, a
    weight that several layers share in the first of them. One that is frozen, or that something
    else holds as well, such as an embedding tied to the head, is left alone. Call it before the
    model is compiled.

    A model in `DistributedDataParallel` or under FSDP2's `fully_shard` is called in every process,
    each with its part of the batch and a generator in the same state. Variances are then those of
    the whole batch, and the weights those that one process would get from it. (BatchNorm and
    dropout still see a part each.) A plain model is its process's own.

    Args:
        model: Any module; its parameters change in place.
        *inputs: What the model is called with: a batch of data as it is trained on.
        tol: How far a layer's std may be from 1 afterwards.
        orthonormal: Whether to draw orthonormal weights first; if not, those present are scaled.
        generator: The source of randomness for them; torch's global one where None (of several
            processes, that of the first).
        measure_at: `"pre"` for the std before the activation, `"post"` for that behind it.
        **named: What the model is called with by name: `lsuv_(model, **batch)`.

    Returns:
        An [LsuvReport][initguide.lsuv.LsuvReport].

    Raises:
        TypeError: `model` is not a module, or `generator` not a generator.
        ValueError: `measure_at` is unknown, an input is NaN, a parameter is lazy or meta, no layer
            can be scaled, or a layer's output is constant or not finite, cannot be brought to unit
            variance beside its bias or behind its activation (tanh stays below 1), or its weight
            cannot be set (spectral norm, or tensor parallelism). The error names the layer. Or
            the processes' generators differ.
        RuntimeError: The model failed in another process.

    On any error the model, its buffers and the random state are as they were before. Buffers (the
    running statistics of BatchNorm) stay as they were in any case, and dropout uses up no
    randomness. An error that the model raises itself comes with a note that names the layer.

    Source:
        D. Mishkin, J. Matas (2016), *All You Need Is a Good Init*.

    Examples:
        ```python
        import torch
        from torch import nn

        import initguide as init

        generator = torch.Generator().manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 100), nn.Tanh(), nn.Linear(100, 10))
        x = 30 * torch.randn(500, 64, generator=generator)
        report = init.lsuv_(model, x, generator=generator)
        print([f"{row['layer']}: {row['std_after']:.3f}" for row in report.rows])
        #> ['0: 1.000', '2: 1.000']
        print(f"{model(x).std():.2f}")
        #> 1.00
        ```
    """
    check_model(model)
    wrapped = isinstance(model, nn.parallel.DistributedDataParallel)
    plain = model.module if wrapped else model
    with resharded(plain):
        processes = processes_of(model)
        with failing_together(processes):
            _check(plain, inputs, named, tol, generator, measure_at)
            held = {name: module for name, module in plain.named_modules() if owner(module)}
            layers = {name or "model": module for name, module in held.items()}
            for name, module in layers.items():
                _check_layer(name, owner(module))
            found = followers(plain, list(held)) if measure_at == "post" else {}
            behind = {name or "model": follower for name, follower in found.items()}
            with unchanged_on_error(plain, generator):
                source = _source(generator, processes) if orthonormal else None
                what = Pass(tol, partial(total, processes), source, behind)
                scaling = rescaling(plain, layers, what)
                with scaling, side_effects_undone(plain), naming_the_layer(plain):
                    model(*inputs, **named)
                rows = _finished(what.rows, layers)
    return LsuvReport(rows)


def _source(generator: torch.Generator | None, processes: Processes) -> torch.Generator:
    """Return the generator to draw from, which gives the same in every process."""
    if generator is None or generator is torch.default_generator:
        # One draw from the global state seeds a stream of our own: dropout uses none of it.
        seed = from_first(processes, int(torch.randint(2**62, ()).item()))
        return torch.Generator().manual_seed(seed)
    if processes.groups:
        check_alike(processes, generator)
    return generator


def _finished(rows: list[dict[str, Any]], layers: dict[str, nn.Module]) -> list[dict[str, Any]]:
    """Return the rows, those of layers that the batch did not reach at the end."""
    met = {each["layer"] for each in rows}
    rows += [row(name, note="not reached") for name in layers if name not in met]
    if not any(each["scale"] for each in rows):
        notes = {each["layer"]: each["note"] for each in rows}
        raise ValueError(
            f"the batch must reach Linear or convolution layers to scale; got {notes or 'none'}"
        )
    return rows


def _check(
    model: nn.Module,
    inputs: tuple[Any, ...],
    named: dict[str, Any],
    tol: float,
    generator: torch.Generator | None,
    measure_at: str,
) -> None:
    if measure_at not in get_args(MeasureAt):
        rule = one_of(get_args(MeasureAt))
        raise ValueError(f"measure_at must be {rule}; got {measure_at!r}")
    check_number("tol", tol)
    if tol < 0:
        raise ValueError(f"tol must be at least 0; got {tol}")
    if not isinstance(generator, torch.Generator | None):
        raise TypeError(f"generator must be a torch.Generator; got {generator!r}")
    for index, tensor in given(inputs, named):
        # A mask may hold minus infinity.
        if not tensor.is_meta and tensor.isnan().any():
            count = int(tensor.isnan().sum())
            raise ValueError(f"inputs must hold no NaN; got {count} in input {index}")
    check_memory(model)


def _check_layer(name: str, target: Any) -> None:
    for part in ("weight", "bias"):
        # To read a parametrized weight may change it: spectral norm improves its estimate.
        if part == "weight" and nn.utils.parametrize.is_parametrized(target, part):
            continue
        tensor = getattr(target, part, None)
        if not isinstance(tensor, nn.Parameter) and not (part == "bias" and tensor is None):
            raise ValueError(
                f"layer {name!r} must hold its {part} as a parameter; got {type(tensor).__name__}"
            )
    if nn.utils.parametrize.is_parametrized(target) and any(map(is_sharded, target.parameters())):
        kinds = [type(p).__name__ for each in target.parametrizations.values() for p in each]
        raise ValueError(f"layer {name!r} must not be parametrized in a sharded model; got {kinds}")
    for part, tensor in target.named_parameters():
        if not tensor.is_floating_point():
            raise ValueError(f"layer {name!r} must have a real {part}; got {tensor.dtype}")
