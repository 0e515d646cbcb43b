r"""Fan-in and fan-out: the number of terms that a unit sums, forward and backward.

The output of a unit is a sum of fan_in products of an input and a weight. So its second moment is
fan_in times that of one product. The gradient of an input is a sum of fan_out products. Every
scaled initialization divides by one of the two numbers, or by their mean. To take the wrong one is
a common bug.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor, nn

from initguide._checks import check_shape, one_of
from initguide._torch_internals import ConvBase, ConvTransposeBase

Layout = Literal["in_out", "out_in"]
"""The order of an array's axes: `(*kernel, in, out)`, as in Keras, or `(out, in, *kernel)`."""

Axes = int | Sequence[int]
"""One axis of an array, or several."""

Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
"""The fan that sets the scale: one of the two, their mean, or their geometric mean."""


class Fans(NamedTuple):
    """The fans of a weight: the number of terms in an output and in the gradient of an input."""

    fan_in: float
    fan_out: float

    def pick(self, mode: Mode) -> float:
        """Return the fan that `mode` names.

        Args:
            mode: `"fan_in"` (keeps the signal), `"fan_out"` (keeps the gradient), `"fan_avg"` (the
                mean of both, Xavier's compromise) or `"fan_geo_avg"` (their geometric mean).

        Returns:
            The number of terms.

        Raises:
            ValueError: `mode` is not one of these.
        """
        pick = _PICK.get(mode.lower()) if isinstance(mode, str) else None
        if pick is None:
            raise ValueError(f"mode must be {one_of(_PICK)}; got {mode!r}")
        return pick(self)


_PICK: dict[str, Callable[[Fans], float]] = {
    "fan_in": lambda fans: fans.fan_in,
    "fan_out": lambda fans: fans.fan_out,
    "fan_avg": lambda fans: (fans.fan_in + fans.fan_out) / 2,
    "fan_geo_avg": lambda fans: math.sqrt(fans.fan_in * fans.fan_out),
}


def fans(
    shape: Sequence[int],
    layout: Layout = "out_in",
    *,
    in_axes: Axes | None = None,
    out_axes: Axes | None = None,
) -> Fans:
    r"""Return the fans of a dense layer or a plain convolution from the shape of its weight.

    $$\text{fan}_{in} = c_{in} \prod_i k_i, \qquad \text{fan}_{out} = c_{out} \prod_i k_i$$

    The shape does not show groups, strides or packed gates. If you have the layer, use
    [layer_fans][initguide.layer_fans], which takes them into account.

    With `"in_out"` a shape of three sizes is read as `(kernel, in, out)`, a one-dimensional
    convolution. The attention kernels of JAX and Keras have three sizes too, but another meaning.
    Name their axes: a query, key or value kernel `(d, heads, head_dim)` has `in_axes=0` and
    `out_axes=(1, 2)`, and an output kernel `(heads, head_dim, d)` has `in_axes=(0, 1)` and
    `out_axes=2`.

    Args:
        shape: The shape of the weight: `(out, in, *kernel)` or `(*kernel, in, out)`.
        layout: `"out_in"` for the first form (PyTorch), `"in_out"` for the second (`x @ W`, Keras,
            JAX).
        in_axes: The axis or axes of the inputs, instead of those of the layout. The axes that are
            neither inputs nor outputs are the kernel.
        out_axes: The axis or axes of the outputs.

    Returns:
        `Fans(fan_in, fan_out)`, as numbers of terms.

    Raises:
        ValueError: The shape has fewer than two dimensions or a size below 1, or `layout` is
            unknown.
        ValueError: Only one of `in_axes` and `out_axes` is given, the shape has no such axis, or an
            axis is named twice.
        TypeError: `shape` is not a sequence of integers, or an axis is not an integer.

    Source:
        X. Glorot, Y. Bengio (2010), *Understanding the Difficulty of Training Deep Feedforward
        Neural Networks*; K. He et al. (2015), *Delving Deep into Rectifiers*, for convolutions.

    Examples:
        ```python
        import initguide as init

        print(init.fans((64, 32)))
        #> Fans(fan_in=32, fan_out=64)
        print(init.fans((3, 3, 16, 32), layout="in_out"))
        #> Fans(fan_in=144, fan_out=288)
        print(init.fans((512, 8, 64), in_axes=0, out_axes=(1, 2)))  # a query kernel
        #> Fans(fan_in=512, fan_out=512)
        ```
    """
    sizes = check_shape(shape)
    check_layout(layout)
    if len(sizes) < 2:
        raise ValueError(f"shape must have at least 2 dimensions to have fans; got {sizes}")
    into, out = in_and_out(len(sizes), layout, in_axes, out_axes)
    size_in, size_out = (math.prod(sizes[axis] for axis in axes) for axes in (into, out))
    terms = math.prod(sizes) // (size_in * size_out)
    return Fans(size_in * terms, size_out * terms)


