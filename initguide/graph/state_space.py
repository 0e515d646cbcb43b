"""Recognize the parameters of state-space layers by how the forward uses them.

A state-space layer has a step size and a decay. The step size is the softplus of a signal plus a
bias. The decay is minus the exponential of a parameter, and the step size multiplies it.
"""

from collections.abc import Collection
from typing import Literal

from torch import Tensor, fx

from initguide.graph.operations import FACTORS, MOVES, SUMS, TRANSPOSES, Use, operation_name

StateSpaceKind = Literal["time step", "log time step", "decay"]


def state_space_role(
    use: Use, parameter: Tensor, dynamic: Collection[fx.Node]
) -> StateSpaceKind | None:
    """Return the role of a parameter in a state-space layer, or None if it has none."""
    name = operation_name(use.user)
    if name in SUMS and not use.functions and reaches(use.user, "softplus"):
        return "time step" if parameter.ndim else None
    if use.functions == ("exp",) and name in FACTORS and parameter.numel() > 1:
        if use.factor < 0:
            return "decay"
        return "log time step" if multiplies_decay(use) else None
    return None


def multiplies_decay(use: Use) -> bool:
    """Return whether an exponential of the parameter is multiplied by a decay."""
    others = [each for each in use.user.all_input_nodes if each is not use.source]
    return use.functions == ("exp",) and any(_is_decay(each) for each in others)


def reaches(node: fx.Node, name: str) -> bool:
    """Return whether an operation follows a node, with only moves between."""
    queue = list(node.users)
    while queue:
        user = queue.pop()
        module = user.meta.get("module")
        called = operation_name(user) if module is None else type(module).__name__.lower()
        if called == name:
            return True
        if operation_name(user) in {*MOVES, *TRANSPOSES}:
            queue += user.users
    return False


def _is_decay(node: fx.Node) -> bool:
    """Return whether a node is minus an exponential, with moves around."""
    names = set()
    while len(node.all_input_nodes) == 1 and operation_name(node) in {*MOVES, *TRANSPOSES, "exp"}:
        names.add(operation_name(node))
        node = node.all_input_nodes[0]
    return {"neg", "exp"} <= names
