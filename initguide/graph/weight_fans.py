"""The fans of weights that a forward passes to a function: convolutions and Einstein sums."""

import math
from typing import Any

from torch import Tensor, fx

from initguide.fans import Fans, convolution_fans
from initguide.graph.operations import operation_name


def call_fans(node: fx.Node, weight: Tensor) -> Fans:
    """Return the fans of the weight in a call such as `F.conv2d`, with its groups and stride."""
    stride = _argument(node, 3, "stride", 1)
    groups = _argument(node, 6, "groups", 1)
    name = operation_name(node)
    dims = next((n for n in (1, 2, 3) if f"{n}d" in name), weight.ndim - 2)
    sizes = tuple(weight.shape[-dims - 2 :])
    steps = stride if isinstance(stride, (tuple, list)) else (stride,) * dims
    is_known = isinstance(groups, int) and all(isinstance(step, int) for step in steps)
    terms = math.prod(steps) if is_known else 1
    return convolution_fans(sizes, terms, groups if is_known else 1, transposed="transpose" in name)


def _argument(node: fx.Node, position: int, name: str, default: Any) -> Any:
    if len(node.args) > position:
        return node.args[position]
    return node.kwargs.get(name, default)


def einsum_fans(node: fx.Node, source: fx.Node, weight: Tensor, transposed: bool) -> Fans | None:
    """Return the fans of a weight in an Einstein sum, or None if the equation is not understood."""
    equation, *operands = node.args
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = list(operands[0])
    if not isinstance(equation, str) or source not in operands or "->" not in equation:
        return None
    left, _, out = equation.replace(" ", "").replace("...", "").partition("->")
    terms = left.split(",")
    own = terms[operands.index(source)]
    if len(own) != weight.ndim or len(terms) != len(operands):
        return None
    shape = [*weight.shape]
    if transposed and len(shape) > 1:
        shape[-2:] = shape[:-3:-1]
    sizes = dict(zip(own, shape, strict=True))
    others = "".join(term for i, term in enumerate(terms) if i != operands.index(source))
    summed = [size for letter, size in sizes.items() if letter not in out and letter in others]
    kept = [size for letter, size in sizes.items() if letter in out and letter not in others]
    return Fans(math.prod(summed), math.prod(kept)) if summed else None


def tensordot_fans(node: fx.Node, source: fx.Node, weight: Tensor, transposed: bool) -> Fans | None:
    """Return the fans of a weight in a tensordot, or None if its axes are not known."""
    position = 0 if node.args[0] is source else 1
    dims = _argument(node, 2, "dims", 2)
    if isinstance(dims, int):
        axes = range(-dims, 0) if position == 0 else range(dims)
    else:
        axes = dims[position] if isinstance(dims, (tuple, list)) and len(dims) == 2 else ()
    axes = [axes] if isinstance(axes, int) else axes
    if not axes or not all(type(axis) is int for axis in axes):
        return None
    shape = [*weight.shape]
    if transposed:
        shape[-2:] = shape[:-3:-1]
    summed = math.prod(shape[axis] for axis in axes)
    return Fans(summed, weight.numel() // summed) if summed else None