def in_and_out(
    dimensions: int, layout: Layout, in_axes: Axes | None, out_axes: Axes | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes of the inputs and of the outputs, counted from the front."""
    if in_axes is None and out_axes is None:
        if layout == "out_in":
            return (1,), (0,)
        return (dimensions - 2,), (dimensions - 1,)
    if in_axes is None or out_axes is None:
        raise ValueError(
            f"in_axes and out_axes must be given together; got {in_axes!r} and {out_axes!r}"
        )
    into, out = (
        _axes(name, axes, dimensions)
        for name, axes in (("in_axes", in_axes), ("out_axes", out_axes))
    )
    if len({*into, *out}) < len(into) + len(out):
        raise ValueError(
            f"in_axes and out_axes must name each axis once; got {in_axes!r} and {out_axes!r}"
        )
    return into, out


def _axes(name: str, axes: Axes, dimensions: int) -> tuple[int, ...]:
    several: Any = axes if isinstance(axes, Sequence) and not isinstance(axes, str) else (axes,)
    for axis in several:
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{name} must be an integer or several; got {axes!r}")
    if not several or not all(-dimensions <= axis < dimensions for axis in several):
        raise ValueError(f"{name} must name axes of {dimensions} dimensions; got {axes!r}")
    return tuple(int(axis) % dimensions for axis in several)


def tensor_fans(tensor: Tensor) -> Fans:
    """Return the fans of a tensor of shape `(out, in, *kernel)`. A size may be 0."""
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(
            f"tensor must have at least 2 dimensions to have fans; got shape {tuple(shape)}"
        )
    terms = math.prod(shape[2:])
    return Fans(shape[1] * terms, shape[0] * terms)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[float, float]:
    return tensor_fans(tensor)


def _calculate_correct_fan(tensor: Tensor, mode: Mode) -> float:
    return tensor_fans(tensor).pick(mode)


def check_layout(layout: Layout) -> None:
    """Raise ValueError unless `layout` is known."""
    if layout not in ("in_out", "out_in"):
        raise ValueError(f"layout must be 'in_out' or 'out_in'; got {layout!r}")


def layer_fans(module: nn.Module, name: str = "weight") -> Fans:
    r"""Return the fans of a layer's parameter, with its groups, stride and packed gates.

    $$\text{convolution: } \Big(\frac{c_{in}}{g} k^d,\; \frac{c_{out}}{g}\frac{k^d}{s^d}\Big),
    \qquad \text{transposed: } \Big(\frac{c_{in}}{g}\frac{k^d}{s^d},\; \frac{c_{out}}{g} k^d\Big)$$

    with kernel size $k$, $g$ groups, stride $s$ and $d$ dimensions. With a stride, the number of
    terms differs between positions, and the fan that is divided by $s^d$ is the mean. For packed
    projections and gates the fans are those of one block, such as the query or the forget gate. An
    embedding has fan-in 1, because a lookup has no sum.

    Args:
        module: Any layer. `nn.MultiheadAttention`, `nn.RNN`, `nn.LSTM`, `nn.GRU` and their cells
            have several weights, so give the name of one.
        name: The name of the parameter, as in `named_parameters`, dots included.

    Returns:
        `Fans(fan_in, fan_out)`, as numbers of terms.

    Raises:
        ValueError: The module has no such parameter, the parameter has fewer than two dimensions,
            or it has no shape yet (a lazy layer).

    Source:
        K. He et al. (2015), *Delving Deep into Rectifiers*, sections 2.2 and 2.3.

    Examples:
        ```python
        from torch import nn

        import initguide as init

        depthwise = nn.Conv2d(64, 64, 3, groups=64)
        print(init.layer_fans(depthwise), init.fans(depthwise.weight.shape))
        #> Fans(fan_in=9, fan_out=9) Fans(fan_in=9, fan_out=576)
        print(init.layer_fans(nn.LSTM(10, 20), "weight_hh_l0"))
        #> Fans(fan_in=20, fan_out=20)
        ```
    """
    *path, leaf = name.split(".")
    for step in path:
        module = getattr(module, step, module)
    weight = getattr(module, leaf, None)
    if not isinstance(weight, Tensor):
        have = [key for key, value in module.named_parameters() if value.ndim > 1]
        raise ValueError(f"name must be one of {have}; got {name!r}")
    if nn.parameter.is_lazy(weight):
        raise ValueError(f"{name} must have a shape; got a lazy {type(module).__name__}")
    if isinstance(module, ConvBase):
        return _convolution(module)
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return Fans(1, weight.shape[1])
    rows, *rest = weight.shape
    return fans((rows // packed_in(module, leaf), *rest))


def _convolution(module: ConvBase) -> Fans:
    transposed = isinstance(module, ConvTransposeBase)
    sizes = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
    if transposed:
        sizes = (module.in_channels, module.out_channels // module.groups, *module.kernel_size)
    stride = math.prod(module.stride)
    return convolution_fans(sizes, stride, module.groups, transposed=transposed)


def convolution_fans(shape: Sequence[int], stride: int, groups: int, *, transposed: bool) -> Fans:
    """Return the fans of a convolution's weight.

    Args:
        shape: The weight's shape: `(out, in / groups, *kernel)`, or `(in, out / groups, *kernel)`
            if the convolution is transposed.
        stride: The product of the strides along all axes.
        groups: The number of groups.
        transposed: Whether it is a transposed convolution.
    """
    first, second, *kernel = shape
    terms = math.prod(kernel)
    if transposed:
        return Fans(_int_if_whole(first // groups * terms / stride), second * terms)
    return Fans(second * terms, _int_if_whole(first // groups * terms / stride))


def _int_if_whole(value: float) -> float:
    return int(value) if value == int(value) else value


def packed_in(module: nn.Module, name: str) -> int:
    """Return how many weights (or biases) of equal shape are stacked in one tensor."""
    if isinstance(module, nn.MultiheadAttention) and name.startswith("in_proj"):
        return 3
    if isinstance(module, (nn.RNNBase, nn.RNNCellBase)) and not name.startswith("weight_hr"):
        return getattr(module, name).shape[0] // module.hidden_size
    return 1
