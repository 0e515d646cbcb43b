r"""Scale layers while a model runs: the weights, and at once the output that they make.

The bias is taken out of a layer while it runs and added afterwards, since a signal far smaller
than its bias would be rounded away in their sum.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from initguide._sharding import is_sharded, part
from initguide._state import identity, left_alone
from initguide.graph.custom_layers import Dense
from initguide.layers.convolution import CONVOLUTIONS
from initguide.lsuv.distributed import Total
from initguide.lsuv.next_activation import Follower
from initguide.lsuv.solve import moments, solve, solve_behind, wide
from initguide.methods.orthogonal import orthogonal_

LAYERS = (nn.Linear, *CONVOLUTIONS, Dense)
# The forwards of which it is known that scaling the weight scales the output.
_TORCHS = (nn.Linear, *CONVOLUTIONS, nn.MultiheadAttention)
LINEAR_FORWARDS = {layer.forward for layer in _TORCHS}


def owner(module: nn.Module) -> Any:
    """Return the module whose weight makes the output of this one, if it is one to scale."""
    if isinstance(module, nn.MultiheadAttention):
        return module.out_proj
    # Attention reads its projection's weight without ever calling the projection.
    projection = nn.modules.linear.NonDynamicallyQuantizableLinear
    return module if isinstance(module, LAYERS) and not isinstance(module, projection) else None


def row(
    layer: str,
    std_before: float | None = None,
    scale: float | None = None,
    std_after: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Return a report's row; a layer that is not scaled has a note instead of numbers."""
    return {
        "layer": layer,
        "std_before": std_before,
        "scale": scale,
        "std_after": std_after,
        "note": note,
    }


