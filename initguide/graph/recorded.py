"""Record the graph of a forward that runs on a batch, in the form that a trace on proxies has.

Some forwards need data: they branch on a value, or count the entries of a mask. On a batch they run
as they are, and each call of a torch function is recorded.
"""

import inspect
import operator
import types
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from initguide.graph.operations import is_write

# Methods of tensors whose operands are in the other order, and operators with another name.
_REFLECTED = {
    "__rsub__": operator.sub,
    "__rdiv__": operator.truediv,
    "__rtruediv__": operator.truediv,
    "__rpow__": operator.pow,
    "__rfloordiv__": operator.floordiv,
    "__rmatmul__": operator.matmul,
}
_OPERATORS = {"__getitem__": operator.getitem, "__setitem__": operator.setitem}
# The attributes of a module in which torch keeps tensors and other modules.
_OF_MODULES = set(vars(nn.Module()))
# Values that a graph can store.
_STORED = (type(None), bool, int, float, complex, str, torch.dtype, torch.device, slice, type(...))


def recorded_graph(model: nn.Module, leaves: set[nn.Module], example: Any) -> fx.Graph:
    """Return the graph of a model's forward on a batch.

    Args:
        model: A private copy of the model, since its modules get other forwards for the run.
        leaves: The modules that are one node of the graph each.
        example: The batch: a tuple of arguments, a dict of keyword arguments, or one argument.
    """
    recorder = _Recorder(model)
    called = [each for each in model.named_modules() if each[1] in leaves]
    before = [vars(module).get("forward") for _, module in called]
    for name, module in called:
        vars(module)["forward"] = partial(recorder.call_module, name, module.forward)
    arguments, named = arguments_of(model, example)
    for name, value in (*enumerate(arguments), *named.items()):
        recorder.attach(value, recorder.graph.placeholder(f"input_{name}"))
    with torch.no_grad(), recorder:
        output = model(*arguments, **named)
    recorder.graph.output(recorder.stored(output))
    recorder.drop_checks()
    # Activations are part of the result, and must not record any more.
    for (_, module), forward in zip(called, before, strict=True):
        vars(module)["forward"] = forward
        if forward is None:
            del vars(module)["forward"]
    return recorder.graph


