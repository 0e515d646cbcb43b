r"""Recurrent networks that are trained at once, and tasks that need memory.

The weights of `n` networks are stacked, so each $W$ has the shape `(n, out, in)`:

$$h_t = f(W_{ih} x_t + b + W_{hh} h_{t-1}), \qquad y_t = W_o h_t + b_o$$
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from initguide.experiments.descent import adam_step

Parameters = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]


def rnn(
    parameters: Mapping[str, Tensor], x: Tensor, f: Callable[[Tensor], Tensor], last: int
) -> Tensor:
    """Return the last states of plain recurrent networks, shape `(last, n, batch, hidden)`.

    Args:
        parameters: `weight_ih` of shape `(n, hidden, inputs)`, `weight_hh` `(n, hidden, hidden)`
            and `bias` `(n, 1, hidden)`.
        x: Inputs of shape `(n, batch, steps, inputs)`.
        f: The nonlinearity.
        last: The number of states to return.
    """
    projected, recurrent = _project(parameters, x)
    h = torch.zeros_like(projected[0])
    states = []
    for u in projected:
        h = f(torch.baddbmm(u, h, recurrent))
        states.append(h)
    return torch.stack(states[-last:])


def lstm(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the last states of LSTMs, shape `(n, batch, hidden)`.

    Args:
        parameters: `weight_ih` of shape `(n, 4 * hidden, inputs)`, `weight_hh`
            `(n, 4 * hidden, hidden)` and `bias` `(n, 1, 4 * hidden)`. The gates are in PyTorch's
            order: input, forget, cell, output.
        x: Inputs of shape `(n, batch, steps, inputs)`.
    """
    projected, recurrent = _project(parameters, x)
    c = torch.zeros_like(projected[0].chunk(4, -1)[0])
    h = c
    for u in projected:
        gates = torch.baddbmm(u, h, recurrent)
        input_, forget, cell, output = gates.chunk(4, -1)
        c = torch.sigmoid(forget) * c + torch.sigmoid(input_) * torch.tanh(cell)
        h = torch.sigmoid(output) * torch.tanh(c)
    return h


def _project(parameters: Mapping[str, Tensor], x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return W_ih x + b for each step, and the recurrent matrices transposed."""
    n, batch, steps, _ = x.shape
    # With the steps before the batch, the inputs of one step lie close together in memory.
    rows = x.transpose(1, 2).flatten(1, 2)
    projected = torch.baddbmm(parameters["bias"], rows, parameters["weight_ih"].mT)
    # A product with a matrix that is contiguous takes half the time.
    return projected.view(n, steps, batch, -1).unbind(1), parameters["weight_hh"].mT.contiguous()


def readout(parameters: Mapping[str, Tensor], h: Tensor) -> Tensor:
    """Return the outputs for states `h` of shape `(..., n, batch, hidden)`."""
    return h @ parameters["weight_out"].mT + parameters["bias_out"]


def adding(batch: int, length: int, generator: torch.Generator) -> Batch:
    """Return numbers and marks, shape `(batch, length, 2)`, and the sum of two marked numbers."""
    numbers = torch.rand(batch, length, generator=generator)
    half, marks = length // 2, torch.zeros(batch, length)
    first = torch.randint(half, (batch, 1), generator=generator)
    second = torch.randint(half, length, (batch, 1), generator=generator)
    marks.scatter_(1, torch.cat([first, second], 1), 1.0)
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(1)


def copying(batch: int, delay: int, generator: torch.Generator, count: int = 5) -> Batch:
    """Return one-hot sequences, and the symbols 0 to 7 with which they begin.

    A sequence has `count` symbols, `delay - 1` blanks, a signal, and `count` blanks. There are ten
    codes, eight symbols, the blank and the signal, so the inputs have the shape
    `(batch, delay + 2 * count, 10)`.
    """
    symbols = torch.randint(8, (batch, count), generator=generator)
    codes = torch.full((batch, delay + 2 * count), 8)
    codes[:, :count] = symbols
    codes[:, count + delay - 1] = 9
    return torch.nn.functional.one_hot(codes, 10).float(), symbols


def first_sign(batch: int, length: int, generator: torch.Generator) -> Batch:
    """Return sequences of a sign in one channel, then noise in the other, and the sign's class."""
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
    lr: float | Sequence[float],
    steps: int,
) -> Tensor:
    """Train stacked networks by Adam; the gradient of each is clipped to a norm of 1.

    Args:
        parameters: Stacked weights by name, changed in place.
        losses_of: A function of the parameters and a batch that returns the loss of each network.
        batches: Inputs of shape `(n, batch, ...)` and targets.
        lr: The learning rate, or one learning rate per network.
        steps: The number of updates.

    Returns:
        The losses before each step, shape `(steps, n)`.
    """
    tensors = [parameter.requires_grad_() for parameter in parameters.values()]
    moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one in tensors]
    rates = torch.as_tensor(lr).expand(len(tensors[0])).view(-1, 1, 1)
    losses: list[Tensor] = []
    for step in range(1, steps + 1):
        with torch.enable_grad():
            now = losses_of(parameters, next(batches))
            gradients = torch.autograd.grad(now.sum(), tensors)
        norms = sum(gradient.square().sum((1, 2), keepdim=True) for gradient in gradients)
        scale = torch.as_tensor(norms).sqrt().clamp(min=1.0)
        with torch.no_grad():
            for parameter, gradient, pair in zip(tensors, gradients, moments, strict=True):
                adam_step(parameter, gradient / scale, *pair, rates, (0.9, 0.999), step)
        losses.append(now.detach())
    return torch.stack(losses)


def task_batches(
    task: Callable[[int, int, torch.Generator], Batch],
    batch: int,
    length: int,
    seeds: list[int],
    copies: int,
) -> Iterator[Batch]:
    """Yield batches without end: one for each seed, and all of them repeated `copies` times."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    while True:
        drawn = [task(batch, length, generator) for generator in generators]
        x, y = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        yield torch.cat([x] * copies), torch.cat([y] * copies)
