"""The starts of state-space layers and of noisy layers, which no fan decides.

A state-space layer has a step size, the softplus of a signal plus a bias, and a decay, the
exponential of a parameter. Mamba starts the steps log-uniform in [0.001, 0.1], and the decays at
the integers from 1 (Gu and Dao, 2023). Mamba-2 draws one decay per head from [1, 16].
"""

import math

import torch
from torch import Tensor

STEPS = (0.001, 0.1)
DECAYS = (1.0, 16.0)
# The noise of a noisy linear layer with n inputs starts at 0.5 / sqrt(n) (Fortunato et al., 2018).
NOISE = 0.5


def log_time_step_(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill a tensor with logarithms of step sizes, which are log-uniform in [0.001, 0.1]."""
    low, high = map(math.log, STEPS)
    return tensor.uniform_(low, high, generator=generator)


def time_step_bias_(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill a tensor with biases whose softplus is log-uniform in [0.001, 0.1]."""
    steps = log_time_step_(torch.empty_like(tensor, dtype=torch.float64), generator).exp()
    return tensor.copy_(steps.expm1().log())


def log_decay_(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill a tensor with logarithms of decays.

    A vector has one decay per head, uniform in [1, 16]. Each row of a matrix has the decays of the
    states of one channel, which are 1, 2, 3 and so on.
    """
    if sum(size > 1 for size in tensor.shape) < 2:
        drawn = torch.empty_like(tensor, dtype=torch.float64)
        return tensor.copy_(drawn.uniform_(*DECAYS, generator=generator).log())
    states = torch.arange(1, tensor.shape[-1] + 1, dtype=torch.float64, device=tensor.device)
    return tensor.copy_(states.log().expand(tensor.shape))


def noise_scale_(tensor: Tensor) -> Tensor:
    """Fill the scale of a noisy layer with 0.5 over the root of the number of inputs."""
    return tensor.fill_(NOISE * tensor.shape[-1] ** -0.5)
