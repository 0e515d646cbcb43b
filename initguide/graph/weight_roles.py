"""The role of each weight in its block: query, value, gate, router, head and so on.

The graph of the forward tells the role: a query is what attention compares with keys, and a gate
goes through an activation before it is multiplied by another projection. Names help only where the
forward cannot be traced.
"""

import re
from dataclasses import dataclass

from torch import nn

from initguide.graph.layer_info import LAYERS, NORMS, PACKED, LayerInfo
from initguide.graph.role_reader import RoleReader, role_by_name
from initguide.graph.trace import Trace

# What the name of a weight's original values has beside the name of the weight.
_OF_ORIGINAL = re.compile(r"parametrizations\.|\.original\d*$|_orig$")


@dataclass(frozen=True)
class WeightRole:
    """The role of one weight.

    Attributes:
        kind: The role: "embedding", "position", "head", "query", "key", "value", "qkv", "output"
            (of attention), "gate", "up", "gate_up", "down", "router", "modulation" (scales and
            shifts of norms), "conditioning", "patch", "conv", "mixer input", "mixer output" (of a
            state-space block), "dt", or "unknown".
        block: The index of its block, or None if no residual branch holds it.
    """

    kind: str
    block: int | None = None


def weight_roles(model: nn.Module, trace: Trace) -> dict[str, WeightRole]:
    """Return the role of each weight by the name of the parameter, in the order of the model.

    Args:
        model: The model.
        trace: Its trace.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    kinds: dict[str, str] = {}
    for prefix, graph in trace.graphs:
        RoleReader(prefix, graph, model, trace, kinds).read()
    for name, module in modules.items():
        if isinstance(module, nn.MultiheadAttention):
            kinds[name], kinds[f"{name}.out_proj"] = "qkv", "output"
    # A role that a weight has by its branch, such as that of a latent projection before the query.
    attention = {trace.layer(n).branch for n, k in kinds.items() if k in ("query", "qkv")} - {None}
    mixers = {trace.layer(n).branch for n, k in kinds.items() if k == "conv"} - {None}
    weights = _weights(model, modules, trace, kinds)
    for layer in weights.values():
        if layer not in kinds:
            info = trace.layers.get(layer, LayerInfo())
            found = _by_place(info, attention, mixers) or role_by_name(layer)
            kinds[layer] = found or _by_shape(modules.get(layer), modules) or "unknown"
    blocks = _blocks(trace, kinds)
    return {
        name: WeightRole(kinds[layer], blocks.get(trace.layer(layer).branch))
        for name, layer in weights.items()
    }


def block_count(roles: dict[str, WeightRole]) -> int:
    """Return the number of blocks that the residual branches show; 0 if there are none."""
    return max((role.block + 1 for role in roles.values() if role.block is not None), default=0)


def _weights(
    model: nn.Module, modules: dict[str, nn.Module], trace: Trace, kinds: dict[str, str]
) -> dict[str, str]:
    """Return the layer of each weight: its module's name, or its own for one outside a layer."""
    found = {}
    for full_name, parameter in model.named_parameters(remove_duplicate=False):
        name = _OF_ORIGINAL.sub("", full_name)
        owner, _, key = name.rpartition(".")
        role = trace.roles.get(name)
        kind = "unknown" if role is None else role.kind
        is_layer = isinstance(modules[owner], (*LAYERS, *PACKED))
        is_norm = isinstance(modules[owner], NORMS)
        if "bias" in key or parameter.ndim < 2 or is_norm:
            continue
        if is_layer or kind in ("weight", "table", "unknown"):
            found[name] = owner if is_layer and name not in kinds else name
    return found


def _by_place(info: LayerInfo, attention: set[int | None], mixers: set[int | None]) -> str:
    if info.branch is not None and info.branch in mixers:
        return "mixer output" if info.ends else "mixer input"
    if info.branch is not None and info.branch in attention:
        return "output" if info.ends else "query"
    return "down" if info.branch is not None and info.ends else ""


def _by_shape(module: nn.Module | None, modules: dict[str, nn.Module]) -> str:
    """Return the role of a table, or of a layer with one output for each row of a table."""
    tables = [each for each in modules.values() if isinstance(each, nn.Embedding)]
    if module in tables:
        return "embedding"
    sizes = {table.num_embeddings for table in tables}
    return "head" if isinstance(module, nn.Linear) and module.out_features in sizes else ""


def _blocks(trace: Trace, kinds: dict[str, str]) -> dict[int | None, int]:
    """Return the index of the block of each residual branch: branches of a kind are counted."""
    ends: dict[int, str] = {}
    for name, info in trace.layers.items():
        if info.branch is not None and info.ends and name in kinds:
            ends.setdefault(info.branch, kinds[name])
    counts: dict[str, int] = {}
    blocks: dict[int | None, int] = {}
    for branch in sorted(ends):
        blocks[branch] = counts.get(ends[branch], 0)
        counts[ends[branch]] = blocks[branch] + 1
    return blocks
