r"""LSUV: scale each layer's weights until its output has unit variance on a batch of data.

Formulas for gains assume normal pre-activations and independent weights; data need not obey. LSUV
measures instead. Start orthonormal, send a batch through, and divide each layer's weights by the
standard deviation of its output before the activation (Mishkin and Matas, 2016):

$$W \leftarrow W / \sqrt{\operatorname{Var}(W x + b)}$$

The paper runs the whole network forward again after each division. That is not needed: scaling the
weights scales the output, so the output can be scaled as well, in flight, and the next layer
already sees it. One forward pass does all layers, in the order in which they run.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from initguide.checks import check_number
from initguide.guard import side_effects_undone, unchanged_on_error
from initguide.layers.convolution import CONVOLUTIONS
from initguide.methods.orthogonal import orthogonal_

LAYERS = (nn.Linear, *CONVOLUTIONS)


@dataclass(frozen=True)
class LsuvReport:
    """What [lsuv_][initguide.lsuv_] did; printing it gives a table.

    Attributes:
        rows: One for each layer, in the order of the forward pass: `layer`, `std_before` (of its
            output), `scale` (what its weights were multiplied by), `std_after`. A layer that the
            batch did not reach, or whose weight was scaled in another, comes with None and a
            `note`.
    """

    rows: list[dict[str, Any]]

    def __str__(self) -> str:
        """Return the rows as a table."""
        width = max(len(row["layer"]) for row in self.rows)
        lines = [f"{'layer':{width}}  {'std before':>10}  {'scale':>10}  {'std after':>10}"]
        for row in self.rows:
            numbers = (row["std_before"], row["scale"], row["std_after"])
            cells = [f"{'–' if n is None else f'{n:.4g}':>10}" for n in numbers]
            lines.append("  ".join([f"{row['layer']:{width}}", *cells, row["note"]]).rstrip())
        return "\n".join(lines)


@torch.no_grad()
def lsuv_(
    model: nn.Module,
    *inputs: Any,
    tol: float = 1e-3,
    orthonormal: bool = True,
    generator: torch.Generator | None = None,
) -> LsuvReport:
    r"""Give every layer's output unit variance on a batch, in a single forward pass.

    $$W \leftarrow a W, \qquad \operatorname{Var}(a W x + b) = 1$$

    This is the method of the paper: orthonormal weights first, then a scale for each layer, found
    from the variance of its output **before** the activation, over all units and inputs. Nothing is
    shifted. (Others measure after the activation, or subtract the mean by the bias.) Biases stay as
    they are and are counted in; the model runs in the mode that it is in.

    Linear layers and convolutions are scaled, and the output projection of
    `nn.MultiheadAttention`. A module that is called several times is scaled at its first call, a
    weight that several modules share in the first of them.

    Args:
        model: Any module; its parameters change in place.
        *inputs: What the model is called with: a batch of data as it is trained on.
        tol: How far a layer's std may be from 1 afterwards.
        orthonormal: Whether to draw orthonormal weights first; if not, those present are scaled.
        generator: The source of randomness for them; torch's global one where None.

    Returns:
        An [LsuvReport][initguide.lsuv.LsuvReport].

    Raises:
        TypeError: `model` is not a module.
        ValueError: An input is not finite, no layer is reached, or a layer's output is constant or
            not finite, cannot be brought to unit variance beside its bias, or its weight cannot be
            set (spectral norm). The error names the layer.

    On any error the model, its buffers and the random state are as they were before. Buffers (the
    running statistics of BatchNorm) stay as they were in any case, and dropout uses up no
    randomness.

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
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module; got {type(model).__name__}")
    check_number("tol", tol)
    for index, value in enumerate(inputs):
        if isinstance(value, Tensor) and not value.isfinite().all():
            count = int((~value.isfinite()).sum())
            raise ValueError(f"inputs must be finite; got {count} NaN or inf in input {index}")
    layers = {name or "model": module for name, module in model.named_modules() if _target(module)}
    for name, module in layers.items():
        _check_weight(name, module)
    rows: list[dict[str, Any]] = []
    with unchanged_on_error(model, generator):
        if generator is None:
            # One draw from the global state seeds a stream of our own: dropout uses none of it.
            generator = torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))
        with (
            _hooks(layers, rows, tol, generator if orthonormal else None),
            side_effects_undone(model),
        ):
            model(*inputs)
        if not any(row["scale"] for row in rows):
            kinds = "Linear or convolution layers"
            raise ValueError(f"the batch must reach {kinds}; got {sorted(layers) or 'none'}")
    met = {row["layer"] for row in rows}
    skipped = [name for name in layers if name not in met]
    return LsuvReport(rows + [_row(name, note="not reached") for name in skipped])


