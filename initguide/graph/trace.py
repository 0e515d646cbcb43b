"""Trace a model: which activation follows each layer, and which residual branch holds it.

A private copy of the model runs, so a forward that writes to buffers, lists or globals changes
nothing. It runs on proxies (torch.fx), which need no data. Some forwards cannot run so, for example
one that branches on values. They run on a batch if there is one. Otherwise each submodule is traced
by itself, and the result notes what stays unknown, and why.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from torch import fx, nn

from initguide._copies import private_copy
from initguide._isolation import isolated, silence
from initguide._stand_ins import NotCopiedError
from initguide._state import naming_the_layer
from initguide.activations import FUNCTIONS
from initguide.fans import Fans, fans, layer_fans
from initguide.graph.custom_layers import custom_layer
from initguide.graph.forward_graph import LayerTracer, forward_graph
from initguide.graph.layer_info import (
    LAYERS,
    NORMS,
    PACKED,
    TRANSFORMER,
    LayerInfo,
    has_own_forward,
)
from initguide.graph.next_activation import NOT_KNOWN
from initguide.graph.operations import SUMS, operation_name
from initguide.graph.param_roles import Role
from initguide.graph.proxies import EndlessError, NeedsDataError, argument_choices
from initguide.graph.read_graph import read_graph
from initguide.graph.recorded import recorded_graph

_KNOWN = (*LAYERS, *PACKED, *NORMS, *TRANSFORMER)
_UNREACHED = LayerInfo(label=NOT_KNOWN, note="the trace did not reach this layer")


@dataclass
class Trace:
    """What a trace of a model found.

    Attributes:
        layers: The layers and norms by name; a weight outside any layer by its own name.
        branch_count: The number of residual branches.
        roles: The roles of parameters that the forward reads itself, by their names.
        graphs: The graphs of the model or of its parts, each with the prefix of its names.
        tables_read_back: The tables whose vectors a tied head reads from the stream at full size.
        needs_example: The modules whose own forward does not run on proxies.
        left_out_inputs: Whether the forward has inputs that were perhaps not given to it.
    """

    layers: dict[str, LayerInfo] = field(default_factory=dict)
    branch_count: int = 0
    roles: dict[str, Role] = field(default_factory=dict)
    graphs: list[tuple[str, fx.Graph]] = field(default_factory=list)
    tables_read_back: set[str] = field(default_factory=set)
    needs_example: set[str] = field(default_factory=set)
    left_out_inputs: bool = False

    def layer(self, name: str) -> LayerInfo:
        """Return the information on a layer."""
        return self.layers.get(name, _UNREACHED)

    def fans(self, name: str, module: nn.Module, key: str) -> Fans:
        """Return the fans of a parameter, by its layer or by its role in the forward.

        Args:
            name: The parameter's full name.
            module: The module that holds it.
            key: Its name in that module.
        """
        role, shape = self.roles.get(name), getattr(module, key).shape
        layout = custom_layer(module).layout
        if role is not None and role.kind == "weight":
            if role.fans is not None:
                return role.fans
            layout = role.layout
        if layout is None:
            return layer_fans(module, key)
        # Several weights may be stacked along the leading axes.
        return fans(shape[-2:], layout)


def trace(model: nn.Module, example: Any = None) -> Trace:
    """Trace a model.

    Args:
        model: Any module; it is not changed.
        example: A batch to run the forward on: a tuple of arguments, a dict of keyword arguments,
            or one argument. None runs it on proxies.

    Returns:
        A [Trace][initguide.graph.trace.Trace].

    Raises:
        ValueError: The forward does not accept the example.
    """
    with isolated(model, values=example is not None) as private:
        return trace_private(model, private, example)


def trace_private(model: nn.Module, private: nn.Module, example: Any = None) -> Trace:
    """Trace a model whose private copy exists already.

    Args:
        model: Any module; it does not run.
        private: The copy, which runs; with the values of all parameters if there is an example.
        example: As in [trace][initguide.graph.trace.trace].
    """
    result = Trace()
    with suppress(ValueError):
        # A scripted forward has no signature.
        result.left_out_inputs = example is None and len([*argument_choices(private)]) > 2
    with silence():
        for module, copied in zip(model.modules(), private.modules(), strict=True):
            custom_layer(module, copied)
        graph = None if example is None else _graph_on(private, example)
        if graph is None:
            _trace(private, "", result)
        else:
            _trace_graph(graph, private, "", result)
            _trace_unreached(private, "", result)
        for name, module in private.named_modules():
            if isinstance(module, LAYERS) and has_own_forward(module):
                _add_own_forward(module, name, result)
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, TRANSFORMER):
            _add_transformer(module, prefix, result)
        elif isinstance(module, nn.MultiheadAttention) and f"{prefix}out_proj" not in result.layers:
            # The output of attention is that of its projection, which is a separate module.
            info = result.layer(name)
            result.layers[f"{prefix}out_proj"] = info
            result.layers[name] = LayerInfo(branch=info.branch)
    # A module with several names has the same information under each.
    first = {id(module): name for name, module in model.named_modules()}
    for name, module in model.named_modules(remove_duplicate=False):
        if first[id(module)] in result.layers:
            result.layers.setdefault(name, result.layers[first[id(module)]])
    return result


def _trace(module: nn.Module, name: str, result: Trace, reason: str = "") -> None:
    """Add a module's layers to `result`; the reason says why the module is traced by itself."""
    if isinstance(module, _KNOWN):
        note = reason or "the next operation is unknown"
        info = LayerInfo(label=NOT_KNOWN, note=note) if name else LayerInfo(label="output")
        result.layers.setdefault(name, info)
        return
    try:
        graph = forward_graph(module)
    except (Exception, EndlessError) as error:
        # A list of modules has no forward, and is not the reason.
        if getattr(type(module), "forward", None) is not nn.Module.forward or not reason:
            reason = f"forward of {name or 'the model'} cannot be traced: {_reason(error)}"
        if not isinstance(error, NotCopiedError):
            result.needs_example.add(name)
        for child_name, child in module.named_children():
            _trace(child, f"{name}.{child_name}".strip("."), result, reason)
    else:
        _trace_graph(graph, module, name, result)


