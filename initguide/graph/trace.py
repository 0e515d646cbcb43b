"""Where each layer stands in its network: which activation follows it, which branch it ends.

The model's forward is run once on symbols (torch.fx), which costs nothing and changes nothing. What
cannot be run so, such as a forward that branches on values, is taken apart into its submodules, and
what is then not known is said.
"""

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from initguide._state import unchanged
from initguide.activations import FUNCTIONS
from initguide.fans import Fans, fans, layer_fans
from initguide.graph.custom_layers import foreign
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, TRANSFORMER, Place
from initguide.graph.next_activation import following
from initguide.graph.param_roles import Use, use_of
from initguide.graph.residual import branches
from initguide.graph.tracer import graph_of


@dataclass
class Trace:
    """The places of layers and norms by name, how many residual branches there are, and more.

    Attributes:
        places: By the module's name; of a weight that no layer holds, by its own.
        branches: How many there are.
        uses: What the forward does with parameters that no layer holds, by their names.
    """

    places: dict[str, Place] = field(default_factory=dict)
    branches: int = 0
    uses: dict[str, Use] = field(default_factory=dict)

    def fans(self, name: str, module: nn.Module, key: str) -> Fans:
        """Return the fans of a parameter: by its layer, or by what the forward does with it."""
        use, shape = self.uses.get(name), getattr(module, key).shape
        flipped = foreign(module).flipped
        if use is not None and use.kind == "weight" and not use.label.startswith("conv"):
            flipped = use.flipped
        if flipped is None:
            return layer_fans(module, key)
        # Several of them may be stacked.
        return fans(shape[-2:][::-1] if flipped else shape[-2:])

    def place(self, name: str) -> Place:
        """Return the place of a module."""
        return self.places.get(name, Place(label="unknown", note="the trace did not reach it"))


def trace(model: nn.Module) -> Trace:
    """Return the places of a model's layers.

    Args:
        model: Any module; it is not changed and needs no input.

    Returns:
        A [Trace][initguide.graph.trace.Trace].
    """
    found = Trace()
    with unchanged(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _trace(model, "", found)
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, TRANSFORMER):
            _transformer(module, prefix, found)
        elif isinstance(module, nn.MultiheadAttention) and f"{prefix}out_proj" not in found.places:
            # Its last layer is a module of its own.
            place = found.place(name)
            found.places[f"{prefix}out_proj"] = place
            found.places[name] = Place(branch=place.branch)
    first = {id(module): name for name, module in model.named_modules()}
    for name, module in model.named_modules(remove_duplicate=False):
        if first[id(module)] in found.places:
            found.places.setdefault(name, found.places[first[id(module)]])
    return found


def _trace(module: nn.Module, name: str, found: Trace) -> None:
    if isinstance(module, (*LAYERS, *PACKED, *NORMS, *TRANSFORMER)):
        place = Place(label="output") if not name else Place(note="what follows is not known")
        found.places.setdefault(name, place)
        return
    prefix = f"{name}." if name else ""
    try:
        graph = graph_of(module)
    except Exception as error:
        reason = f"forward of {name or 'the model'} cannot be traced: {type(error).__name__}"
        for child_name, child in module.named_children():
            _trace(child, prefix + child_name, found)
            if isinstance(child, (*LAYERS, *PACKED)):
                place = found.places[prefix + child_name]
                found.places[prefix + child_name] = replace(place, note=reason)
        return
    modules = dict(module.named_modules())
    held = dict(module.named_parameters(remove_duplicate=False))
    for node in graph.nodes:
        if node.op == "get_attr" and str(node.target) in held:
            use = use_of(node, held[str(node.target)])
            found.uses.setdefault(prefix + str(node.target), use)
            if use.kind == "weight" and use.node is not None:
                place = following(use.node, modules, whole=not name)
                found.places.setdefault(prefix + str(node.target), place)
        owner = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(owner, (*LAYERS, *PACKED, *NORMS)):
            place = following(node, modules, whole=not name)
            found.places.setdefault(prefix + str(node.target), place)
    for branch in branches(graph, modules):
        # What an inner branch holds is not the outer one's.
        own = [m for m in branch.members if _outside(m, prefix, found)]
        for member in own:
            place = found.places[prefix + member]
            ends = member in branch.ends
            found.places[prefix + member] = replace(place, branch=found.branches, ends=ends)
        found.branches += bool(own)


def _outside(member: str, prefix: str, found: Trace) -> bool:
    return prefix + member in found.places and found.places[prefix + member].branch is None


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