def _target(module: nn.Module) -> Any:
    """Return the module whose weight makes the output of this one, if it is one to scale."""
    if isinstance(module, nn.MultiheadAttention):
        return module.out_proj
    # Attention reads its projection's weight without ever calling the projection.
    projection = nn.modules.linear.NonDynamicallyQuantizableLinear
    return module if isinstance(module, LAYERS) and not isinstance(module, projection) else None


def _check_weight(name: str, module: nn.Module) -> None:
    target = _target(module)
    # To read a parametrized weight may change it: spectral norm improves its estimate.
    if nn.utils.parametrize.is_parametrized(target):
        return
    weight = target.weight
    if nn.parameter.is_lazy(weight):
        raise ValueError(f"layer {name!r} must have a shape; got a lazy {type(module).__name__}")
    if not isinstance(weight, nn.Parameter):
        raise ValueError(
            f"layer {name!r} must hold its weight as a parameter; got {type(weight).__name__}"
        )


def _row(
    layer: str,
    std_before: float | None = None,
    scale: float | None = None,
    std_after: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    return {
        "layer": layer,
        "std_before": std_before,
        "scale": scale,
        "std_after": std_after,
        "note": note,
    }


@contextmanager
def _hooks(
    layers: dict[str, nn.Module],
    rows: list[dict[str, Any]],
    tol: float,
    generator: torch.Generator | None,
) -> Iterator[None]:
    """Scale each layer, weight and output, when it runs for the first time."""
    scaled: dict[int, str] = {}
    handles = []

    def before(name: str, target: Any, *_: Any) -> None:
        key = _identity(target)
        if key not in scaled and generator is not None:
            weight = target.weight
            q = torch.empty_like(weight, device=generator.device)
            _set(name, target, orthogonal_(q, generator=generator).to(weight.device))

    def after(name: str, target: Any, _module: Any, _inputs: Any, output: Any) -> Any:
        key = _identity(target)
        if key in scaled:
            if all(row["layer"] != name for row in rows):
                rows.append(_row(name, note=f"shares the weight of {scaled[key]}"))
            return None
        scaled[key] = name
        # Attention returns its weights as well.
        first, *rest = output if isinstance(output, tuple) else (output,)
        bias = target.bias
        if bias is not None and isinstance(target, CONVOLUTIONS):
            bias = bias.view(-1, *(1,) * (target.weight.ndim - 2))
        scale, std_before = _scale(name, first, bias)
        _set(name, target, target.weight * scale)
        first = first * scale if bias is None else (first - bias) * scale + bias
        std_after = first.double().std(correction=0).item()
        if not abs(std_after - 1) <= tol:
            raise ValueError(f"layer {name!r} must reach std 1 within tol={tol}; got {std_after}")
        rows.append(_row(name, std_before, scale, std_after))
        return (first, *rest) if isinstance(output, tuple) else first

    try:
        for name, module in layers.items():
            target = _target(module)
            handles.append(module.register_forward_pre_hook(partial(before, name, target)))
            handles.append(module.register_forward_hook(partial(after, name, target)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _scale(name: str, output: Tensor, bias: Tensor | None) -> tuple[float, float]:
    r"""Return the scale $a$ and the std before it; with a bias, $A a^2 + 2 B a + C = 0$."""
    whole = output.double()
    if not whole.isfinite().all():
        raise ValueError(f"layer {name!r} must have a finite output; got NaN or inf")
    std = whole.std(correction=0).item()
    b = torch.zeros_like(whole) if bias is None else bias.double().expand_as(whole)
    y = whole - b
    variance = y.var(correction=0).item()
    if not variance > 0:
        raise ValueError(f"layer {name!r} must vary over the batch; got variance {variance}")
    covariance = ((y - y.mean()) * (b - b.mean())).mean().item()
    rest = b.var(correction=0).item() - 1
    root = covariance**2 - variance * rest
    scale = (math.sqrt(root) - covariance) / variance if root >= 0 else -1.0
    if not scale > 0:
        raise ValueError(
            f"layer {name!r} must have a bias of variance below 1 to reach it; got {rest + 1:.3g}"
        )
    return scale, std


def _identity(target: Any) -> int:
    """Return what two modules have in common if they share a weight."""
    if nn.utils.parametrize.is_parametrized(target):
        return id(target)
    return id(target.weight)


def _set(name: str, target: Any, value: Tensor) -> None:
    if not nn.utils.parametrize.is_parametrized(target):
        target.weight.copy_(value)
        return
    with suppress(NotImplementedError):
        target.weight = value
    if not torch.allclose(target.weight, value, rtol=1e-3, atol=1e-6):
        kinds = [type(p).__name__ for p in target.parametrizations.weight]
        raise ValueError(f"layer {name!r} must have a weight that can be set; got {kinds}")