@dataclass(frozen=True)
class Pass:
    """What a forward pass is to do, and what it has done.

    Attributes:
        tol: How far a layer's std may be from 1.
        total: Sums numbers over the processes that hold a part of the batch.
        generator: What draws the weights; None to keep them.
        followers: The activation to measure behind, by layer; none to measure before.
        rows: The report, which grows layer by layer.
    """

    tol: float
    total: Total
    generator: torch.Generator | None
    followers: dict[str, Follower]
    rows: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def rescaling(model: nn.Module, layers: dict[str, nn.Module], what: Pass) -> Iterator[None]:
    """Scale each layer when it runs for the first time; a generator draws its weight before."""
    owners = [owner(module) for module in layers.values()]
    settled = left_alone(model, owners)
    # Where FSDP gathers a weight, the layer sees a copy for a while; this is the original.
    homes = {o: o.weight for o in owners if not is_parametrized(o, "weight")}
    biases: dict[Any, Tensor] = {}
    handles = []

    def before(name: str, target: Any, key: int, *_: Any) -> None:
        if key in settled:
            return
        if is_sharded(target.weight):
            raise ValueError(f"layer {name!r} must run on a whole weight; got a DTensor")
        if what.generator is not None:
            _draw(name, target, homes.get(target), what.generator)
        if getattr(target, "bias", None) is not None and target not in biases:
            biases[target] = target.bias.clone()
            target.bias.zero_()
        torch.clear_autocast_cache()

    def after(
        name: str, target: Any, key: int, module: Any, args: Any, kwargs: Any, output: Any
    ) -> Any:
        if key in settled:
            if all(each["layer"] != name for each in what.rows):
                what.rows.append(row(name, note=settled[key]))
            return None
        settled[key] = f"shares the weight of {name}"
        follower = what.followers.get(name, Follower())
        bias = biases.get(target)
        y = _first(output)
        axis = _unit_axis(target, y)
        if not what.total(y.numel())[0]:
            raise ValueError(f"layer {name!r} must have outputs; got shape {tuple(y.shape)}")
        by_unit = None if bias is None else bias.view(-1, *(1,) * (y.ndim - 1 - axis))
        if follower.function is None:
            scale, std_before = solve(name, y, bias, axis, what.total)
        else:
            behind = follower.function, follower.label
            scale, std_before = solve_behind(name, y, by_unit, axis, *behind, what.total)
        _scale_weight(name, target, homes.get(target), scale)
        if bias is not None:
            target.bias.copy_(biases.pop(target))
        # Autocast keeps casts of the weights, and would not see that they change.
        torch.clear_autocast_cache()
        if type(module).forward in LINEAR_FORWARDS and not is_parametrized(target, "weight"):
            _scale(y, scale, by_unit)
        else:
            output = module.forward(*args, **kwargs)
        measured = _first(output)
        if follower.function is not None:
            # An activation may work in place.
            measured = follower.function(wide(measured).clone())
        std_after = math.sqrt(moments(measured, what.total)[1])
        if not abs(std_after - 1) <= what.tol:
            raise ValueError(
                f"layer {name!r} must reach std 1 within tol={what.tol}; got {std_after}"
            )
        what.rows.append(row(name, std_before, scale, std_after, follower.note))
        return output

    try:
        for name, module in layers.items():
            which = name, owner(module), identity(owner(module))
            handles.append(module.register_forward_pre_hook(partial(before, *which)))
            # First of the hooks, so that those of others see the output as it will be.
            hook = partial(after, *which)
            handles.append(module.register_forward_hook(hook, prepend=True, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
        # A model may catch the error of a layer and go on.
        for target, bias in biases.items():
            if not is_sharded(target.bias):
                target.bias.copy_(bias)


def _first(output: Any) -> Tensor:
    """Return the output itself; attention returns its weights as well."""
    return output[0] if isinstance(output, tuple) else output


def _unit_axis(target: Any, y: Tensor) -> int:
    return y.ndim - (target.weight.ndim - 1 if isinstance(target, CONVOLUTIONS) else 1)


def _draw(name: str, target: Any, home: Any, generator: torch.Generator) -> None:
    """Draw an orthonormal weight: the one in use, and the shard of it that is kept."""
    weight = target.weight
    dtype = weight.dtype if home is None else home.dtype
    q = torch.empty_like(weight, dtype=dtype, device=generator.device)
    drawn = orthogonal_(q, generator=generator).to(weight.device)
    _set_weight(name, target, drawn)
    if home is not None and is_sharded(home):
        home.detach().to_local().copy_(part(drawn, home))


def _set_weight(name: str, target: Any, value: Tensor) -> None:
    if not is_parametrized(target, "weight"):
        target.weight.copy_(value)
        return
    # One without an inverse is refused below, as is one that keeps another value.
    with suppress(NotImplementedError):
        target.weight = value
    if not torch.allclose(target.weight, value, rtol=0, atol=0.01 * value.abs().max().item()):
        kinds = [type(p).__name__ for p in target.parametrizations.weight]
        raise ValueError(f"layer {name!r} must have a weight that can be set; got {kinds}")


def _scale_weight(name: str, target: Any, home: Any, scale: float) -> None:
    if is_parametrized(target, "weight"):
        _set_weight(name, target, target.weight * scale)
        return
    weight = target.weight
    _scale(weight, scale)
    if home is not None and is_sharded(home):
        _scale(home.detach().to_local(), scale)
    low, high = torch.aminmax(weight)
    largest = max(-low.item(), high.item())
    if not torch.finfo(weight.dtype).tiny <= largest < math.inf:
        raise ValueError(
            f"layer {name!r} must have weights in the range of {weight.dtype}; got {largest:.3g}"
        )


def _scale(tensor: Tensor, scale: float, shift: Tensor | None = None) -> None:
    """Multiply, and add, in place; half precision would round the scale itself."""
    values = wide(tensor)
    if shift is None:
        values.mul_(scale)
    else:
        torch.add(shift, values, alpha=scale, out=values)
    if values is not tensor:
        tensor.copy_(values)
