"""Read the roles of weights from the graph of a forward: query, gate, router and so on.

A query is what attention compares with keys, and a gate goes through an activation before it is
multiplied by another projection.
"""

import re
from collections.abc import Callable, Iterable

from torch import fx, nn

from initguide.activations import FUNCTIONS
from initguide.graph.classify import is_elementwise
from initguide.graph.layer_info import LAYERS, NORMS, PACKED, LayerInfo
from initguide.graph.operations import (
    FACTORS,
    MATRIX_PRODUCTS,
    SPLITS,
    depends_on,
    is_norm_call,
    is_softmax,
    operation_name,
    value_inputs,
)
from initguide.graph.trace import Trace

_CHOICES = {"topk", "sort", "argsort"}
_QKV = ("query", "key", "value")
# The roles of common names, used where a forward cannot be traced. The first match decides.
_NAMES = (
    ("position", r"wpe|pos(ition)?_?emb\w*|\w*position_embeddings"),
    ("embedding", r"wte|tok_embeddings|embed_tokens|word_embeddings|embed_in"),
    ("router", r"router\w*|gate"),
    ("qkv", r"c_attn|qkv(_proj)?|wqkv|query_key_value|in_proj_weight"),
    ("query", r"q_proj|wq|c_q|query|to_q|w?[qk]v?_[ab]_proj\w*|w?kv_[ab]\w*"),
    ("key", r"k_proj|wk|c_k|key|to_k"),
    ("value", r"v_proj|wv|c_v|value|to_v"),
    ("output", r"o_proj|wo|out_proj|to_out"),
    ("gate_up", r"gate_up_proj\w*|fc_gate_up"),
    ("gate", r"gate_proj|w1"),
    ("up", r"up_proj|w3|c_fc|fc1|linear1|dense_h_to_4h"),
    ("down", r"down_proj|w2|fc2|linear2|dense_4h_to_h"),
)


def role_by_name(layer: str) -> str:
    """Return the role that the name of a layer usually has, or an empty text."""
    parts = layer.removesuffix(".weight").split(".")
    for kind, pattern in _NAMES:
        if re.fullmatch(pattern, parts[-1]):
            return kind
    return ""


