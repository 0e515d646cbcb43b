r"""LSUV: scale each layer's weights until its output has unit variance on a batch of data.

Formulas for gains assume normal pre-activations and independent weights, and real data may differ.
LSUV measures instead. Start with orthonormal weights, send a batch through, and divide each layer's
weights by the standard deviation of its output before the activation (Mishkin and Matas, 2016):

$$W \leftarrow W / \sqrt{\operatorname{Var}(W x + b)}$$

The paper runs the whole network again after each division. One forward pass is enough: a factor of
the weights is a factor of the output, so the output is scaled during the pass, and the next layer
already receives it. Layers are scaled in the order in which they run.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import nn

from initguide._checks import check_memory, check_model, check_number, one_of
from initguide._state import naming_the_layer, unchanged_on_error
from initguide._torch_internals import run_eagerly, unwrapped
from initguide._tree import argument_tensors
from initguide._undoing import side_effects_undone
from initguide.lsuv.distributed import (
    Processes,
    check_same_state,
    failing_together,
    from_first,
    processes_of,
    resharded,
    total,
)
from initguide.lsuv.layers import check_layer, weight_owner
from initguide.lsuv.next_activation import next_activations
from initguide.lsuv.scaling import Calibration, row, scaling_layers

MeasureAt = Literal["pre", "post"]
"""Where the output is measured: before the activation or after it."""


@dataclass(frozen=True)
class LsuvReport:
    """What [lsuv_][initguide.lsuv_] did; printing it gives a table.

    Attributes:
        rows: One dict for each layer, in the order of the forward pass. `std_before` is the std of
            the layer's output, or of the activation after it. `scale` is the factor of the weights,
            and `std_after` the std with it. With `measure_at="post"`, `note` says where the std was
            measured. A layer that was not scaled has None for these numbers, and its note says why:
            the batch did not reach it, it is frozen, or its weight belongs to another layer.
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

    This is the method of the paper: orthonormal weights first, then a scale for each layer, from
    the variance of its output **before** the activation, over all units and inputs. The mean is not
    shifted, although other libraries subtract it by the bias. Biases keep their values and count in
    the variance. The model runs in its present mode, train or eval.

    With `measure_at="post"` the variance is that of the activation $f$ after the layer, as in other
    libraries: $\operatorname{Var} f(a W x + b) = 1$. Some layers are still measured before the
    activation, and their note says why: no activation follows, it is not known, or an operation
    before it mixes or rescales the signal. (A norm undoes any scale; a sum adds another signal.)

    Linear layers, convolutions and the output projection of `nn.MultiheadAttention` are scaled. A
    module that runs several times is scaled at its first call. A weight that several layers share
    is scaled in the first of them. A frozen weight is not scaled, and neither is one that a module
    of another kind shares, such as an embedding tied to the head. A layer whose bias is large and
    far to one side, such as that of the step sizes of a state-space model, is left as it is. A
    compiled model runs eagerly here.

    A model in `DistributedDataParallel` or under FSDP2's `fully_shard` is called in every process,
    each with its part of the batch and with a generator in the same state. The variances are those
    of the whole batch, and the weights are those that one process would get from it. (BatchNorm and
    dropout still see one part each.) Any other model is scaled by its own process alone.

    Args:
        model: Any module; its parameters change in place.
        *inputs: The arguments of the model: a batch of the data that it is trained on.
        tol: How far a layer's std may be from 1 afterwards. Half precision cannot do better than
            its resolution, 2⁻⁷ in bfloat16.
        orthonormal: Whether to draw orthonormal weights first; if not, the present ones are scaled.
        generator: Draws the orthonormal weights. If None, torch's global generator seeds them; of
            several processes, that of the first.
        measure_at: `"pre"` for the std before the activation, `"post"` for the std after it.
        **named: The keyword arguments of the model: `lsuv_(model, **batch)`.

    Returns:
        An [LsuvReport][initguide.lsuv.LsuvReport].

    Raises:
        TypeError: `model` is not a module, or `generator` not a generator.
        ValueError: `measure_at` is unknown, `tol` is negative or not finite, an input holds NaN, or
            a parameter is lazy or on the meta device. Or no layer can be scaled. Or a layer has a
            fault, and the error names the layer: its output is constant or not finite, or cannot
            reach unit variance with its bias or after its activation (tanh stays below 1), or its
            weight cannot be set (spectral norm, tensor parallelism). Or the generators of the
            processes differ.
        RuntimeError: The model failed in another process.

    On any error the model and the random state are as they were before. Apart from the scaled
    weights, all that the forward changes is restored in any case, as by
    [measure][initguide.measure]: for example the running statistics of BatchNorm. Dropout uses up
    no randomness. An error that the model raises has a note that names the layer.

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
    inner = unwrapped(model)
    with resharded(model):
        processes = processes_of(model)
        with failing_together(processes):
            _check_arguments(inputs, named, tol, generator, measure_at)
            check_memory(inner)
            by_name = {name: m for name, m in inner.named_modules() if weight_owner(m) is not None}
            layers = {name or "model": module for name, module in by_name.items()}
            for name, module in layers.items():
                check_layer(name, weight_owner(module))
            after = next_activations(inner, list(by_name)) if measure_at == "post" else {}
            activations = {name or "model": activation for name, activation in after.items()}
            with unchanged_on_error(model, generator), run_eagerly():
                source = _source(generator, processes) if orthonormal else None
                calibration = Calibration(tol, partial(total, processes), source, activations)
                scaling = scaling_layers(inner, layers, calibration)
                with scaling, side_effects_undone(model, inputs, named), naming_the_layer(inner):
                    model(*inputs, **named)
                rows = _with_unreached(calibration.rows, layers)
    return LsuvReport(rows)


def _source(generator: torch.Generator | None, processes: Processes) -> torch.Generator:
    """Return the generator to draw from, in the same state in every process."""
    if generator is None or generator is torch.default_generator:
        # One draw from the global state seeds a new generator, so that dropout uses none of it.
        seed = from_first(processes, int(torch.randint(2**62, (), device="cpu").item()))
        return torch.Generator().manual_seed(seed)
    if processes.groups:
        check_same_state(processes, generator)
    return generator


def _with_unreached(
    rows: list[dict[str, Any]], layers: dict[str, nn.Module]
) -> list[dict[str, Any]]:
    """Return the rows, followed by those of the layers that the batch did not reach."""
    reached = {each["layer"] for each in rows}
    rows += [row(name, note="not reached") for name in layers if name not in reached]
    if not any(each["scale"] for each in rows):
        notes = {each["layer"]: each["note"] for each in rows}
        hint = ": weights that the forward itself multiplies by are not scaled, and a model that "
        hint += "was scripted or exported must be scaled before"
        raise ValueError(
            "the batch must reach Linear or convolution layers to scale; got "
            f"{notes or 'none'}{'' if rows else hint}"
        )
    return rows


def _check_arguments(
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
    for index, tensor in argument_tensors(inputs, named):
        # A mask may hold minus infinity, but no input may hold NaN.
        if not tensor.is_meta and tensor.isnan().any():
            count = int(tensor.isnan().sum())
            raise ValueError(f"inputs must hold no NaN; got {count} in input {index}")
