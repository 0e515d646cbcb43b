"""The guide's networks, and the initializations that every comparison uses."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from initguide.activations import FUNCTIONS, Nonlinearity
from initguide.methods.kaiming import kaiming_normal_, kaiming_uniform_
from initguide.methods.normal import normal_, uniform_
from initguide.methods.orthogonal import orthogonal_
from initguide.methods.xavier import xavier_normal_

Layer = TypeVar("Layer", bound=nn.Module)

Initializer = Callable[[nn.Module, torch.Generator | None], None]
"""A whole-model initializer: a function that takes a model and a generator or None.

It changes the model in place.
"""

Activation = Nonlinearity | type[nn.Module]
"""An argument of [gain][initguide.gain], or the class of an activation module."""


class Elementwise(nn.Module):
    """An activation given by name or as a function."""

    def __init__(self, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        if isinstance(nonlinearity, str) and nonlinearity not in FUNCTIONS:
            names = ", ".join(sorted(FUNCTIONS))
            raise ValueError(f"nonlinearity must be one of {names}; got {nonlinearity!r}")
        if not callable(nonlinearity) and not isinstance(nonlinearity, str):
            raise TypeError(f"nonlinearity must be a name or a callable; got {nonlinearity!r}")
        self.name = nonlinearity if isinstance(nonlinearity, str) else repr(nonlinearity)
        self.function = FUNCTIONS[nonlinearity] if isinstance(nonlinearity, str) else nonlinearity

    def forward(self, z: Tensor) -> Tensor:
        """Apply the function to each entry."""
        return self.function(z)

    def extra_repr(self) -> str:
        """Name the function in the model's printout."""
        return self.name


def activation(nonlinearity: Activation) -> nn.Module:
    """Return an activation module from its class, or from an argument of `gain`."""
    if isinstance(nonlinearity, type):
        return nonlinearity()
    if isinstance(nonlinearity, nn.Module):
        return copy.deepcopy(nonlinearity)
    return Elementwise(nonlinearity)


