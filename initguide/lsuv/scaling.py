r"""Scale each layer while the model runs: its weight, and at once the output that it has made.

The bias is set to zero while a layer runs and added afterwards. A signal far smaller than its bias
would lose its digits in their sum.
"""

import math
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from initguide._sharding import is_sharded, local_part
from initguide._torch_internals import is_functorch_wrapped_tensor
from initguide.layers.convolution import CONVOLUTIONS
from initguide.lsuv.distributed import Total
from initguide.lsuv.layers import scales_with_weight, unscaled_weights, weight_id, weight_owner
from initguide.lsuv.next_activation import NextActivation
from initguide.lsuv.solve import at_least_float32, centred_moments, solve, solve_after_activation
from initguide.methods.orthogonal import orthogonal_


def row(
    layer: str,
    std_before: float | None = None,
    scale: float | None = None,
    std_after: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Return a row of the report. A layer that is not scaled has a note instead of numbers."""
    return {
        "layer": layer,
        "std_before": std_before,
        "scale": scale,
        "std_after": std_after,
        "note": note,
    }


@dataclass(frozen=True)
class Calibration:
    """The settings of one forward pass that scales layers, and its report.

    Attributes:
        tol: How far a layer's std may be from 1.
        total: Sums numbers over the processes that hold a part of the batch.
        generator: Draws orthonormal weights first; None keeps the present weights.
        activations: The activation to measure after, by layer; other layers are measured before.
        rows: The report, which grows layer by layer.
    """

    tol: float
    total: Total
    generator: torch.Generator | None
    activations: dict[str, NextActivation]
    rows: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def scaling_layers(
    model: nn.Module, layers: dict[str, nn.Module], calibration: Calibration
) -> Iterator[None]:
    """Scale each layer when the model calls it for the first time inside this block."""
    owners = [weight_owner(module) for module in layers.values()]
    # The weights that are not scaled (again), each with the reason.
    skip = unscaled_weights(model, owners)
    # While a layer runs, FSDP puts a gathered copy in the place of its weight.
    originals = {o: o.weight for o in owners if not is_parametrized(o, "weight")}
    biases: dict[Any, Tensor] = {}
    handles = []

    def before(name: str, owner: Any, key: Hashable, *_: Any) -> None:
        if key in skip:
            return
        if is_sharded(owner.weight):
            raise ValueError(f"layer {name!r} must run on a whole weight; got a DTensor")
        if is_functorch_wrapped_tensor(owner.weight):
            raise ValueError(
                f"layer {name!r} must run on its own weight; got one of torch.func.vmap: scale "
                "each model of an ensemble by itself"
            )
        if calibration.generator is not None:
            _draw(name, owner, originals.get(owner), calibration.generator)
        if getattr(owner, "bias", None) is not None and owner not in biases:
            biases[owner] = owner.bias.clone()
            owner.bias.zero_()
        torch.clear_autocast_cache()

    def after(
        name: str, owner: Any, key: Hashable, module: Any, args: Any, kwargs: Any, output: Any
    ) -> Any:
        rows, total = calibration.rows, calibration.total
        if key in skip:
            if all(each["layer"] != name for each in rows):
                rows.append(row(name, note=skip[key]))
            return None
        skip[key] = f"shares the weight of {name}"
        activation = calibration.activations.get(name, NextActivation())
        bias = biases.get(owner)
        y = _first(output)
        axis = _unit_axis(owner, y)
        if not total(y.numel())[0]:
            raise ValueError(f"layer {name!r} must have outputs; got shape {tuple(y.shape)}")
        bias_column = None if bias is None else bias.view(-1, *(1,) * (y.ndim - 1 - axis))
        if activation.function is None:
            scale, std_before = solve(name, y, bias, axis, total)
        else:
            function, label = activation.function, activation.label
            scale, std_before = solve_after_activation(
                name, y, bias_column, axis, function, label, total
            )
        _scale_weight(name, owner, originals.get(owner), scale)
        if bias is not None:
            owner.bias.copy_(biases.pop(owner))
        # Autocast caches casts of the weights, and does not notice that they change.
        torch.clear_autocast_cache()
        if scales_with_weight(module, owner):
            _scale(y, scale, bias_column)
        else:
            output = module.forward(*args, **kwargs)
        measured = _first(output)
        if activation.function is not None:
            # An activation may work in place.
            measured = activation.function(at_least_float32(measured).clone())
        std_after = math.sqrt(centred_moments(measured, total)[1])
        # Half precision rounds the weights and the output.
        is_half = measured.dtype.itemsize < 4
        tol = max(calibration.tol, torch.finfo(measured.dtype).eps if is_half else 0.0)
        if not abs(std_after - 1) <= tol:
            raise ValueError(
                f"layer {name!r} must reach std 1 within tol={tol}; got {std_after}: freeze the "
                "layer to leave it as it is"
            )
        rows.append(row(name, std_before, scale, std_after, activation.note))
        return output

    try:
        for name, module in layers.items():
            owner = weight_owner(module)
            layer = name, owner, weight_id(owner)
            handles.append(module.register_forward_pre_hook(partial(before, *layer)))
            # Prepended, so that other hooks see the scaled output.
            hook = partial(after, *layer)
            handles.append(module.register_forward_hook(hook, prepend=True, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
        # A model may catch the error of a layer and go on without the layer.
        for owner, bias in biases.items():
            if not is_sharded(owner.bias):
                owner.bias.copy_(bias)


def _first(output: Any) -> Tensor:
    """Return the output without the attention weights that attention returns with it."""
    return output[0] if isinstance(output, tuple) else output


def _unit_axis(owner: Any, y: Tensor) -> int:
    """Return the axis of the units, or of the channels, in an output."""
    return y.ndim - (owner.weight.ndim - 1 if isinstance(owner, CONVOLUTIONS) else 1)


def _draw(name: str, owner: Any, original: Any, generator: torch.Generator) -> None:
    """Draw an orthonormal weight, and set the gathered weight and its shard."""
    weight = owner.weight
    dtype = getattr(original, "dtype", weight.dtype)
    q = torch.empty_like(weight, dtype=dtype, device=generator.device)
    drawn = orthogonal_(q, generator=generator).to(weight.device)
    _set_weight(name, owner, drawn)
    if is_sharded(original):
        original.detach().to_local().copy_(local_part(drawn, original))


def _set_weight(name: str, owner: Any, value: Tensor) -> None:
    if not is_parametrized(owner, "weight"):
        owner.weight.copy_(value)
        return
    # The check below refuses a parametrization without an inverse, and one that changes the value.
    with suppress(NotImplementedError):
        owner.weight = value
    if not torch.allclose(owner.weight, value, rtol=0, atol=0.01 * value.abs().max().item()):
        kinds = [type(p).__name__ for p in owner.parametrizations.weight]
        raise ValueError(f"layer {name!r} must have a weight that can be set; got {kinds}")


def _scale_weight(name: str, owner: Any, original: Any, scale: float) -> None:
    if is_parametrized(owner, "weight"):
        _set_weight(name, owner, owner.weight * scale)
        return
    weight = owner.weight
    _scale(weight, scale)
    if is_sharded(original):
        _scale(original.detach().to_local(), scale)
    low, high = torch.aminmax(weight)
    largest = max(-low.item(), high.item())
    if not torch.finfo(weight.dtype).tiny <= largest < math.inf:
        raise ValueError(
            f"layer {name!r} must have weights in the range of {weight.dtype}; got {largest:.3g}"
        )


def _scale(tensor: Tensor, scale: float, shift: Tensor | None = None) -> None:
    """Multiply a tensor and add a shift, in place; half precision would round the scale."""
    values = at_least_float32(tensor)
    if shift is None:
        values.mul_(scale)
    else:
        torch.add(shift, values, alpha=scale, out=values)
    if values is not tensor:
        tensor.copy_(values)
