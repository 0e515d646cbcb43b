"""Gradient steps: of one model, or of many models of one structure at once."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap


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
        models: Networks that differ only in the values of their parameters. One network may stand
            for several; then its parameters are those of one of them at the end.
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

    losses_of = vmap(loss_of)
    rates = {
        name: torch.tensor(lrs[name], dtype=p.dtype).view(-1, *[1] * (p.dim() - 1))
        for name, p in parameters.items()
    }
    first, second = (
        {name: torch.zeros_like(p) for name, p in parameters.items()} for _ in range(2)
    )
    warmup_steps = torch.tensor(warmup or [1] * len(models))
    running, losses = torch.arange(len(models)), []
    for step, batch in enumerate(batches, start=1):
        losses.append(parameters[names[0]].new_full((len(models),), torch.nan))
        if not len(running):
            continue
        with torch.enable_grad():
            for parameter in parameters.values():
                parameter.requires_grad_()
            now = losses_of(parameters, buffers, *(each[running] for each in batch))
            gradients = torch.autograd.grad(
                now.sum(), list(parameters.values()), materialize_grads=True
            )
        losses[-1][running] = now = now.detach()
        warm = (step / warmup_steps).clamp(max=1)
        with torch.no_grad():
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
                rate = rates[name] * warm.view_as(rates[name])
                if betas is not None:
                    adam_step(parameter, gradient, first[name], second[name], rate, betas, step)
                    continue
                if muon is not None:
                    gradient = muon_direction(gradient, first[name], muon)
                parameter.addcmul_(gradient, rate, value=-1)
        # A run that has diverged does not come back, so its further steps are left out.
        finite = now.isfinite()
        if finite.sum() < 0.8 * len(running):
            _store(models, running, parameters)
            running, warmup_steps = running[finite], warmup_steps[finite]
            parameters, buffers, rates, first, second = (
                {name: each.detach()[finite] for name, each in stack.items()}
                for stack in (parameters, buffers, rates, first, second)
            )
    _store(models, running, parameters)
    return torch.stack(losses)


@torch.no_grad()
def _store(models: Sequence[nn.Module], index: Tensor, parameters: Mapping[str, Tensor]) -> None:
    """Copy stacked parameters to the models that they belong to."""
    for i, at in enumerate(index.tolist()):
        for name, parameter in models[at].named_parameters():
            parameter.copy_(parameters[name][i])


def adam_step(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    rate: Tensor,
    betas: tuple[float, float],
    step: int,
) -> None:
    """Take a step of Adam at the rates of stacked networks, and update both running means."""
    share = math.sqrt(1 - betas[1] ** step)
    rate = rate * (share / (1 - betas[0] ** step))
    # Networks whose tensors fit into the cache together are updated one after the other.
    size = max(1, 2**16 // parameter[0].numel())
    parts = (each.split(size) for each in (parameter, gradient, first, second, rate))
    for p, g, m, v, r in zip(*parts, strict=True):
        m.lerp_(g, 1 - betas[0])
        v.mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
        p.addcmul_(m / v.sqrt().add_(1e-8 * share), r, value=-1)


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