def arguments_of(model: nn.Module, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a batch as the arguments and the keyword arguments of a model's forward."""
    if isinstance(example, Mapping) and all(isinstance(key, str) for key in example):
        named = {**example}
        try:
            inspect.signature(model.forward).bind(**named)
        except TypeError:
            # The model takes the dict itself.
            return (example,), {}
        return (), named
    return (example if type(example) is tuple else (example,)), {}


class _Recorder(TorchFunctionMode):
    """Record each torch function that is called, and which earlier results it was given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.graph = fx.Graph()
        # Each tensor is kept, so that no other tensor gets its id.
        self.nodes: dict[int, tuple[Tensor, fx.Node]] = {}
        self.constants: set[fx.Node] = set()
        self.is_paused = False
        for name, parameter in model.named_parameters():
            self.attach(parameter, self.graph.create_node("get_attr", name))
        for name, module in model.named_modules():
            for key, value in (*vars(module).items(), *module.named_buffers(recurse=False)):
                if key not in _OF_MODULES and _has_tensor(value):
                    self.add_constant(value, f"{name}.{key}".strip("."))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.is_paused:
            return func(*args, **kwargs)
        # Before the call, because an operation in place gives its argument another node.
        before = self.stored(args), self.stored(kwargs)
        result = func(*args, **kwargs)
        name = func.__name__
        if name == "__get__":
            before = (before[0][0], func.__self__.__name__), {}
            func = getattr
        elif name in _REFLECTED:
            func, before = _REFLECTED[name], (before[0][::-1], {})
        # `x[i] = y` returns nothing, and gives `x` another node.
        changed = args[0] if name == "__setitem__" else result
        if _has_tensor(changed):
            self.add(changed, *_as_call(_OPERATORS.get(name, func)), *before)
        return result

    def call_module(self, name: str, forward: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a module as one node of the graph."""
        if self.is_paused:
            return forward(*args, **kwargs)
        before = self.stored(args), self.stored(kwargs)
        self.is_paused = True
        try:
            result = forward(*args, **kwargs)
        finally:
            self.is_paused = False
        self.add(result, "call_module", name, *before)
        return result

    def add(self, result: Any, op: str, target: Any, args: Any, kwargs: Any) -> None:
        """Add a node for an operation and its result."""
        node = self.graph.create_node(op, target, args, kwargs)
        if {*node.all_input_nodes} <= self.constants and op != "call_module":
            self.graph.erase_node(node)
            self.add_constant(result, node.name)
        else:
            self.attach(result, node)

    def add_constant(self, value: Any, name: str) -> None:
        """Add tensors that are constant: they depend on no input and on no parameter."""
        node = self.graph.create_node("get_attr", name)
        node.meta["value"] = value
        self.constants.add(node)
        self.attach(value, node)

    def drop_checks(self) -> None:
        """Remove operations whose results nothing uses, such as a test for NaN."""
        for node in reversed(self.graph.nodes):
            is_call = node.op in ("call_function", "call_method")
            if is_call and not node.users and not is_write(node):
                self.graph.erase_node(node)

    def attach(self, value: Any, node: fx.Node) -> None:
        """Remember which node computes a tensor, or each tensor in a container."""
        if isinstance(value, Tensor):
            self.nodes[id(value)] = value, node
            return
        for key, part in _parts(value):
            if _has_tensor(part):
                is_item = isinstance(value, (tuple, list, Mapping))
                step = operator.getitem if is_item else getattr
                is_constant = node in self.constants
                own = node if is_constant else self.graph.call_function(step, (node, key))
                self.attach(part, own)

    def stored(self, value: Any) -> Any:
        """Return an argument in the form in which the graph stores it: tensors are nodes."""
        if isinstance(value, Tensor):
            return self.node_of(value)
        if isinstance(value, (tuple, list)):
            kind = list if isinstance(value, list) else tuple
            return kind(map(self.stored, value))
        if isinstance(value, slice):
            return slice(*map(self.stored, (value.start, value.stop, value.step)))
        if isinstance(value, Mapping) or _has_tensor(value):
            return {str(key): self.stored(part) for key, part in _parts(value)}
        return value if isinstance(value, _STORED) else None

    def node_of(self, tensor: Tensor) -> fx.Node:
        """Return the node that computes a tensor.

        Functions outside torch, such as those of other libraries, are not recorded. What they
        return may depend on every result that nothing has used yet.
        """
        if id(tensor) not in self.nodes:
            ends = [n for n in self.graph.nodes if not n.users and n.op.startswith("call")]
            self.attach(tensor, self.graph.call_function(_function_outside_torch, tuple(ends)))
        return self.nodes[id(tensor)][1]


def _as_call(func: Any) -> tuple[str, Any]:
    """Return the kind of node and the target that a trace on proxies has for a function."""
    if isinstance(func, types.MethodDescriptorType):
        return "call_method", func.__name__
    return "call_function", func


def _function_outside_torch(*_: Any) -> None:
    """Stand in a graph for functions that are not recorded."""


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the parts of a container, or of an object with attributes, each with its key."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (tuple, list)):
        yield from enumerate(value)
    elif not isinstance(value, (nn.Module, type)) and hasattr(value, "__dict__"):
        yield from vars(value).items()


def _has_tensor(value: Any, depth: int = 4) -> bool:
    if isinstance(value, Tensor):
        return True
    if depth == 0 or callable(value) or isinstance(value, _STORED):
        return False
    return any(_has_tensor(part, depth - 1) for _, part in _parts(value))
