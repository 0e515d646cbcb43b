"""Recipes that set learned scales: those that end a residual branch, and those inside a tanh.

A branch that is multiplied by a small number starts near the identity. LayerScale has one number
per channel, ReZero and SkipInit have one per branch. A dynamic tanh has one inside the tanh.
"""

from collections.abc import Iterator
from glob import escape

from torch import fx, nn

from initguide.graph.operations import ADDS, FACTORS, MOVES, operation_name
from initguide.graph.trace import Trace
from initguide.graph.weight_roles import weight_roles
from initguide.model.params import full_name
from initguide.model.rule import Rule
from initguide.recipes.auto import auto
from initguide.recipes.one_method import kaiming, xavier


def layer_scale(model: nn.Module, trace: Trace, *, value: float | None = None) -> list[Rule]:
    """Return the rules: the scales at the ends of branches small, one per channel.

    Up to 18 blocks they start at 0.1, at 24 blocks at 1e-5, and in deeper models at 1e-6
    (H. Touvron et al., 2021, Going Deeper with Image Transformers; the last two are also in
    `cait_models.py` of facebookresearch/deit). The paper has no value between 18 and 24 blocks;
    here it is 1e-5. A block has two branches.
    """
    if value is None:
        blocks = trace.branch_count / 2
        value = 0.1 if blocks <= 18 else 1e-5 if blocks <= 24 else 1e-6
    names = [name for name in _branch_scales(trace) if model.get_parameter(name).numel() > 1]
    return _scaled("layer-scale", "scale of each channel of a branch", names, value, model, trace)


def rezero(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: the scalar at the end of each branch at zero.

    (T. Bachlechner et al., 2021, ReZero is All You Need.)
    """
    return _zero_scalars("rezero", model, trace)


def skipinit(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the same rules.

    (S. De and S. L. Smith, 2020, Batch Normalization Biases Residual Blocks Towards the Identity
    Function in Deep Networks.)
    """
    return _zero_scalars("skipinit", model, trace)


def _zero_scalars(recipe: str, model: nn.Module, trace: Trace) -> list[Rule]:
    names = [each for each in _branch_scales(trace) if model.get_parameter(each).numel() == 1]
    return _scaled(recipe, "scalar of a branch", names, 0.0, model, trace)


def dyt(model: nn.Module, trace: Trace, *, alpha: float = 0.5) -> list[Rule]:
    """Return the rules: the factor inside each dynamic tanh.

    It starts at 0.5 (J. Zhu et al., 2025, Transformers without Normalization; `dynamic_tanh.py` of
    jiachenzhu/DyT). For language models the authors take other values: in a Llama with 7 billion
    parameters 0.8 before attention and 0.2 elsewhere (`other_tasks/LLaMA/README.md` there).
    """
    names = [name for name, node in _scales(trace) if _next(node, {"tanh"})]
    _check_found("dyt", "scale inside a tanh", names)
    rules = [Rule(escape(name), "constant_", val=alpha) for name in names]
    return [*rules, *auto(model, trace)]


def adaln_zero(model: nn.Module, trace: Trace) -> list[Rule]:
    """Return the rules: the layers that give a norm's scale, shift and gate at zero.

    The other weights are Xavier's (W. Peebles and S. Xie, 2023, Scalable Diffusion Models with
    Transformers).
    """
    roles = weight_roles(model, trace)
    names = [name for name, role in roles.items() if role.kind == "modulation"]
    _check_found("adaln-zero", "modulation", names)
    biases = [full_name(name.rpartition(".")[0], "bias") for name in names]
    rules = [Rule(escape(name), "zeros_") for name in (*names, *biases)]
    return [*rules, *xavier(model, trace)]


def _scaled(
    recipe: str, role: str, names: list[str], value: float, model: nn.Module, trace: Trace
) -> list[Rule]:
    """Return the rules that set some scales, and the weights by He without a factor of depth."""
    _check_found(recipe, role, names)
    return [*(Rule(escape(n), "constant_", val=value) for n in names), *kaiming(model, trace)]


def _check_found(recipe: str, role: str, names: list[str]) -> None:
    if not names:
        raise ValueError(
            f"recipe {recipe!r} needs a parameter with the role {role!r}; got none in the trace, "
            "but an example may show it"
        )


def _scales(trace: Trace) -> Iterator[tuple[str, fx.Node]]:
    """Yield the name of each scale, and the node that multiplies by it."""
    for name, role in trace.roles.items():
        if role.kind == "scale" and role.node is not None:
            yield name, role.node


def _branch_scales(trace: Trace) -> list[str]:
    """Return the scales whose product is added to a signal, and not to a parameter as in a norm."""
    return [name for name, node in _scales(trace) if _next(node, ADDS)]


def _next(node: fx.Node, names: set[str]) -> bool:
    """Return whether one of some operations follows a node, with no layer between."""
    queue = [(node, user) for user in node.users]
    while queue:
        before, user = queue.pop()
        name = operation_name(user)
        if user.op == "call_module":
            name = type(user.meta.get("module")).__name__.lower()
        others = [each for each in user.all_input_nodes if each is not before]
        if name in names and all(each.op != "get_attr" for each in others):
            return True
        # A constant factor is no other scale.
        is_constant = name in FACTORS and not others
        if is_constant or name in {*MOVES, "dropout", "identity"}:
            queue += [(user, each) for each in user.users]
    return False
