"""Measure a network before training: signal, gradient and activations by layer."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from initguide.experiments.models import (
    Activation,
    Initializer,
    activation,
    pytorch_default,
    uninitialized,
)
from initguide.experiments.rows import Rows


def _rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


def signals_by_depth(
    initializations: Mapping[str, Initializer],
    *,
    depth: int = 50,
    width: int = 256,
    batch: int = 64,
    nonlinearity: Activation = nn.ReLU,
    seeds: Iterable[int] = range(5),
) -> Rows:
    r"""Measure signal and gradient in each layer of freshly initialized deep networks.

    Standard normal inputs pass through `depth` layers of equal width. Then a standard normal
    gradient at the last activation is propagated back through them.

    $$\mathrm{rms}_l = \sqrt{\overline{h_l^2}}, \qquad
    \mathrm{gradient}_l = \sqrt{\overline{(\partial \ell / \partial z_l)^2}}, \qquad
    z_l = W_l h_{l-1} + b_l, \quad h_l = f(z_l)$$

    Args:
        initializations: Whole-model initializers by name, such as `INITIALIZATIONS`.
        depth: The number of layers.
        width: The size of input and layers.
        batch: The number of inputs.
        nonlinearity: The class of the activation module, or an argument of
            [gain][initguide.gain].
        seeds: One network, batch and gradient per seed. All initializations get the same batch.

    Returns:
        One row for each initialization, seed and layer (1 is the first): `initialization`, `seed`,
        `layer`, `rms` of the activations, `std` of the activations over the batch (the variance of
        each unit, averaged), `gradient_rms` with respect to the pre-activations. The computation
        uses float64; a value that overflows is inf or nan.

    Examples:
        ```python
        from initguide.experiments import INITIALIZATIONS, signals_by_depth

        rows = signals_by_depth(INITIALIZATIONS, depth=20, width=100, seeds=[0])
        last = {row["initialization"]: row["rms"] for row in rows if row["layer"] == 20}
        print(f"He {last['He']:.1g}, Xavier {last['Xavier']:.1g}")
        #> He 1, Xavier 0.001
        ```
    """
    if min(depth, width, batch) < 1:
        raise ValueError(
            f"depth, width and batch must be positive; got {depth}, {width} and {batch}"
        )
    seeds = list(seeds)
    return [
        {"initialization": name, "seed": seed} | row
        for name, initialize_ in initializations.items()
        for seed in seeds
        for row in _by_layer(initialize_, depth, width, batch, nonlinearity, seed)
    ]


def _by_layer(
    initialize_: Initializer,
    depth: int,
    width: int,
    batch: int,
    nonlinearity: Activation,
    seed: int,
) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    # In float32 a growing signal would overflow at 1e38.
    x = torch.randn(batch, width, generator=generator, dtype=torch.float64)
    cotangent = torch.randn(batch, width, generator=generator, dtype=torch.float64)
    f = activation(nonlinearity)
    linears = nn.Sequential(
        *(uninitialized(nn.Linear, width, width, dtype=torch.float64) for _ in range(depth))
    )
    # Parameters that the initializer does not set must not be uninitialized memory.
    pytorch_default(linears, generator)
    initialize_(linears, generator)
    before, after = [], []
    h = x
    for linear in linears:
        before.append(linear(h))
        h = f(before[-1])
        after.append(h)
    gradients = torch.autograd.grad(h, before, cotangent)
    return [
        {
            "layer": layer,
            "rms": _rms(h),
            "std": h.var(0).mean().sqrt().item(),
            "gradient_rms": _rms(gradient),
        }
        for layer, (h, gradient) in enumerate(zip(after, gradients, strict=True), start=1)
    ]


def activations(model: nn.Module, x: Tensor) -> Rows:
    r"""Record the hidden activations of a model and its output.

    A hidden activation is the input of a Linear layer. The input of the first one, the batch, is
    not recorded.

    $$\text{mean} = \overline{h_l}, \qquad \text{std}^2 = \overline{(h_l - \overline{h_l})^2}
    \qquad \text{over all units and inputs}$$

    Args:
        model: A network whose layers are Linear. The model and the random state are not changed.
        x: A batch of inputs, shape `(batch, features)`.

    Returns:
        One row for each layer (1 is the first hidden one, the last is the output): `layer`,
        `values` (a float64 array of shape `(batch, units)`), and their `mean`, `std`, `rms` and
        `zeros`, the share that is exactly zero.

    Examples:
        ```python
        import torch

        from initguide.experiments import INITIALIZATIONS, activations, mlp

        generator = torch.Generator().manual_seed(0)
        model = mlp([100, 100, 100, 10], generator=generator)
        INITIALIZATIONS["He"](model, generator)
        rows = activations(model, torch.randn(1000, 100, generator=generator))
        print([f"{row['layer']}: {row['zeros']:.1f}" for row in rows])
        #> ['1: 0.5', '2: 0.5', '3: 0.0']
        ```
    """
    with torch.no_grad():
        return _summaries(_hidden_and_output(model, x))


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> Rows:
    r"""Record the gradient of the cross-entropy loss at each hidden activation and the output.

    $$g_l = \frac{\partial\, n \ell}{\partial h_l}, \qquad
    \ell = -\frac1n \sum_{i=1}^n \log p(y_i \mid x_i)$$

    The factor n turns the entries into the gradients of each sample's own loss, so they do not
    depend on the batch size.

    Args:
        model: A network whose layers are Linear. The model, its gradients and the random state are
            not changed.
        x: A batch of inputs, shape `(batch, features)`.
        y: Their classes, shape `(batch,)`.

    Returns:
        Rows as from [activations][initguide.experiments.activations], but about the gradients.

    Examples:
        ```python
        import torch

        from initguide.experiments import INITIALIZATIONS, digits, gradients, mlp

        model = mlp([64, 100, 100, 100, 10])
        INITIALIZATIONS["std 0.01"](model, torch.Generator().manual_seed(0))
        data = digits()
        print([f"{row['rms']:.0e}" for row in gradients(model, data.x_train, data.y_train)])
        #> ['5e-05', '6e-04', '1e-02', '3e-01']
        ```
    """
    with torch.enable_grad():
        tensors = _hidden_and_output(model, x)
        loss = F.cross_entropy(tensors[-1], y, reduction="sum")
        return _summaries(torch.autograd.grad(loss, tensors))


def _hidden_and_output(model: nn.Module, x: Tensor) -> list[Tensor]:
    received: list[Tensor] = []
    handles: list[RemovableHandle] = []
    try:
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                handles.append(
                    layer.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
                )
        output = model(x)
    finally:
        for handle in handles:
            handle.remove()
    return [*received[1:], output]


def _summaries(tensors: Iterable[Tensor]) -> Rows:
    rows = []
    for layer, tensor in enumerate(tensors, start=1):
        values = tensor.detach().double()
        rows.append(
            {
                "layer": layer,
                "values": values.numpy(),
                "mean": values.mean().item(),
                "std": values.std(correction=0).item(),
                "rms": _rms(values),
                "zeros": (values == 0).double().mean().item(),
            }
        )
    return rows
