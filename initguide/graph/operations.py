"""The operations of a graph by name, in groups that the roles and the search share."""

from collections.abc import Container, Iterable, Reversible
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

# Conversions of a type, which change no value.
CASTS = {"to", "float", "half", "bfloat16", "double", "type", "type_as", "contiguous", "clone"}
CASTS |= {"detach"}
# Operations that move each value to another place.
RESHAPES = {"view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "unsqueeze"}
RESHAPES |= {"squeeze", "permute", "movedim"}
# Operations that take parts of a signal.
SPLITS = {"chunk", "split", "tensor_split", "unbind", "getitem", "narrow", "select"}
# Operations that move, convert or repeat values, or take some of them.
MOVES = {*CASTS, *RESHAPES, *SPLITS, "expand", "expand_as", "broadcast_to", "repeat", "getattr"}
MOVES |= {"repeat_interleave", "interpolate", "neg", "index_select", "pad"}
# Operations that look rows up in a table.
LOOKUPS = {"embedding", "getitem", "index_select"}
TRANSPOSES = {"t", "T", "mT", "transpose", "swapaxes", "swapdims"}
MATRIX_PRODUCTS = {"matmul", "mm", "bmm", "grouped_mm", "einsum", "sparse_mm", "spmm"}
MATRIX_PRODUCTS |= {"inner", "tensordot", "mv", "linalg_matmul"}
ADDS = {"add", "iadd", "radd"}
SUMS = {*ADDS, "sub", "isub", "rsub"}
JOINS = {"cat", "concat"}
QUOTIENTS = {"truediv", "itruediv", "div", "divide"}
FACTORS = {*QUOTIENTS, "mul", "imul", "rmul", "multiply"}
# Operations that reduce a signal to its size, or to its size or mean.
SIZES = {"norm", "vector_norm", "std", "var", "var_mean"}
REDUCTIONS = {*SIZES, "mean", "sum", "amax"}
CONDITIONS = {"gt", "lt", "ge", "le", "eq", "ne", "logical_and", "logical_or", "logical_not"}
# Operations whose results are positions, conditions or fresh tensors, which carry no signal.
WITHOUT_SIGNAL = {*CONDITIONS, "invert", "size", "zeros_like", "ones_like", "full_like"}
WITHOUT_SIGNAL |= {"empty_like", "new_zeros", "new_ones", "new_empty", "new_full", "argmax"}
WITHOUT_SIGNAL |= {"argsort", "one_hot", "nonzero", "histc", "bincount", "numel", "dim"}
WITHOUT_SIGNAL |= {"isnan", "isinf"}
# Operations that write a signal to positions of another one.
_WRITES_AT_POSITIONS = {"setitem", "index_add", "index_copy", "index_put", "index_reduce"}
_WRITES_AT_POSITIONS |= {"scatter", "scatter_add", "scatter_reduce"}


def operation_name(node: fx.Node) -> str:
    """Return the name of the function or method that a node calls, without outer underscores."""
    return function_name(node.target)


def function_name(target: Any) -> str:
    """Return the name of a function or method; an exported program calls `linear.default`."""
    name, _, _ = str(getattr(target, "__name__", target)).partition(".")
    return name.strip("_").removeprefix("special_")


@dataclass(frozen=True)
class Use:
    """A node that reads a parameter, or a value that was computed from the parameter alone.

    Attributes:
        user: The node.
        source: Which of its inputs holds the parameter.
        shape: The shape of what it reads; None if that is not known.
        transposed: Whether the last two axes were exchanged.
        picked: Whether the input picked rows of the parameter.
        factor: The product of the constants that the parameter was multiplied by.
        by_values: Whether it was multiplied by constants that differ from entry to entry.
        noise: Whether such a product was then added to another parameter.
        functions: The functions that were applied to it.
        product: The first product with another parameter as a matrix, such as LoRA's `B @ A`.
        is_first: Whether it is the first operand there.
        is_turned: Whether it was transposed there.
    """

    user: fx.Node
    source: fx.Node
    shape: tuple[int, ...] | None = None
    transposed: bool = False
    picked: bool = False
    factor: float = 1.0
    by_values: bool = False
    noise: bool = False
    functions: tuple[str, ...] = ()
    product: fx.Node | None = None
    is_first: bool = False
    is_turned: bool = False


def depends_on(
    starts: Iterable[fx.Node], nodes: Iterable[fx.Node], without: Container[fx.Node] = ()
) -> set[fx.Node]:
    """Return the starts and the nodes that depend on them.

    Args:
        starts: The nodes to start from.
        nodes: All nodes, in the order of the graph.
        without: Nodes through which no way leads.
    """
    found = set(starts)
    for node in nodes:
        if node not in without and any(each in found for each in node.all_input_nodes):
            found.add(node)
    return found


def leads_to(
    ends: Iterable[fx.Node], nodes: Reversible[fx.Node], without: Container[fx.Node] = ()
) -> set[fx.Node]:
    """Return the ends and the nodes on which they depend; the arguments are as above."""
    found = set(ends)
    for node in reversed(nodes):
        if node not in without and any(each in found for each in node.users):
            found.add(node)
    return found


def value_inputs(node: fx.Node) -> list[fx.Node]:
    """Return the inputs of a node that carry a signal, without the positions that it is read at."""
    name, args = operation_name(node), [each for each in node.args if isinstance(each, fx.Node)]
    if name in WITHOUT_SIGNAL:
        return []
    # Of the second tensor in `x.view_as(y)`, only the shape or the type is read.
    if name in ("getitem", "gather", "index_select", "take_along_dim") or name.endswith("_as"):
        return args[:1]
    if name in _WRITES_AT_POSITIONS:
        return [args[0], args[-1]] if args else []
    return node.all_input_nodes


def is_write(node: fx.Node, root: nn.Module | None = None) -> bool:
    """Return whether an operation changes its first argument in place.

    Args:
        node: The node of the operation.
        root: The module whose forward the graph shows, if the graph calls modules by its names.
    """
    if node.op == "call_module":
        return root is not None and bool(
            getattr(root.get_submodule(str(node.target)), "inplace", False)
        )
    name = str(getattr(node.target, "__name__", node.target))
    is_inplace = name.endswith("_") and not name.endswith("__")
    return name.strip("_") == "setitem" or is_inplace or node.kwargs.get("inplace") is True


def is_own_norm(node: fx.Node) -> bool:
    """Return whether a node divides a signal by its own size, as a norm that is written out."""
    if operation_name(node) not in FACTORS or len(node.all_input_nodes) != 2:
        return False
    one, other = node.all_input_nodes
    return _is_size_of(other, one) or _is_size_of(one, other)


def _is_size_of(size: fx.Node, signal: fx.Node) -> bool:
    """Return whether a value is computed from a signal alone, by a mean or another reduction."""
    names, seen, queue = set(), {signal}, [size]
    while queue:
        node = queue.pop()
        if node in seen:
            continue
        seen.add(node)
        names.add(operation_name(node))
        if node.op in ("placeholder", "call_module") or len(seen) > 20:
            return False
        queue += node.all_input_nodes
    roots = {"sqrt", "rsqrt", "norm", "vector_norm", "std", "pow"}
    return size is not signal and bool(names & REDUCTIONS) and bool(names & roots)


def computes_with_weight(node: fx.Node) -> bool:
    """Return whether a node calls a linear layer or a convolution as a function."""
    name = operation_name(node)
    return node.op == "call_function" and (name == "linear" or name.startswith("conv"))


def is_norm_call(node: fx.Node) -> bool:
    """Return whether a node calls a norm of torch as a function, such as `F.layer_norm`."""
    return node.op == "call_function" and operation_name(node).endswith("_norm")


def is_softmax(node: fx.Node) -> bool:
    """Return whether a node calls a softmax, as a function or as a module."""
    if node.op == "call_module":
        return isinstance(node.meta.get("module"), nn.Softmax)
    return operation_name(node) in ("softmax", "gumbel_softmax")


def averages(node: fx.Node) -> bool:
    """Return whether a product of matrices takes means, by weights from a softmax."""
    for each in node.all_input_nodes:
        source = each
        while operation_name(source) in ("dropout", "to", "float") and source.all_input_nodes:
            source = source.all_input_nodes[0]
        if is_softmax(source):
            return True
    return False
