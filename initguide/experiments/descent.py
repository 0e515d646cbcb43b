"""Gradient steps: of one model, or of many models of one structure at once."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap


def gradient_step(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Tensor:
    """Update one model once, and return the loss from before the update."""
    with torch.enable_grad():
        value = loss()
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value.detach()


def descend(
    models: Sequence[nn.Module],
    batches: Iterable[Sequence[Tensor]],
    loss: Callable[..., Tensor],
    *,
    lr: Sequence[float] | Mapping[str, Sequence[float]],
    betas: tuple[float, float] | None = None,
    muon: float | None = None,
    warmup: Sequence[int] | None = None,
) -> Tensor:
    r"""Train models of one structure in place, all at once, each on its own batches.

    $$\theta \leftarrow \theta - \eta\, \nabla_\theta\, \ell(\theta)$$

    With `betas` the steps are those of Adam, with the same $\eta$ and $\varepsilon = 10^{-8}$. With
    `muon` a step moves each matrix by $\eta$ times a matrix whose singular values are about one.

    Args:
        models: Networks that differ only in the values of their parameters.
        batches: One item per step: the inputs, then the other arguments of `loss`. The first
            dimension of each tensor counts the models.
        loss: A function of the outputs of one model and of the rest of its batch.
        lr: The learning rate of each model, or a mapping from each parameter's name to its rates.
        betas: The decay rates of Adam; None is plain gradient descent.
        muon: The decay rate of Muon's running mean; a bias counts as a matrix of one column.
        warmup: For each model, the number of steps in which its rates grow linearly to their final
            values; None starts with the final values.

    Returns:
        The losses before each step, shape `(steps, models)`; inf or nan for a run that diverges.

    Raises:
        ValueError: There is not one learning rate for each model, or for each of its parameters, or
            both `betas` and `muon` are given.
    """
    if betas is not None and muon is not None:
        raise ValueError(f"betas and muon exclude each other; got {betas} and {muon}")
    names = [name for name, _ in models[0].named_parameters()]
    lrs = lr if isinstance(lr, Mapping) else dict.fromkeys(names, lr)
    if set(lrs) != set(names):
        raise ValueError(f"lr must have the parameters {', '.join(names)}; got {', '.join(lrs)}")
    for some in lrs.values():
        if len(some) != len(models):
            raise ValueError(
                f"lr must be one number for each of {len(models)} models; got {len(some)}"
            )
    parameters, buffers = stack_module_state(list(models))
    skeleton = copy.deepcopy(models[0]).to("meta")

    def loss_of(parameters: Any, buffers: Any, x: Tensor, *rest: Tensor) -> Tensor:
        return loss(functional_call(skeleton, (parameters, buffers), (x,)), *rest)

    gradients_and_losses = vmap(grad_and_value(loss_of))
    rates = {
        name: torch.tensor(lrs[name], dtype=p.dtype).view(-1, *[1] * (p.dim() - 1))
        for name, p in parameters.items()
    }
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in parameters.items()}
    warmup_steps = torch.tensor(warmup or [1] * len(models))
    losses = []
    with torch.no_grad():
        for step, batch in enumerate(batches, start=1):
            # Once every run has diverged, further steps would change nothing.
            if losses and not losses[-1].isfinite().any():
                losses.append(losses[-1])
                continue
            gradients, now = gradients_and_losses(parameters, buffers, *batch)
            losses.append(now)
            for name, parameter in parameters.items():
                change = gradients[name]
                if betas is not None:
                    change = adam_direction(change, *moments[name], betas, step)
                if muon is not None:
                    change = muon_direction(change, moments[name][0], muon)
                rate = rates[name]
                if warmup is not None:
                    rate = rate * (step / warmup_steps).clamp(max=1).view_as(rate)
                parameter -= rate * change
        for i, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(parameters[name][i])
    return torch.stack(losses)


def adam_direction(
    gradient: Tensor, first: Tensor, second: Tensor, betas: tuple[float, float], step: int
) -> Tensor:
    """Return Adam's direction, and update the running means of both moments."""
    first.lerp_(gradient, 1 - betas[0])
    second.lerp_(gradient.square(), 1 - betas[1])
    scale = (second / (1 - betas[1] ** step)).sqrt_().add_(1e-8)
    return first / (1 - betas[0] ** step) / scale


def muon_direction(gradient: Tensor, mean: Tensor, decay: float) -> Tensor:
    """Return the running mean with singular values near one, and update that mean.

    Muon's five steps of Newton and Schulz bring all but the smallest singular values to between
    about 0.7 and 1.2, without a decomposition.
    """
    mean.lerp_(gradient, 1 - decay)
    x = mean if mean.dim() == 3 else mean[..., None]
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.775 * gram) @ x
    return (x.mT if tall else x).reshape(mean.shape)
