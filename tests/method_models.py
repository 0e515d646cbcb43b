"""Tiny models of the families of the published methods."""

import math

import torch
import torch.nn.functional as F
from code_base_models import Diffusion
from torch import nn


class Sine(nn.Module):
    """A linear layer and a sine, of variable period for FINER."""

    def __init__(self, n_in, n_out, *, variable):
        super().__init__()
        self.linear, self.variable = nn.Linear(n_in, n_out), variable

    def forward(self, x):
        z = self.linear(x)
        return torch.sin(30 * (z.detach().abs() + 1) * z) if self.variable else torch.sin(30 * z)


def sines(*, variable):
    layers = [Sine(2, 64, variable=variable), *(Sine(64, 64, variable=variable) for _ in range(2))]
    return nn.Sequential(*layers, nn.Linear(64, 3))


class Tanh(nn.Module):
    """A dynamic tanh in place of a norm."""

    def __init__(self, d):
        super().__init__()
        self.inside = nn.Parameter(torch.ones(1))
        self.w, self.b = nn.Parameter(torch.ones(d)), nn.Parameter(torch.zeros(d))

    def forward(self, x):
        return torch.tanh(self.inside * x) * self.w + self.b


class Residual(nn.Module):
    """Blocks of two branches, each multiplied by a learned scale with some number of entries."""

    def __init__(self, d=32, blocks=3, size=0, norm=nn.LayerNorm):
        super().__init__()
        self.first = nn.ModuleList(nn.Sequential(norm(d), nn.Linear(d, d)) for _ in range(blocks))
        self.second = nn.ModuleList(
            nn.Sequential(norm(d), nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
            for _ in range(blocks)
        )
        scales = (nn.Parameter(torch.ones(size)) for _ in range(2 * blocks if size else 0))
        self.scales, self.head = nn.ParameterList(scales), nn.Linear(d, 10)

    def forward(self, x):
        scales = iter(self.scales)
        for pair in zip(self.first, self.second, strict=True):
            for branch in pair:
                y = branch(x)
                x = x + F.dropout(y * next(scales) if len(self.scales) else y, 0.1, self.training)
        return self.head(x)


class Actor(nn.Module):
    """A policy and a value on one body."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.one, self.two = nn.Linear(64, 4), nn.Linear(64, 1)

    def forward(self, x):
        h = self.body(x)
        return self.one(h), self.two(h)


class Detector(nn.Module):
    """A head for classes and one for boxes."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 16, 3, padding=1)
        self.cls_score, self.bbox_pred = nn.Conv2d(16, 20, 3), nn.Conv2d(16, 4, 3)

    def forward(self, x):
        h = torch.relu(self.body(x))
        return self.cls_score(h), self.bbox_pred(h)


class Recurrent(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(10, d, 2, bidirectional=True), nn.GRU(2 * d, d)
        self.head = nn.Linear(d, 5)

    def forward(self, x):
        return self.head(self.gru(self.lstm(x)[0])[0])


class Diagonal(nn.Module):
    """A diagonal state-space layer, with the names of the authors."""

    def __init__(self, d=32, states=16):
        super().__init__()
        self.log_dt, self.D = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(d))
        self.C = nn.Parameter(torch.zeros(d, states, 2))
        self.log_A_real = nn.Parameter(torch.zeros(d, states))
        self.A_imag = nn.Parameter(torch.ones(d, states))
        self.output_linear = nn.Conv1d(d, 2 * d, 1)

    def forward(self, u):
        length, step = u.shape[-1], torch.exp(self.log_dt).unsqueeze(-1)
        decay = (-torch.exp(self.log_A_real) + 1j * self.A_imag) * step
        c = torch.view_as_complex(self.C) * (torch.exp(decay) - 1) / (decay / step)
        powers = torch.exp(decay.unsqueeze(-1) * torch.arange(length))
        kernel = 2 * torch.einsum("hn,hnl->hl", c, powers).real
        y = torch.fft.irfft(torch.fft.rfft(u, 2 * length) * torch.fft.rfft(kernel, 2 * length))
        y = y[..., :length] + u * self.D.unsqueeze(-1)
        return F.glu(self.output_linear(F.gelu(y)), -2)


class Adapted(nn.Module):
    """A frozen layer with an adapter of rank 8."""

    def __init__(self, d=64):
        super().__init__()
        self.base = nn.Linear(d, d).requires_grad_(requires_grad=False)
        self.lora_A, self.lora_B = nn.Linear(d, 8, bias=False), nn.Linear(8, d, bias=False)

    def forward(self, x):
        return self.base(x) + 2 * self.lora_B(self.lora_A(x))


# For each method: a function that makes a model of its family, the options, a recipe that is near
# to it and draws something else, and numbers worked by hand: the mean and the std of parameters.
THIRD = 3**-0.5
METHODS = {
    "siren": (
        lambda: sines(variable=False),
        {},
        "torch",
        # Uniform within 1/2; within sqrt(6 / 64) / 30 = 0.0102062, and so the head.
        {
            "0.linear.weight": (0, 0.5 * THIRD),
            "1.linear.weight": (0, 0.0102062 * THIRD),
            "3.weight": (0, 0.0102062 * THIRD),
            "1.linear.bias": (0, 0.125 * THIRD),
        },
    ),
    "finer": (
        lambda: sines(variable=True),
        {"bias_bound": 5},
        "torch",
        {
            "0.linear.bias": (0, 5 * THIRD),
            "1.linear.bias": (0, 0.125 * THIRD),
            "0.linear.weight": (0, 0.5 * THIRD),
            "2.linear.weight": (0, 0.0102062 * THIRD),
        },
    ),
    "layer-scale": (
        lambda: Residual(size=32),
        {},
        "kaiming",
        {"scales.0": (0.1, 0), "scales.5": (0.1, 0), "first.0.1.weight": (0, 32**-0.5)},
    ),
    "rezero": (
        lambda: Residual(size=1),
        {},
        "kaiming",
        {"scales.0": (0, 0), "scales.5": (0, 0), "first.2.1.weight": (0, 32**-0.5)},
    ),
    "skipinit": (lambda: Residual(size=1), {}, "kaiming", {"scales.3": (0, 0)}),
    "dyt": (
        lambda: Residual(norm=Tanh),
        {},
        "kaiming",
        {"first.0.0.inside": (0.5, 0), "second.2.0.inside": (0.5, 0), "first.0.0.w": (1, 0)},
    ),
    "adaln-zero": (
        lambda: Diffusion(64, 2),
        {},
        "xavier",
        {
            "stack.1.change.1.weight": (0, 0),
            "change.1.bias": (0, 0),
            # 64 to 192: sqrt(2 / 256); the head 64 to 16: sqrt(2 / 80).
            "stack.0.mix.one.weight": (0, 0.0883883),
            "end.weight": (0, 0.1581139),
        },
    ),
    "spectral": (
        lambda: nn.Sequential(nn.Embedding(50, 64), nn.Linear(64, 256), nn.Linear(256, 16)),
        {},
        "kaiming",
        # min(1, sqrt(256 / 64)) / 8, and sqrt(16 / 256) / 16.
        {"0.weight": (0, 1), "1.weight": (0, 0.125), "2.weight": (0, 0.015625)},
    ),
    "ppo": (
        Actor,
        {},
        "orthogonal",
        # A matrix with orthonormal rows or columns: its rms is 1 / sqrt(longer side).
        {
            "body.0.weight": (0, math.sqrt(2) / 8),
            "body.2.weight": (0, math.sqrt(2) / 8),
            "one.weight": (0, 0.01 / 8),
            "two.weight": (0, 1 / 8),
            "one.bias": (0, 0),
        },
    ),
    "focal": (
        Detector,
        {},
        "auto",
        # -log(0.99 / 0.01); the boxes have LeCun's 1 / sqrt(16 * 9).
        {
            "cls_score.weight": (0, 0.01),
            "cls_score.bias": (-4.595120, 0),
            "bbox_pred.weight": (0, 1 / 12),
            "bbox_pred.bias": (0, 0),
        },
    ),
    "chrono": (Recurrent, {"steps": 100}, "kaiming", {"lstm.bias_hh_l0": (0, 0)}),
    "s4d": (
        Diagonal,
        {},
        "torch",
        {"C": (0, 0.7071068), "D": (0, 1), "log_A_real": (-0.6931472, 0)},
    ),
    "lora": (
        lambda: nn.Sequential(Adapted(), nn.ReLU(), Adapted()),
        {},
        "kaiming",
        {"0.lora_A.weight": (0, 0.125 * THIRD), "2.lora_B.weight": (0, 0)},
    ),
}
