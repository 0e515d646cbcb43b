r"""Recurrent networks side by side: stacked weights, tasks that ask for memory, Adam.

The weights of `n` networks are stacked, each $W$ of shape `(n, out, in)`:

$$h_t = f(W_{ih} x_t + b + W_{hh} h_{t-1}), \qquad y_t = W_o h_t + b_o$$
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]


def rnn(parameters: Mapping[str, Tensor], x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the states of plain recurrent networks, shape `(steps, n, batch, hidden)`.

    Args:
        parameters: `weight_ih` of shape `(n, hidden, inputs)`, `weight_hh` `(n, hidden, hidden)`
            and `bias` `(n, 1, hidden)`.
        x: Inputs of shape `(n, batch, steps, inputs)`.
        f: The nonlinearity.
    """
    fed, recurrent = _fed(parameters, x)
    h = torch.zeros_like(fed[0])
    states = []
    for u in fed:
        h = f(torch.baddbmm(u, h, recurrent))
        states.append(h)
    return torch.stack(states)


def lstm(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the last states of LSTMs, shape `(n, batch, hidden)`.

    Args:
        parameters: `weight_ih` of shape `(n, 4 * hidden, inputs)`, `weight_hh` and `bias` likewise,
            gates in PyTorch's order: input, forget, cell, output.
        x: Inputs of shape `(n, batch, steps, inputs)`.
    """
    fed, recurrent = _fed(parameters, x)
    c = torch.zeros_like(fed[0].chunk(4, -1)[0])
    h = c
    for u in fed:
        gates = torch.baddbmm(u, h, recurrent)
        take, keep, new, give = gates.chunk(4, -1)
        c = torch.sigmoid(keep) * c + torch.sigmoid(take) * torch.tanh(new)
        h = torch.sigmoid(give) * torch.tanh(c)
    return h


def _fed(parameters: Mapping[str, Tensor], x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return what the inputs add in each step, and the recurrent matrices transposed."""
    n, batch, steps, _ = x.shape
    fed = torch.baddbmm(parameters["bias"], x.flatten(1, 2), parameters["weight_ih"].mT)
    fed = fed.view(n, batch, steps, -1).transpose(1, 2).transpose(0, 1)
    return fed.unbind(), parameters["weight_hh"].mT


def read(parameters: Mapping[str, Tensor], h: Tensor) -> Tensor:
    """Return the outputs for states `h` of shape `(..., n, batch, hidden)`."""
    return h @ parameters["weight_out"].mT + parameters["bias_out"]


def adding(batch: int, length: int, generator: torch.Generator) -> Batch:
    """Return numbers with two of them marked, shape `(batch, length, 2)`, and those two's sum."""
    numbers = torch.rand(batch, length, generator=generator)
    half, marks = length // 2, torch.zeros(batch, length)
    first = torch.randint(half, (batch, 1), generator=generator)
    second = torch.randint(half, length, (batch, 1), generator=generator)
    marks.scatter_(1, torch.cat([first, second], 1), 1.0)
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(1)


def copying(batch: int, delay: int, generator: torch.Generator, count: int = 5) -> Batch:
    """Return symbols, a delay, a signal, and blanks, one-hot; and the symbols, 0 to 7.

    Inputs have the shape `(batch, delay + 2 * count, 10)`: eight symbols, the blank, the signal.
    """
    symbols = torch.randint(8, (batch, count), generator=generator)
    codes = torch.full((batch, delay + 2 * count), 8)
    codes[:, :count] = symbols
    codes[:, count + delay - 1] = 9
    return torch.nn.functional.one_hot(codes, 10).float(), symbols


def first_sign(batch: int, length: int, generator: torch.Generator) -> Batch:
    """Return a sign in a channel of its own, then noise in the other one; and which sign it was."""
    classes = torch.randint(2, (batch,), generator=generator)
    x = torch.zeros(batch, length, 2)
    x[:, 1:, 0] = torch.randn(batch, length - 1, generator=generator)
    x[:, 0, 1] = 2.0 * classes - 1
    return x, classes


def fit_recurrent(
    parameters: Parameters,
    losses_of: Callable[[Parameters, Batch], Tensor],
    batches: Iterator[Batch],
    *,
    lr: float,
    steps: int,
    every: int = 10,
) -> list[list[dict[str, Any]]]:
    """Train stacked networks by Adam, the gradient of each clipped to a norm of 1.

    Args:
        parameters: Stacked weights by name, changed in place.
        losses_of: A function of the parameters and a batch that returns each network's loss.
        batches: Inputs of shape `(n, batch, ...)` and targets.
        lr: The learning rate.
        steps: The number of updates.
        every: The number of steps from row to row.

    Returns:
        Rows for each network: `step` and `loss`, the mean since the row before.
    """
    tensors = [parameter.requires_grad_() for parameter in parameters.values()]
    optimizer = torch.optim.Adam(tensors, lr=lr)
    points: list[tuple[int, Tensor]] = []
    recent: list[Tensor] = []
    for step in range(1, steps + 1):
        with torch.enable_grad():
            losses = losses_of(parameters, next(batches))
            slopes = torch.autograd.grad(losses.sum(), tensors)
        norms = sum(slope.square().sum((1, 2), keepdim=True) for slope in slopes)
        scale = torch.as_tensor(norms).sqrt().clamp(min=1.0)
        for parameter, slope in zip(tensors, slopes, strict=True):
            parameter.grad = slope / scale
        optimizer.step()
        recent.append(losses.detach())
        if step % every == 0 or step == steps:
            points.append((step, torch.stack(recent).mean(0)))
            recent = []
    return [
        [{"step": step, "loss": losses[i].item()} for step, losses in points]
        for i in range(len(tensors[0]))
    ]


def streams(
    task: Callable[[int, int, torch.Generator], Batch],
    batch: int,
    length: int,
    seeds: list[int],
    copies: int,
) -> Iterator[Batch]:
    """Yield batches without end: a sequence of them for each seed, all `copies` times over."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    while True:
        drawn = [task(batch, length, generator) for generator in generators]
        x, y = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        yield torch.cat([x] * copies), torch.cat([y] * copies)
