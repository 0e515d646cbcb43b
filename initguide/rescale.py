r"""Scale layers while a model runs: the weights, and at once the output that they make.

The bias is taken out of a layer while it runs and added afterwards, since a signal far smaller
than its bias would be rounded away in their sum.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from initguide.guard import identity, left_alone
from initguide.layers.convolution import CONVOLUTIONS
from initguide.methods.orthogonal import orthogonal_

LAYERS = (nn.Linear, *CONVOLUTIONS)
# The forwards of which it is known that scaling the weight scales the output.
LINEAR_FORWARDS = {layer.forward for layer in (*LAYERS, nn.MultiheadAttention)}


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


@contextmanager
def rescaling(
    model: nn.Module,
    layers: dict[str, nn.Module],
    rows: list[dict[str, Any]],
    tol: float,
    generator: torch.Generator | None,
) -> Iterator[None]:
    """Scale each layer when it runs for the first time; a generator draws its weight before."""
    settled = left_alone(model, [owner(module) for module in layers.values()])
    biases: dict[Any, Tensor] = {}
    handles = []

    def before(name: str, target: Any, key: int, *_: Any) -> None:
        if key in settled:
            return
        if generator is not None:
            weight = target.weight
            q = torch.empty_like(weight, device=generator.device)
            _set_weight(name, target, orthogonal_(q, generator=generator).to(weight.device))
        if target.bias is not None and target not in biases:
            biases[target] = target.bias.clone()
            target.bias.zero_()
        torch.clear_autocast_cache()

    def after(
        name: str, target: Any, key: int, module: Any, args: Any, kwargs: Any, output: Any
    ) -> Any:
        if key in settled:
            if all(each["layer"] != name for each in rows):
                rows.append(row(name, note=settled[key]))
            return None
        settled[key] = f"shares the weight of {name}"
        bias = biases.get(target)
        y = _first(output)
        axis = _unit_axis(target, y)
        scale, std_before = _solve(name, y, bias, axis)
        _scale_weight(name, target, scale)
        if bias is not None:
            target.bias.copy_(biases.pop(target))
        # Autocast keeps casts of the weights, and would not see that they change.
        torch.clear_autocast_cache()
        if type(module).forward in LINEAR_FORWARDS and not is_parametrized(target, "weight"):
            _scale(y, scale, None if bias is None else bias.view(-1, *(1,) * (y.ndim - 1 - axis)))
        else:
            output = module.forward(*args, **kwargs)
        std_after = math.sqrt(_moments(_first(output))[1])
        if not abs(std_after - 1) <= tol:
            raise ValueError(f"layer {name!r} must reach std 1 within tol={tol}; got {std_after}")
        rows.append(row(name, std_before, scale, std_after))
        return output

    try:
        for name, module in layers.items():
            what = name, owner(module), identity(owner(module))
            handles.append(module.register_forward_pre_hook(partial(before, *what)))
            # First of the hooks, so that those of others see the output as it will be.
            hook = partial(after, *what)
            handles.append(module.register_forward_hook(hook, prepend=True, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
        # A model may catch the error of a layer and go on.
        for target, bias in biases.items():
            target.bias.copy_(bias)


def _first(output: Any) -> Tensor:
    """Return the output itself; attention returns its weights as well."""
    return output[0] if isinstance(output, tuple) else output


def _unit_axis(target: Any, y: Tensor) -> int:
    return y.ndim - (target.weight.ndim - 1 if isinstance(target, CONVOLUTIONS) else 1)


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype.itemsize >= 4 else tensor.float()


def _solve(name: str, y: Tensor, bias: Tensor | None, axis: int) -> tuple[float, float]:
    r"""Return the scale $a$, and the std before it, of $y + b$: $A a^2 + 2 B a + C = 1$."""
    if y.numel() == 0:
        raise ValueError(f"layer {name!r} must have outputs; got shape {tuple(y.shape)}")
    mean, variance, centred = _moments(y)
    if not math.isfinite(variance):
        raise ValueError(f"layer {name!r} must have a finite output; got NaN or inf")
    # A constant's mean is rounded, and so are its values.
    noise = max(torch.finfo(y.dtype).eps, 16 * torch.finfo(_wide(y[:0]).dtype).eps)
    if variance <= (noise * mean) ** 2:
        raise ValueError(f"layer {name!r} must vary over the batch; got variance {variance:.3g}")
    if bias is None:
        return 1 / math.sqrt(variance), math.sqrt(variance)
    b = bias.double()
    b -= b.sum().item() / b.numel()
    others = [i for i in range(y.ndim) if i != axis]
    by_unit = (centred.sum(others) if others else centred).double()
    covariance = torch.dot(by_unit, b).item() / y.numel()
    of_bias = torch.dot(b, b).item() / b.numel()
    square = covariance**2 + variance * (1 - of_bias)
    root = math.sqrt(square) if square >= 0 else math.nan
    scale = (root - covariance) / variance
    if not scale > 0:
        raise ValueError(
            f"layer {name!r} must have a bias of variance below 1 to reach it; got {of_bias:.3g}"
        )
    return scale, math.sqrt(variance + 2 * covariance + of_bias)


def _moments(y: Tensor) -> tuple[float, float, Tensor]:
    """Return the mean, the variance and `y` about centred; much faster than torch.var_mean."""
    centred = _wide(y)
    mean, variance = _sums(centred)
    # Squares of huge and of tiny numbers leave single precision, and those of a mean cancel.
    if not (1e-30 < variance < 1e30 and mean**2 < 10 * variance):
        mean = y.double().mean().item()
        centred = y.double() - mean
        variance = _sums(centred)[1]
    return mean, max(variance, 0.0), centred


def _sums(y: Tensor) -> tuple[float, float]:
    flat = y.reshape(-1)
    mean = flat.sum().item() / y.numel()
    return mean, torch.dot(flat, flat).item() / y.numel() - mean**2


def _set_weight(name: str, target: Any, value: Tensor) -> None:
    if not is_parametrized(target, "weight"):
        target.weight.copy_(value)
        return
    with suppress(NotImplementedError):
        target.weight = value
    if not torch.allclose(target.weight, value, rtol=0, atol=0.01 * value.abs().max().item()):
        kinds = [type(p).__name__ for p in target.parametrizations.weight]
        raise ValueError(f"layer {name!r} must have a weight that can be set; got {kinds}")


def _scale_weight(name: str, target: Any, scale: float) -> None:
    if is_parametrized(target, "weight"):
        _set_weight(name, target, target.weight * scale)
        return
    weight = target.weight
    _scale(weight, scale)
    low, high = torch.aminmax(weight)
    largest = max(-low.item(), high.item())
    if not torch.finfo(weight.dtype).tiny <= largest < math.inf:
        raise ValueError(
            f"layer {name!r} must have weights in the range of {weight.dtype}; got {largest:.3g}"
        )


def _scale(tensor: Tensor, scale: float, shift: Tensor | None = None) -> None:
    """Multiply, and add, in place; half precision would round the scale itself."""
    wide = _wide(tensor)
    if shift is None:
        wide.mul_(scale)
    else:
        torch.add(shift, wide, alpha=scale, out=wide)
    if wide is not tensor:
        tensor.copy_(wide)
