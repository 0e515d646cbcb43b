"""Recipes for memory over many steps: chrono biases of gates, and diagonal state-space layers."""

import math
from functools import partial
from glob import escape

import torch
from torch import Tensor, nn

from initguide.graph.trace import Trace
from initguide.layers.state_space import log_time_step_
from initguide.model.rule import Rule
from initguide.recipes.auto import auto
from initguide.recipes.common import LSTM

GRU = (nn.GRU, nn.GRUCell)


def chrono(model: nn.Module, trace: Trace, *, steps: float) -> list[Rule]:
    r"""Return the rules: biases of gates for memories of up to some number of steps.

    The forget gate of an LSTM gets $\log m$ with $m$ uniform in $[1, T - 1]$, and its input gate
    the negative of it. In a GRU of torch the update gate keeps the state, so it gets $\log m$
    (C. Tallec and Y. Ollivier, 2018, Can Recurrent Neural Networks Warp Time?).
    """
    if not steps > 2:
        raise ValueError(f"steps must be more than 2; got {steps}")
    if not any(isinstance(module, (*LSTM, *GRU)) for module in model.modules()):
        raise ValueError("recipe 'chrono' needs a layer with the role 'LSTM or GRU'; got none")
    return [
        Rule("*bias_ih*", chrono_lstm_, on=LSTM, steps=steps),
        Rule("*bias_ih*", chrono_gru_, on=GRU, steps=steps),
        *auto(model, trace),
    ]


def chrono_lstm_(tensor: Tensor, steps: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill the bias of an LSTM, whose gates are input, forget, cell and output."""
    takes, forgets, *_ = tensor.zero_().chunk(4)
    forgets.uniform_(1, steps - 1, generator=generator).log_()
    takes.copy_(-forgets)
    return tensor


def chrono_gru_(tensor: Tensor, steps: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill the bias of a GRU, whose gates are reset, update and new."""
    tensor.zero_().chunk(3)[1].uniform_(1, steps - 1, generator=generator).log_()
    return tensor


def s4d(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules of S4D-Lin: decays $\tfrac12$, frequencies $\pi n$, log-uniform steps.

    The parameters are found by their names in the code of the authors, models/s4/s4d.py: `log_dt`,
    `log_A_real`, `A_imag`, `C` and `D` (A. Gu et al., 2022, On the Parameterization and
    Initialization of Diagonal State Space Models).
    """
    leaves: dict[str, list[str]] = {}
    for name, _ in model.named_parameters(remove_duplicate=False):
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    for key, (role, _) in _S4D.items():
        if key not in leaves:
            raise ValueError(
                f"recipe 's4d' needs a parameter with the role {role!r}, named {key!r}; got none"
            )
    rules = [make(escape(name)) for key, (_, make) in _S4D.items() for name in leaves[key]]
    return [*rules, *auto(model, trace)]


def frequencies_(tensor: Tensor) -> Tensor:
    """Fill each row with 0, π, 2π and so on."""
    numbers = torch.arange(tensor.shape[-1], dtype=torch.float64, device=tensor.device)
    return tensor.copy_((math.pi * numbers).expand(tensor.shape))


# The role of each parameter, and its rule. C holds real and imaginary parts, each of variance 1/2.
_S4D = {
    "log_dt": ("log time step", partial(Rule, law=log_time_step_)),
    "log_A_real": ("decay", partial(Rule, law="constant_", val=math.log(0.5))),
    "A_imag": ("frequency", partial(Rule, law=frequencies_)),
    "C": ("readout of the state", partial(Rule, law="normal_", std=math.sqrt(0.5))),
    "D": ("skip", partial(Rule, law="normal_", std=1.0)),
}
