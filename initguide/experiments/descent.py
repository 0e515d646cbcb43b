"""Train many models of one structure at once: gradient descent or Adam on stacked parameters."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap


def descend(
    models: Sequence[nn.Module],
    batches: Iterable[Sequence[Tensor]],
    loss: Callable[..., Tensor],
    *,
    lr: Sequence[float] | Mapping[str, Sequence[float]],
    betas: tuple[float, float] | None = None,
    warmup: Sequence[int] | None = None,
) -> Tensor:
    r"""Train models of one structure in place, all at once, each on its own batches.

    $$\theta \leftarrow \theta - \eta\, \nabla_\theta\, \ell(\theta)$$

    or, with `betas`, the steps of Adam, with the same $\eta$ and $\varepsilon = 10^{-8}$.

    Args:
        models: Networks that differ in their parameters' values alone.
        batches: One item a step: the inputs, then what `loss` takes beside the outputs, each a
            tensor whose first dimension is the models.
        loss: A function of one model's outputs, and of the rest of its batch.
        lr: The learning rate of each model, or those of each parameter, by its name.
        betas: Adam's decay rates; None is plain gradient descent.
        warmup: In how many steps the rates of each model grow to theirs, each step by as much; None
            is at once.

    Returns:
        The losses before each step, shape `(steps, models)`; inf or nan for a run that diverges.

    Raises:
        ValueError: There is not one learning rate for each model, or for each of its parameters.
    """
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

    slopes_and_losses = vmap(grad_and_value(loss_of))
    rates = {
        name: torch.tensor(lrs[name], dtype=p.dtype).view(-1, *[1] * (p.dim() - 1))
        for name, p in parameters.items()
    }
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in parameters.items()}
    slow = torch.tensor(warmup or [1] * len(models))
    losses = []
    with torch.no_grad():
        for step, batch in enumerate(batches, start=1):
            # Once every run has diverged, the steps that are left would change nothing.
            if losses and not losses[-1].isfinite().any():
                losses.append(losses[-1])
                continue
            slopes, now = slopes_and_losses(parameters, buffers, *batch)
            losses.append(now)
            for name, parameter in parameters.items():
                change = slopes[name]
                if betas is not None:
                    change = _adam(change, *moments[name], betas, step)
                rate = rates[name]
                if warmup is not None:
                    rate = rate * (step / slow).clamp(max=1).view_as(rate)
                parameter -= rate * change
        for i, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(parameters[name][i])
    return torch.stack(losses)


def _adam(
    slope: Tensor, first: Tensor, second: Tensor, betas: tuple[float, float], step: int
) -> Tensor:
    """Return Adam's direction, and keep the moments' running means."""
    first.lerp_(slope, 1 - betas[0])
    second.lerp_(slope.square(), 1 - betas[1])
    spread = (second / (1 - betas[1] ** step)).sqrt_().add_(1e-8)
    return first / (1 - betas[0] ** step) / spread


def curves(
    runs: Sequence[Mapping[str, Any]], losses: Tensor, every: int = 10
) -> list[dict[str, Any]]:
    """Return learning curves as rows: each run's mean loss over every few steps.

    Args:
        runs: What tells the models apart, one mapping for each.
        losses: As from `descend`, shape `(steps, models)`.
        every: The number of steps from row to row.

    Returns:
        For each run and each `every` steps: the run's own entries, `step` and `loss`.
    """
    means = [(i + len(part), part.mean(0).tolist()) for i, part in _parts(losses, every)]
    return [
        {**run, "step": step, "loss": mean[i]} for i, run in enumerate(runs) for step, mean in means
    ]


def _parts(losses: Tensor, every: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(losses), every):
        yield start, losses[start : start + every]
