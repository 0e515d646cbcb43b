"""What is recorded of one layer: its output, its activation, its gradient, its place."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from initguide.diagnostics.weights import OwnWeight, kind
from initguide.graph.trace import LayerInfo
from initguide.model.spectral_norm import spectral_norm_of

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(eq=False)
class Layer:
    """A layer at its first call. Numbers on another device are read when the run is over.

    A layer is a module, or an operation in which the forward uses a parameter itself.

    Attributes:
        name: The name in `named_modules`, or in `named_parameters`.
        module: The module, or the parameter with its operation.
        bit: Its position in the sets of layers of `Flows`.
        place: The activation that follows it.
        output: Mean, std over the batch and rms of the output.
        input: The same of the input. It is measured for the first layer, after a norm, and where
            the weights are zero.
        read: The rms of the input.
        units: The number of its units.
        entries: The number of entries of the output.
        batched: Whether there are several inputs, so that there is a std.
        equal: Whether all units give the same output.
        zeros: The share of zeros after a rectifier.
        dead: The number of units that a rectifier sets to zero for every input.
        saturated: The share of outputs where the slope of the activation is nearly zero.
        gradient: The norm of the gradient with respect to the output.
        normed: Whether a norm follows before the next layer.
        fresh: Whether a norm came between it and the layer before.
        shuffled: Whether its channels become pixels.
        branch: The number of the residual branch that holds it, None outside.
        ends: Whether a residual branch adds its output to the stream.
        head: Whether the model returns its output, and no layer follows.
        passed_by: Whether a signal leads around it, within its branch.
        alone: Whether it is a whole residual branch.
        without_inputs: Whether it is computed from parameters alone.
        added: The size of the number that the forward adds to its output.
        weights: Facts about its weights.
    """

    name: str
    module: Any
    bit: int
    place: LayerInfo
    output: Any
    input: Any
    read: Any
    units: int
    entries: int
    batched: bool
    equal: Any
    zeros: Any = None
    dead: Any = None
    saturated: Any = None
    gradient: Any = None
    normed: bool = False
    fresh: bool = False
    shuffled: bool = False
    branch: int | None = None
    ends: bool = False
    head: bool = False
    alone: bool = False
    passed_by: bool = False
    without_inputs: bool = False
    added: float = 0.0
    weights: Any = None

    @property
    def is_table(self) -> bool:
        """Whether it looks vectors up, or adds them, and multiplies nothing."""
        if isinstance(self.module, OwnWeight):
            return self.module.role == "table"
        return isinstance(self.module, EMBEDDINGS)

    @property
    def is_factor(self) -> bool:
        """Whether it multiplies the entries of the signal by a parameter."""
        return isinstance(self.module, OwnWeight) and self.module.role == "scale"

    @property
    def has_set_scale(self) -> bool:
        """Whether a spectral norm sets the scale of its weight, whatever was drawn."""
        return spectral_norm_of(self.module, "weight") is not None

    @property
    def kind(self) -> str:
        """The class of the module, or the operation that uses the parameter."""
        return self.module.operation if isinstance(self.module, OwnWeight) else kind(self.module)
