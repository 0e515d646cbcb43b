"""The parameters of a state-space layer are read from its forward: steps and decays."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initguide.graph.trace import trace


class Reads(nn.Module):
    """A forward that reads a parameter `w` beside another one."""

    def __init__(self, run, size):
        super().__init__()
        self.w, self.other = nn.Parameter(torch.ones(size)), nn.Parameter(torch.ones(6))
        self.softplus, self.run = nn.Softplus(), run

    def forward(self, x):
        return self.run(self, x, self.w)


KINDS = {
    "the bias of a step": (lambda m, x, w: F.softplus(x + w), (6,), "time step"),
    "a step by a module": (lambda m, x, w: m.softplus(w + x), (6,), "time step"),
    "a step that is moved": (lambda m, x, w: F.softplus((x + w).mT[None]), (6,), "time step"),
    "a step that is doubled": (lambda m, x, w: F.softplus(2 * (x + w)), (6,), "shift"),
    "a step of one number": (lambda m, x, w: F.softplus(x + w), (), "shift"),
    "a bias before ReLU": (lambda m, x, w: F.relu(x + w), (6,), "shift"),
    "a factor before softplus": (lambda m, x, w: F.softplus(x * w), (6,), "scale"),
    "a decay": (lambda m, x, w: x * -w.exp(), (6,), "decay"),
    "a decay that is moved": (lambda m, x, w: (-torch.exp(w)).unsqueeze(0) * x, (6,), "decay"),
    "a decay of one number": (lambda m, x, w: x * -w.exp(), (1,), "kept"),
    "a growth": (lambda m, x, w: x * w.exp(), (6,), "kept"),
    "minus a sigmoid": (lambda m, x, w: x * -w.sigmoid(), (6,), "kept"),
    "the logarithm of a step": (
        lambda m, x, w: x * (w.exp() * -m.other.exp()),
        (6,),
        "log time step",
    ),
    "beside a moved decay": (
        lambda m, x, w: x * (w.exp() * (-m.other.exp())[None]),
        (6,),
        "log time step",
    ),
    "beside a growth": (lambda m, x, w: x * (w.exp() * m.other.exp()), (6,), "kept"),
    "beside minus a number": (lambda m, x, w: x * (w.exp() * -m.other), (6,), "kept"),
    "beside another function": (
        lambda m, x, w: x * (w.exp() * -m.other.exp().cos()),
        (6,),
        "kept",
    ),
}


@pytest.mark.parametrize(("run", "size", "kind"), KINDS.values(), ids=KINDS)
def test_only_steps_and_decays_are_those_of_a_state_space_layer(run, size, kind):
    assert trace(Reads(run, size)).roles["w"].kind == kind
