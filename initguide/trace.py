"""Where each layer stands in its network: which activation follows it, which branch it ends.

The model's forward is run once on symbols (torch.fx), which costs nothing and changes nothing. What
cannot be run so, such as a forward that branches on values, is taken apart into its submodules, and
what is then not known is said.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import fx, nn

from initguide.activations import FUNCTIONS, Nonlinearity, function_of
from initguide.layers.convolution import CONVOLUTIONS

LAYERS = (nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, *CONVOLUTIONS)
PACKED = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
TRANSFORMER = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)

# What hands the signal on to the activation: norms, dropout, pooling, anything that moves values.
_PASS_MODULES = {"batchnorm", "normalization", "instancenorm", "dropout", "pooling", "padding"}
_PASS_MODULES |= {"flatten", "fold", "pixelshuffle", "upsampling", "channelshuffle"}
_PASS = re.compile(
    r"i?add|sub|view|reshape|(un)?flatten|permute|transpose|movedim|contiguous|(un)?squeeze|chunk|"
    r"split|cat|concat|stack|getitem|mean|sum|amax|\w+_pool\dd|(alpha_)?dropout(\dd)?|\w+_norm|to|"
    r"float|type|clone|detach|expand(_as)?|repeat(_interleave)?|interpolate|pad|pixel_shuffle|m?T"
)
_ATTENTION = {"scaled_dot_product_attention", "softmax", "matmul", "bmm", "baddbmm", "einsum"}
_ADD = {"add", "iadd", "add_"}


@dataclass(frozen=True)
class Place:
    """Where a layer stands.

    Attributes:
        nonlinearity: What follows it; what [gain][initguide.gain] takes.
        label: The same in a word or two, for people.
        branch: The number of the residual branch that it is in, from 0; None outside.
        ends: Whether it is the branch's last layer, or a norm behind that.
        note: What is not known.
    """

    nonlinearity: Nonlinearity = "linear"
    label: str = "linear"
    branch: int | None = None
    ends: bool = False
    note: str = ""


@dataclass
class Trace:
    """The places of layers and norms by name, and how many residual branches there are."""

    places: dict[str, Place] = field(default_factory=dict)
    branches: int = 0

    def place(self, name: str) -> Place:
        """Return the place of a module."""
        return self.places.get(name, Place(label="unknown", note="the trace did not reach it"))


def trace(model: nn.Module) -> Trace:
    """Return the places of a model's layers.

    Args:
        model: Any module; it is not changed and needs no input.

    Returns:
        A [Trace][initguide.trace.Trace].
    """
    found = Trace()
    _trace(model, "", found)
    for name, module in model.named_modules():
        if isinstance(module, TRANSFORMER):
            _transformer(module, f"{name}." if name else "", found)
        elif isinstance(module, nn.MultiheadAttention):
            found.places.setdefault(f"{name}.out_proj" if name else "out_proj", Place())
    return found


def _trace(module: nn.Module, name: str, found: Trace) -> None:
    if isinstance(module, (*LAYERS, *PACKED, *NORMS, *TRANSFORMER)):
        place = Place(label="output") if not name else Place(note="what follows is not known")
        found.places.setdefault(name, place)
        return
    try:
        graph = _Tracer(module).trace(module)
    except Exception as error:
        reason = f"forward of {name or 'the model'} cannot be traced: {type(error).__name__}"
        for child_name, child in module.named_children():
            _trace(child, f"{name}.{child_name}" if name else child_name, found)
        for child_name, child in module.named_children():
            full = f"{name}.{child_name}" if name else child_name
            if isinstance(child, LAYERS):
                found.places[full] = replace(found.places[full], note=reason)
        return
    modules, prefix = dict(module.named_modules()), f"{name}." if name else ""
    for node in graph.nodes:
        owner = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(owner, (*LAYERS, *PACKED, *NORMS)):
            place = _following(node, modules, whole=not name)
            found.places.setdefault(prefix + str(node.target), place)
    for branch in _branches(graph, modules):
        *_, last = (target for target in branch if not isinstance(modules[target], NORMS))
        for target in branch:
            place = found.places[prefix + target]
            ends = target in (branch[-1], last)
            found.places[prefix + target] = replace(place, branch=found.branches, ends=ends)
        found.branches += 1


class _Tracer(fx.Tracer):
    """Enter what the user wrote, down to torch's own layers and to activations."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # Asked beforehand: while the tracer runs, to call a module is to record it.
        modules = set(model.modules())
        self.leaves = {m for m in modules if isinstance(m, (*LAYERS, *PACKED, *NORMS))}
        self.leaves |= {m for m in modules if _own_activation(m)}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m in self.leaves or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        # Past the hooks: those of a sharded model would gather its parameters.
        return super().call_module(m, m.forward, args, kwargs)


def _own_activation(module: nn.Module) -> str | None:
    """Return "activation" or "pass" for a user's module of one elementwise function."""
    if next(module.children(), None) is not None or module.state_dict():
        return None
    probe = torch.linspace(-3, 3, 31, dtype=torch.float64)
    try:
        value = function_of(module)(probe)
    except Exception:
        return None
    scale = value[-1] / probe[-1]
    return "pass" if torch.allclose(value, scale * probe) else "activation"