def _trace_unreached(module: nn.Module, name: str, result: Trace) -> None:
    """Add the layers in those parts of a model that the example did not reach."""
    names = (f"{name}.{each}".strip(".") for each, _ in module.named_modules())
    if not any(each in result.layers for each in names):
        if any(isinstance(each, (*LAYERS, *PACKED)) for each in module.modules()):
            _trace(module, name, result, "the example did not reach this layer")
    elif not isinstance(module, _KNOWN):
        for child_name, child in module.named_children():
            _trace_unreached(child, f"{name}.{child_name}".strip("."), result)


def _graph_on(model: nn.Module, example: Any) -> fx.Graph | None:
    """Return the graph of a model's forward on an example, or None if no copy of it can run."""
    if isinstance(model, _KNOWN):
        return None
    tracer = LayerTracer(model)
    leaves = {m for name, m in model.named_modules() if tracer.is_leaf_module(m, name)}
    try:
        with naming_the_layer(model):
            return recorded_graph(model, leaves, private_copy(example))
    except NotCopiedError:
        return None
    except Exception as error:
        notes = ", ".join(getattr(error, "__notes__", []))
        raise ValueError(
            f"example must be a batch that the forward accepts; got {type(error).__name__}: {error}"
            f"{', ' if notes else ''}{notes}"
        ) from error


def _trace_graph(graph: fx.Graph, module: nn.Module, name: str, result: Trace) -> None:
    """Add the layers in the graph of a module's forward to `result`."""
    prefix = f"{name}." if name else ""
    result.graphs.append((prefix, graph))
    facts = read_graph(graph, module, whole_model=not name)
    for key, info in facts.layers.items():
        result.layers.setdefault(prefix + key, info)
    for key, role in facts.roles.items():
        result.roles.setdefault(prefix + key, role)
    result.tables_read_back |= {prefix + key for key in facts.tables_read_back}
    for branch in facts.branches:
        # The members of an inner branch do not belong to the outer one.
        members = [m for m in branch.members if _is_outside_branches(prefix + m, result)]
        for member in members:
            result.layers[prefix + member] = replace(
                result.layers[prefix + member],
                branch=result.branch_count,
                ends=member in branch.ends,
                sum_factor=branch.factor,
            )
        result.branch_count += bool(members)


def _add_own_forward(layer: nn.Module, name: str, result: Trace) -> None:
    """Add the use of the weight and of further parameters in a subclass of a layer of torch.

    Examples are a weight that the forward multiplies by a constant, adapters, and noise.
    """
    try:
        graph = forward_graph(layer)
    except (Exception, EndlessError):
        # Then the layer is one node.
        return
    prefix = f"{name}." if name else ""
    facts = read_graph(graph, layer, whole_model=False)
    result.graphs.append((prefix, graph))
    # What follows the last operation follows the layer.
    sums = [each for each in map(operation_name, graph.nodes) if each in SUMS]
    after = result.layer(name)
    after = replace(after, branch=None, ends=False, between=(*sums, *after.between))
    for key, info in facts.layers.items():
        if key not in ("weight", "bias"):
            result.layers.setdefault(prefix + key, after if info.label == NOT_KNOWN else info)
    for key, role in facts.roles.items():
        if key != "bias" and (key != "weight" or (role.kind == "weight" and role.factor != 1)):
            result.roles.setdefault(prefix + key, role)


def _reason(error: BaseException) -> str:
    """Return in a few words why a forward cannot be traced."""
    if isinstance(error, (EndlessError, NeedsDataError)):
        return f"{error}, which needs an example"
    if isinstance(error, NotCopiedError):
        return str(error)
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if len(text) < 60 else type(error).__name__


def _is_outside_branches(name: str, result: Trace) -> bool:
    return name in result.layers and result.layers[name].branch is None


def _add_transformer(module: Any, prefix: str, result: Trace) -> None:
    """Add the layers of torch's own Transformer layer, whose forward cannot be traced."""
    activation = module.activation
    label = getattr(activation, "__name__", type(activation).__name__.lower())
    value = label if label in FUNCTIONS else activation
    attentions = [name for name in ("self_attn", "multihead_attn") if hasattr(module, name)]
    for attention in attentions:
        for part, ends in ((attention, False), (f"{attention}.out_proj", True)):
            result.layers[prefix + part] = LayerInfo(branch=result.branch_count, ends=ends)
        result.branch_count += 1
    result.layers[f"{prefix}linear1"] = LayerInfo(value, label, branch=result.branch_count)
    result.layers[f"{prefix}linear2"] = LayerInfo(branch=result.branch_count, ends=True)
    result.branch_count += 1
