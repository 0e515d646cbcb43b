"""The fans of weights in functions of a forward: convolutions, Einstein sums, dot products."""

import math
from typing import Any

import torch
from torch import Tensor, fx

from initguide.fans import Fans, convolution_fans
from initguide.graph.operations import FACTORS, MATRIX_PRODUCTS, MOVES, Use, operation_name
from initguide.graph.proxies import AnyLength


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


def dot_fans(node: fx.Node, parameter: Tensor) -> Fans | None:
    """Return the fans of a vector whose products with a signal are summed, or None.

    The vector may have several heads, as in the scores of a graph attention.
    """
    if operation_name(node) in MATRIX_PRODUCTS:
        return Fans(parameter.numel(), 1) if parameter.ndim == 1 else None
    terms = set()
    for user in node.users:
        axes = _argument(user, 1, "dim", None)
        axes = axes if isinstance(axes, (tuple, list)) else [axes]
        is_known = all(type(axis) is int and -parameter.ndim <= axis < 0 for axis in axes)
        if operation_name(user) != "sum" or not is_known:
            return None
        terms.add(math.prod(parameter.shape[axis] for axis in axes))
    summed = max(terms, default=1)
    return Fans(summed, parameter.numel() // summed) if summed > 1 and len(terms) == 1 else None


def shape_after(use: Use) -> tuple[int, ...] | None:
    """Return the shape after a move of a parameter, or None if constants do not tell it."""
    node, shape = use.user, use.shape
    if not shape or len(node.all_input_nodes) > 1:
        return None
    function: Any = node.target
    if node.op == "call_method":
        function = getattr(Tensor, str(node.target))
    whole = torch.empty(shape, device="meta")
    arguments = [whole if each is use.source else each for each in node.args]
    # A length that only an input tells is taken for that of the first or of the last axis.
    known = {1: shape[0], len(arguments) - 1: shape[-1]}
    arguments = [
        known.get(index) if isinstance(each, AnyLength) else each
        for index, each in enumerate(arguments)
    ]
    try:
        moved = function(*arguments, **node.kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    return tuple(moved.shape) if isinstance(moved, Tensor) else None


def is_kernel(node: fx.Node) -> bool:
    """Return whether a product of a parameter and a signal is then used as a layer's weight."""
    seen, queue = set(), [node]
    while queue:
        source = queue.pop()
        for user in source.users:
            name = operation_name(user)
            if is_weight_of(user, source):
                return True
            if user not in seen and name in {*MOVES, *FACTORS}:
                seen.add(user)
                queue.append(user)
    return False


def is_weight_of(user: fx.Node, source: fx.Node) -> bool:
    """Return whether a node computes a linear layer or a convolution with this weight."""
    name = operation_name(user)
    is_layer = name == "linear" or name.startswith("conv")
    second = len(user.args) > 1 and user.args[1] is source
    return is_layer and (second or user.kwargs.get("weight") is source)
