"""The record of a training run: rows by layer and step, and how far a step moves the weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from initguide.diagnostics.layer import Layer
from initguide.diagnostics.messages import name_of
from initguide.diagnostics.statistics import norm, plain
from initguide.diagnostics.weights import OwnWeight


@dataclass
class History:
    """The record of a training run, step by step.

    Attributes:
        steps: The number of updates to make.
        rows: For each layer, its rows, step by step.
        losses: The loss at each step.
        weights: The weights of each layer that require gradients.
        learned: For each weight, the first step at which its gradient is not zero.
        start: The layers at step 0.
        end: The layers at the last step.
        notes: What was not measured.
        stopped: Whether the last step has numbers that are not finite.
    """

    steps: int
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    weights: dict[str, list[nn.Parameter]] = field(default_factory=dict)
    learned: dict[Tensor, int] = field(default_factory=dict)
    start: list[Layer] = field(default_factory=list)
    end: list[Layer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False

    def note_gradients(self) -> None:
        """Add the weights that get their first gradient other than zero at the last step."""
        waiting = {p for held in self.weights.values() for p in held} - self.learned.keys()
        reached = [p for p in waiting if p.grad is not None and plain(p.grad).any()]
        self.learned.update(dict.fromkeys(reached, len(self.losses) - 1))


def trainable_weights(model: nn.Module, layer: Layer) -> list[nn.Parameter]:
    """Return the weights of a layer that can be trained, without its biases."""
    if isinstance(layer.module, OwnWeight):
        held = [model.get_parameter(layer.name)]
    else:
        held = [p for p in layer.module.parameters() if p.ndim > 1]
    return [parameter for parameter in held if parameter.requires_grad]


def update(
    optimizer: torch.optim.Optimizer, weights: Mapping[str, list[nn.Parameter]]
) -> dict[str, tuple[float, float]]:
    """Take a step; return the rms of each layer's weights before it, and of their change."""
    before = {p: p.detach().clone() for held in weights.values() for p in held}
    sizes = {p: float(norm(value)) for p, value in before.items()}
    optimizer.step()
    changes = {p: float(norm(value.sub_(p.detach()))) for p, value in before.items()}
    updates = {}
    for name, held in weights.items():
        if held:
            root = math.sqrt(sum(p.numel() for p in held))
            size, change = (math.hypot(*(norms[p] for p in held)) for norms in (sizes, changes))
            updates[name] = size / root, change / root
    return updates


def row_of(
    step: int, loss: float, layer: Layer, update: tuple[float, float] | None
) -> dict[str, Any]:
    """Return the row of one layer at one step."""
    size, change = update or (None, 0.0)
    _, std, rms = layer.output
    gradient = layer.gradient
    return {
        "layer": name_of(layer),
        "kind": layer.kind,
        "step": step,
        "loss": loss,
        "rms": rms,
        "std": std if layer.batched else None,
        "gradient_rms": None if gradient is None else gradient / math.sqrt(layer.entries),
        "dead": None if layer.dead is None else layer.dead / layer.units,
        "weight_rms": size,
        "update": change / size if size else None,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of one layer in the printed table."""
    updates = [row["update"] for row in rows if row["update"] is not None]
    first, last = rows[0], rows[-1]
    return {
        "layer": first["layer"],
        "kind": first["kind"],
        "update": median(updates) if updates else None,
        "largest": max(updates) if updates else None,
        "rms_first": first["rms"],
        "rms_last": last["rms"],
        "drift": last["rms"] / first["rms"] if first["rms"] else None,
        "dead_first": first["dead"],
        "dead_last": last["dead"],
    }