class RoleReader:
    """Read the roles of the layers in one graph, by steps that use the roles found before."""

    def __init__(
        self,
        prefix: str,
        graph: fx.Graph,
        model: nn.Module,
        trace: Trace,
        kinds: dict[str, str],
    ) -> None:
        self.graph, self.model, self.trace, self.kinds = graph, model, trace, kinds
        self.layers: dict[fx.Node, list[str]] = {
            node: [prefix + str(node.target)]
            for node in graph.nodes
            if isinstance(_module(node), (*LAYERS, *PACKED))
        }
        nodes = {*graph.nodes}
        for name, role in trace.roles.items():
            for node in role.nodes if role.kind == "weight" else ():
                if node in nodes:
                    self.layers.setdefault(node, []).append(name)
            if role.kind == "table" and role.node in nodes:
                kinds.setdefault(name, "position")

    def read(self) -> None:
        """Add the roles to `kinds`; the more certain ones come first."""
        self._tables_and_heads()
        self._attention()
        self._routers()
        self._modulations()
        self._mixers()
        self._gates()
        self._pairs()
        self._outside()

    def _set(self, nodes: Iterable[fx.Node], kind: str) -> None:
        for node in nodes:
            for name in self.layers[node]:
                self.kinds.setdefault(name, kind)

    def _is_free(self, node: fx.Node) -> bool:
        return not any(name in self.kinds for name in self.layers[node])

    def _info(self, node: fx.Node) -> LayerInfo:
        return self.trace.layer(self.layers[node][0])

    def _tables_and_heads(self) -> None:
        nodes = self.graph.nodes
        of_inputs = depends_on((n for n in nodes if n.op == "placeholder"), nodes)
        of_counts = depends_on((n for n in nodes if operation_name(n) == "arange"), nodes)
        for node, names in self.layers.items():
            if isinstance(_module(node), (nn.Embedding, nn.EmbeddingBag)):
                is_position = node not in of_inputs or node in of_counts
                is_position |= role_by_name(names[0]) == "position"
                self._set([node], "position" if is_position else "embedding")
        for node in self.layers:
            if self._info(node).last and self._info(node).branch is None:
                self._set([node], "head")

    def _attention(self) -> None:
        for node in self.graph.nodes:
            parts = self._parts_of_attention(node)
            if parts is None:
                continue
            query, key, value = ([*self._before(part)] for part in parts)
            for each in query:
                self._set([each], "qkv" if each in key or each in value else "query")
            for each in key:
                self._set([each], "key_value" if each in value else "key")
            self._set(value, "value")
            self._set(self._after(node), "output")

    def _parts_of_attention(self, node: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node] | None:
        """Return the nodes of query, key and value if a node computes attention."""
        if operation_name(node) == "scaled_dot_product_attention":
            found = [*node.args[:3], *(node.kwargs[k] for k in _QKV if k in node.kwargs)]
            query, key, value = (each for each in found if isinstance(each, fx.Node))
            return query, key, value
        if not is_softmax(node):
            return None
        scores = _first(node.all_input_nodes, value_inputs, self._is_product)
        means = _first(node.users, lambda n: n.users, self._is_product)
        if scores is None or means is None:
            return None
        weights = depends_on([node], self.graph.nodes)
        values = [n for n in means.all_input_nodes if n not in weights]
        return (*scores.all_input_nodes, values[0]) if values else None  # pyright: ignore

    def _is_product(self, node: fx.Node) -> bool:
        is_product = node not in self.layers and operation_name(node) in MATRIX_PRODUCTS
        return is_product and len(node.all_input_nodes) == 2

    def _routers(self) -> None:
        for node in self.graph.nodes:
            chooses = node.op != "call_module" and operation_name(node) in _CHOICES
            if chooses or is_softmax(node):
                self._set((n for n in self._before(node) if self._is_free(n)), "router")

    def _modulations(self) -> None:
        """Find the layers whose output scales the output of a norm."""
        for node in self.graph.nodes:
            if operation_name(node) not in FACTORS or len(node.all_input_nodes) != 2:
                continue
            for one, other in (node.all_input_nodes, node.all_input_nodes[::-1]):
                source = _first([one], value_inputs, lambda n: n in self.layers or _is_norm(n))
                if source is not None and _is_norm(source):
                    found = self._before(other)
                    if len(found) == 1 and not any(found.values()):
                        self._set(found, "modulation")

    def _mixers(self) -> None:
        for name, role in self.trace.roles.items():
            if role.kind == "time step" and name.endswith(".bias"):
                owner = name.removesuffix(".bias")
                self.kinds.setdefault(owner, "dt")
                self.kinds.setdefault(f"{owner}.weight", "dt")
        for node in [*self.layers]:
            if self._is_depthwise(node):
                self._set([node], "conv")
                branch = self._info(node).branch
                inside = [n for n in self.layers if self._info(n).branch == branch]
                if branch is not None:
                    self._set((n for n in inside if self._info(n).ends), "mixer output")
                    self._set(inside, "mixer input")

    def _is_depthwise(self, node: fx.Node) -> bool:
        """Return whether a node is a depthwise convolution over the positions."""
        module = _module(node)
        if module is not None:
            return isinstance(module, nn.Conv1d) and module.groups == module.in_channels > 1
        weight = self.model.get_parameter(self.layers[node][0])
        return operation_name(node) == "conv1d" and weight.shape[1] == 1

    def _gates(self) -> None:
        for node in self.graph.nodes:
            if operation_name(node) not in FACTORS or len(node.all_input_nodes) != 2:
                continue
            sides = [self._before(each) for each in node.all_input_nodes]
            if any(len(side) != 1 for side in sides):
                continue
            (one, first), (other, second) = (next(iter(side.items())) for side in sides)
            if first == second or not (self._is_free(one) and self._is_free(other)):
                continue
            if one is not other:
                self._set([one if first else other], "gate")
                self._set([other if first else one], "up")
            elif SPLITS & {
                operation_name(each) for user in one.users for each in (user, *user.users)
            }:
                self._set([one], "gate_up")
            else:
                continue
            self._set((n for n in self._after(node) if self._is_free(n)), "down")

    def _pairs(self) -> None:
        """Find two layers with an activation between."""
        for node in [*self.layers]:
            if not self._is_free(node) or self._info(node).label in ("linear", "not known"):
                continue
            after = [n for n in self._after(node) if self._before(*value_inputs(n)).get(node)]
            free = [n for n in after if self._is_free(n) or self._has(n, "down")]
            if free:
                following = {each for n in free for each in self._after(n)}
                inside = not following or not all(self._has(n, "modulation") for n in following)
                self._set([node], "up" if inside else "conditioning")
                self._set(free, "down" if inside else "conditioning")

    def _outside(self) -> None:
        for node in self.layers:
            if self._info(node).branch is None and isinstance(_module(node), nn.Conv2d):
                self._set([node], "patch")

    def _has(self, node: fx.Node, kind: str) -> bool:
        return all(self.kinds.get(name) == kind for name in self.layers[node])

    def _before(self, *nodes: fx.Node) -> dict[fx.Node, bool]:
        """Return the layers nearest before some nodes, and whether an activation follows each."""
        found: dict[fx.Node, bool] = {}
        seen: set[tuple[fx.Node, bool]] = set()
        queue = [(node, False) for node in nodes]
        while queue:
            each, activated = queue.pop()
            if (each, activated) in seen:
                continue
            seen.add((each, activated))
            if each in self.layers:
                found[each] = found.get(each, False) or activated
                continue
            activated |= _is_activation(each)
            queue += [(before, activated) for before in value_inputs(each)]
        return found

    def _after(self, node: fx.Node) -> set[fx.Node]:
        """Return the layers nearest after a node."""
        found, seen, queue = set(), set(), [*node.users]
        while queue:
            each = queue.pop()
            if each not in seen:
                seen.add(each)
                if each in self.layers:
                    found.add(each)
                else:
                    queue += each.users
        return found


def _module(node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls."""
    return node.meta.get("module")


def _is_norm(node: fx.Node) -> bool:
    return is_norm_call(node) or isinstance(_module(node), NORMS)


def _is_activation(node: fx.Node) -> bool:
    module = _module(node)
    if module is None:
        return operation_name(node) in FUNCTIONS
    return not isinstance(module, (*NORMS, nn.Dropout)) and is_elementwise(module)


def _first(
    starts: Iterable[fx.Node],
    step: Callable[[fx.Node], Iterable[fx.Node]],
    fits: Callable[[fx.Node], bool],
) -> fx.Node | None:
    """Return the nearest node that fits, on the way that a step function gives."""
    seen, queue = set(), list(starts)
    while queue:
        node = queue.pop(0)
        if fits(node):
            return node
        if node not in seen:
            seen.add(node)
            queue += step(node)
    return None