def each_linear(fill_: Callable[..., object]) -> Initializer:
    r"""Return a whole-model initializer: `fill_` for every Linear weight, zero for every bias.

    Args:
        fill_: Fills a weight of shape `(out, in)` in place and takes the keyword `generator`, as
            [xavier_normal_][initguide.xavier_normal_] does.

    Returns:
        A function of a model and a generator (or None), which
        [train][initguide.experiments.train] and
        [signals_by_depth][initguide.experiments.signals_by_depth] take.

    Examples:
        ```python
        import initguide as init
        from initguide.experiments import each_linear, mlp

        model = mlp([64, 100, 10])
        constant_ = each_linear(lambda weight, generator: init.constant_(weight, 0.5))
        constant_(model, None)
        print(model[0].weight[0, :3].tolist(), model[0].bias[:2].tolist())
        #> [0.5, 0.5, 0.5] [0.0, 0.0]
        ```
    """

    @torch.no_grad()
    def initialize_(model: nn.Module, generator: torch.Generator | None = None) -> None:
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                fill_(layer.weight, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()

    return initialize_


@torch.no_grad()
def pytorch_default(model: nn.Module, generator: torch.Generator | None = None) -> None:
    """Initialize every Linear as `nn.Linear` does by itself.

    Weights and biases are uniform between -1 / sqrt(fan_in) and 1 / sqrt(fan_in), so their variance
    is 1 / (3 fan_in).
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            if layer.bias is not None:
                bound = 1 / math.sqrt(layer.in_features)
                uniform_(layer.bias, -bound, bound, generator=generator)


def _normal(std: float) -> Callable[..., Tensor]:
    return lambda weight, generator: normal_(weight, std=std, generator=generator)


INITIALIZATIONS: dict[str, Initializer] = {
    "PyTorch default": pytorch_default,
    "Xavier": each_linear(xavier_normal_),
    # The default nonlinearity, a leaky ReLU of slope zero, is ReLU.
    "He": each_linear(kaiming_normal_),
    "std 0.01": each_linear(_normal(0.01)),
    "std 1.0": each_linear(_normal(1.0)),
}


def uninitialized(kind: type[Layer], *args: Any, **options: Any) -> Layer:
    """Return a layer whose parameters have no values yet; the caller must initialize them.

    Torch's own way, a layer on the meta device, takes several times as long.
    """
    layer = _bare(kind)(*args, **options)
    layer.__class__ = kind
    return layer


@cache
def _bare(kind: type[Any]) -> type[Any]:
    """Return a subclass whose layers do not draw values."""
    return type(kind.__name__, (kind,), {"reset_parameters": lambda self: None})


def mlp(
    widths: Sequence[int],
    nonlinearity: Activation = nn.ReLU,
    *,
    layer_norm: bool = False,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    r"""Return a fully connected network.

    Each hidden layer is a Linear, a LayerNorm if `layer_norm` is true, and an activation. The
    output layer is a Linear.

    $$h_l = f\bigl(W_l h_{l-1} + b_l\bigr), \qquad
    h_l = f\bigl(\operatorname{LN}(W_l h_{l-1} + b_l)\bigr) \text{ with LayerNorm}$$

    Args:
        widths: The sizes from input to output: `(64, 100, 10)` has two Linear layers.
        nonlinearity: The class of the activation module, or an argument of
            [gain][initguide.gain].
        layer_norm: Whether a LayerNorm follows each hidden Linear.
        generator: The source of randomness for PyTorch's default weights; None is torch's global
            generator, as for any `nn.Linear`.

    Returns:
        The network, an `nn.Sequential` with inputs of shape `(batch, widths[0])`.

    Raises:
        ValueError: There are fewer than two widths, or one is not positive.

    Examples:
        ```python
        from initguide.experiments import mlp

        model = mlp([64, 100, 10], layer_norm=True)
        print([type(layer).__name__ for layer in model])
        #> ['Linear', 'LayerNorm', 'ReLU', 'Linear']
        ```
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths must be at least two positive sizes; got {tuple(widths)}")
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers.append(uninitialized(nn.Linear, fan_in, fan_out))
        if layer_norm:
            layers.append(nn.LayerNorm(fan_out))
        layers.append(activation(nonlinearity))
    layers.append(uninitialized(nn.Linear, widths[-2], widths[-1]))
    model = nn.Sequential(*layers)
    pytorch_default(model, generator)
    return model


def seeded_mlp(
    initialize_: Initializer,
    widths: Sequence[int],
    nonlinearity: Activation = nn.ReLU,
    *,
    layer_norm: bool = False,
    seed: int,
) -> nn.Sequential:
    """Return an [mlp][initguide.experiments.mlp] whose weights an initializer drew from a seed."""
    generator = torch.Generator().manual_seed(seed)
    model = mlp(widths, nonlinearity, layer_norm=layer_norm, generator=generator)
    initialize_(model, generator)
    return model


def lsuv_stack(nonlinearity: Activation, batch: int = 64) -> Initializer:
    r"""Return LSUV for a plain stack of Linear layers, each followed by one activation.

    Each weight becomes orthogonal and is then divided by the std of its layer's output on a batch
    of standard normal inputs, so that this output has variance one.

    Args:
        nonlinearity: The class of the activation module, or an argument of
            [gain][initguide.gain].
        batch: The number of inputs.

    Returns:
        A function of a stack of Linear layers and a generator, for
        [signals_by_depth][initguide.experiments.signals_by_depth].

    Examples:
        ```python
        from initguide.experiments import lsuv_stack, signals_by_depth

        starts = {"LSUV": lsuv_stack("tanh")}
        rows = signals_by_depth(starts, depth=5, width=64, nonlinearity="tanh")
        print(f"{rows[-1]['rms']:.1f}")
        #> 0.6
        ```
    """
    f = activation(nonlinearity)

    @torch.no_grad()
    def initialize_(model: nn.Module, generator: torch.Generator | None = None) -> None:
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        like = layers[0].weight
        h = torch.randn(batch, like.shape[1], generator=generator, dtype=like.dtype)
        for layer in layers:
            orthogonal_(layer.weight, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
            layer.weight /= layer(h).std(correction=0)
            h = f(layer(h))

    return initialize_