def _following(node: fx.Node, modules: dict[str, nn.Module], *, whole: bool) -> Place:
    """Return the place of a layer from what its output meets."""
    met: dict[str, Nonlinearity] = {}
    unknown: list[str] = []
    for user in _downstream(node, modules):
        kind, label, value = _classify(user, modules)
        if kind == "activation":
            met[label] = value
        elif kind == "unknown":
            unknown.append(label)
        elif kind == "output" and not whole:
            unknown.append("what follows the submodule")
    if met:
        (label, value), *others = met.items()
        note = f"also followed by {', '.join(name for name, _ in others)}" if others else ""
        return Place(value, label, note=note)
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        return Place(note=f"{names} is not known, and taken as linear")
    return Place()


def _downstream(node: fx.Node, modules: dict[str, nn.Module]) -> Iterator[fx.Node]:
    """Yield what a node's output reaches through what only hands it on."""
    seen, queue = set(), list(node.users)
    while queue:
        user = queue.pop(0)
        if user in seen:
            continue
        seen.add(user)
        if _classify(user, modules)[0] == "pass":
            queue += user.users
        else:
            yield user


def _classify(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[str, str, Any]:
    """Return a node's kind, its name for people, and an activation's function."""
    if node.op == "output":
        return "output", "output", None
    if node.op == "call_module":
        module = modules[str(node.target)]
        family = type(module).__module__.rpartition(".")[2]
        if isinstance(module, (*LAYERS, *PACKED, *TRANSFORMER)):
            return "layer", type(module).__name__, None
        if family in _PASS_MODULES or isinstance(module, nn.Identity):
            return "pass", family, None
        if isinstance(module, (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)):
            return "attention", "softmax", None
        own = _own_activation(module) or "activation"
        return own, type(module).__name__.lower(), module
    name = str(getattr(node.target, "__name__", node.target)).rstrip("_")
    if _PASS.fullmatch(name):
        return "pass", name, None
    if name in _ATTENTION or name in ("log_softmax", "size", "getattr"):
        return "attention", name, None
    if name in FUNCTIONS or name in ("sin", "cos", "erf"):
        return "activation", name, _function(name, node)
    return "unknown", name, None


def _function(name: str, node: fx.Node) -> Nonlinearity:
    options = {key: value for key, value in node.kwargs.items() if key != "inplace"}
    if len(node.args) == 1 and not options:
        return name if name in FUNCTIONS else getattr(torch, name)
    function = FUNCTIONS[name] if node.op == "call_method" else node.target
    numbers = [value for value in node.args[1:] if not isinstance(value, fx.Node)]
    return functools.partial(_call, function, numbers, options)


def _call(function: Any, numbers: list[Any], options: dict[str, Any], z: Any) -> Any:
    return function(z, *numbers, **options)


def _branches(graph: fx.Graph, modules: dict[str, nn.Module]) -> Iterator[list[str]]:
    """Yield the layers and norms of each residual branch, in order: what a skip goes around."""
    above: dict[fx.Node, set[fx.Node]] = {}
    for node in graph.nodes:
        inputs = node.all_input_nodes
        above[node] = set(inputs).union(*(above[each] for each in inputs))
        name = str(getattr(node.target, "__name__", node.target))
        if name not in _ADD or len(inputs) != 2:
            continue
        sides = [above[each] | {each} for each in inputs]
        only = [list(_held(side - other, modules, graph)) for side, other in (sides, sides[::-1])]
        branch, skip = max(only, key=_layers), min(only, key=_layers)
        # A skip holds no layer, or the one that changes its size.
        if _layers(branch) > _layers(skip) <= 1 and sides[0] & sides[1]:
            yield [str(each.target) for each in branch]
    return


def _held(nodes: set[fx.Node], modules: dict[str, nn.Module], graph: fx.Graph) -> Iterator[fx.Node]:
    for node in graph.nodes:
        if node in nodes and node.op == "call_module":
            owner = modules[str(node.target)]
            if isinstance(owner, (*LAYERS, *PACKED, *NORMS)):
                node.meta["layer"] = not isinstance(owner, NORMS)
                yield node


def _layers(nodes: Iterable[fx.Node]) -> int:
    return sum(node.meta["layer"] for node in nodes)


def _transformer(module: Any, prefix: str, found: Trace) -> None:
    """Place the layers inside torch's own Transformer layer, whose forward cannot be traced."""
    activation = module.activation
    label = getattr(activation, "__name__", type(activation).__name__.lower())
    value = label if label in FUNCTIONS else activation
    attentions = [name for name in ("self_attn", "multihead_attn") if hasattr(module, name)]
    for attention in attentions:
        for part, ends in ((attention, False), (f"{attention}.out_proj", True)):
            found.places[prefix + part] = Place(branch=found.branches, ends=ends)
        found.branches += 1
    found.places[f"{prefix}linear1"] = Place(value, label, branch=found.branches)
    found.places[f"{prefix}linear2"] = Place(branch=found.branches, ends=True)
    found.branches += 1
