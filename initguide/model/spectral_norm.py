"""Weights that are divided by their spectral norm, as in the discriminators of GANs.

The values of the original weight are drawn, and the layer divides them by an estimate of their
largest singular value. The estimate comes from two vectors that power iteration improves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm as SpectralNormHook

from initguide._torch_internals import SpectralNormStep, hooks_before

# From a random start, torch itself makes 15 iterations, or one in the old-style function.
ITERATIONS = 30


@dataclass(frozen=True)
class SpectralNorm:
    """What divides a weight by its spectral norm.

    Attributes:
        module: The layer.
        key: The name of its weight.
        holder: The module that holds the original weight.
        original_key: The name of the original weight in it.
        vectors_of: The module that holds the two vectors.
        vector_keys: Their names in it; none if the norm of the weight needs no estimate.
    """

    module: nn.Module
    key: str
    holder: nn.Module
    original_key: str
    vectors_of: nn.Module
    vector_keys: tuple[str, ...]

    @property
    def original(self) -> Any:
        """The weight before it is divided."""
        return getattr(self.holder, self.original_key)

    def tensors(self) -> Iterator[tuple[nn.Module, str, Tensor]]:
        """Yield the owner, the name in it and the tensor for each tensor that a write changes."""
        yield self.holder, self.original_key, self.original
        for key in self.vector_keys:
            yield self.vectors_of, key, getattr(self.vectors_of, key)
        if self.holder is self.module:
            yield self.module, self.key, getattr(self.module, self.key)

    def renew_(self) -> None:
        """Estimate the norm of new values, from a start that depends on nothing else.

        Raises:
            ValueError: The norm of the values is zero or not finite.
        """
        generator = torch.Generator("cpu").manual_seed(0)
        for key in self.vector_keys:
            vector = getattr(self.vectors_of, key)
            start = torch.randn(vector.shape, generator=generator, device="cpu")
            vector.copy_(start / start.norm())
        value = self._improved()
        if not bool(torch.isfinite(value).all()):
            largest = self.original.abs().max().item()
            raise ValueError(
                "a weight that is divided by its spectral norm must not be zero or infinite; "
                f"got a largest value of {largest:g}"
            )

    def _improved(self) -> Tensor:
        """Return the layer's weight after some iterations."""
        if self.holder is self.module:
            hook = next(h for h in _hooks(self.module) if h.name == self.key)
            value = self.original
            for _ in range(ITERATIONS):
                value = hook.compute_weight(self.module, do_power_iteration=True)
            # The forward replaces this plain attribute each time.
            setattr(self.module, self.key, value)
            return value
        step = self.vectors_of
        was_training = step.training
        try:
            step.training = True
            value = self.original
            for _ in range(ITERATIONS):
                value = step(self.original)
            return value
        finally:
            step.training = was_training


def spectral_norm_of(module: Any, key: str) -> SpectralNorm | None:
    """Return what divides a weight by its spectral norm and does no more, or None."""
    if is_parametrized(module, key):
        chain = module.parametrizations[key]
        if len(chain) == 1 and isinstance(chain[0], SpectralNormStep):
            keys = tuple(name for name, _ in chain[0].named_buffers())
            return SpectralNorm(module, key, chain, "original", chain[0], keys)
    for hook in _hooks(module):
        if hook.name == key:
            keys = (f"{key}_u", f"{key}_v")
            return SpectralNorm(module, key, module, f"{key}_orig", module, keys)
    return None


def hooked_weights(module: nn.Module) -> list[str]:
    """Return the weights of a layer that the old-style function divides."""
    return [hook.name for hook in _hooks(module)]


def _hooks(module: Any) -> list[SpectralNormHook]:
    return [hook for hook in hooks_before(module) if isinstance(hook, SpectralNormHook)]
