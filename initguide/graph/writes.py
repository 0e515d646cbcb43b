"""Follow the writes in place of a forward that runs on proxies.

A graph holds no memory, so each write makes a node, and the tensor is this node from then on. A
forward may also write to a tensor that it made itself, such as `torch.zeros(4, 8)`, which is no
proxy.
"""

from typing import Any

from torch import Tensor, fx
from torch.fx.node import map_aggregate
from torch.fx.proxy import Attribute
from torch.overrides import TorchFunctionMode, is_tensor_method_or_property


class Writes(TorchFunctionMode):
    """The tensors that a forward wrote to; while active, they act as the proxies of the writes."""

    def __init__(self) -> None:
        super().__init__()
        # Each tensor is kept, so that no other tensor gets its id.
        self._written: dict[int, tuple[Tensor, fx.Proxy]] = {}

    def add(self, tensor: Any, result: fx.Proxy) -> None:
        """Use the result of a write in place of the tensor or the proxy that was written to."""
        if isinstance(tensor, Attribute):
            # A write to `weight.data`, such as a clamp, leaves the role of the weight as it is.
            return
        if isinstance(tensor, fx.Proxy):
            tensor.node = result.node
        elif isinstance(tensor, Tensor):
            self._written[id(tensor)] = tensor, result

    def proxy_of(self, value: Any) -> Any:
        """Return the proxy of a tensor that was written to, and any other value itself."""
        return self._written.get(id(value), (None, value))[1]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, with proxies for the tensors that were written to."""
        met: list[Any] = []

        def replaced(value: Any) -> Any:
            if id(value) in self._written:
                met.append(self.proxy_of(value))
            return self.proxy_of(value)

        kwargs = kwargs or {}
        if self._written:
            args, kwargs = map_aggregate((args, kwargs), replaced)  # pyright: ignore
        if not met:
            return func(*args, **kwargs)
        if func.__name__ == "__get__":
            return getattr(met[0], func.__self__.__name__)
        if is_tensor_method_or_property(func) and isinstance(args[0], fx.Proxy):
            return getattr(args[0], func.__name__)(*args[1:], **kwargs)
        return met[0].__torch_function__(func, types, args, kwargs)
