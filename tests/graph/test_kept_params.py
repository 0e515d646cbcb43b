"""Parameters that keep their value because of their use, or because no trace reads them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("value", [0.0, -0.5])
@pytest.mark.parametrize(
    "std",
    [
        lambda log, mean: log,
        lambda log, mean: log.exp(),
        lambda log, mean: log.expand_as(mean).exp(),
        lambda log, mean: torch.exp(log.clamp(-20, 2)),
        lambda log, mean: F.softplus(log),
    ],
)
def test_what_the_forward_returns_keeps_its_value(std, value):
    class Policy(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.log = nn.Linear(8, 3), nn.Parameter(torch.full((3,), value))

        def forward(self, x):
            mean = self.mean(x)
            return mean, std(self.log, mean)

    model = Policy()
    row = {row["parameter"]: row for row in init.initialize_(model, seed=0).rows}["log"]
    assert row["law"] == "keep_"
    assert row["note"].endswith("the forward returns it, so it keeps its value")
    assert (model.log == value).all()
    example = {row["parameter"]: row for row in init.plan(model, example=normal(4, 8)).rows}
    assert example["log"]["law"] == "keep_"


@pytest.mark.parametrize("shape", [(3,), (1, 3), ()])
def test_a_vector_of_zeros_that_no_trace_reads_is_kept(shape):
    class Agent(nn.Module):
        """An actor and a critic, whose methods are not the forward."""

        def __init__(self):
            super().__init__()
            self.actor, self.log_std = nn.Linear(8, 3), nn.Parameter(torch.zeros(shape))

    class Branching(Agent):
        def forward(self, x):
            return torch.distributions.Normal(self.actor(x), self.log_std.exp())

    class Unchecked(Agent):
        """The trace goes through, and loses the std in an object."""

        def forward(self, x):
            std = self.log_std.exp()
            return torch.distributions.Normal(self.actor(x), std, validate_args=False)

    for kind in (Agent, Branching, Unchecked):
        rows = {row["parameter"]: row for row in init.plan(kind()).rows}
        assert rows["log_std"]["note"] == "kept: all zero"


def test_a_matrix_of_zeros_that_no_trace_reads_is_refused_by_name():
    class Agent(nn.Module):
        def __init__(self):
            super().__init__()
            self.actor, self.w = nn.Linear(8, 3), nn.Parameter(torch.zeros(3, 3))

    with pytest.raises(ValueError, match="got none for w"):
        init.plan(Agent())


def test_an_error_says_that_the_forward_does_not_read_a_parameter():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.w = nn.Linear(8, 3), nn.Parameter(normal(3, 3))

        def forward(self, x):
            return self.a(x)

    with pytest.raises(ValueError, match=r"for w: .*\(the trace of the forward does not reach it"):
        init.plan(Unused())


def test_an_error_says_that_a_batch_may_show_what_an_optional_input_reaches():
    class Both(nn.Module):
        """Images need sizes as well, so that the trace cannot guess which inputs to give."""

        def __init__(self):
            super().__init__()
            self.text, self.w = nn.Linear(8, 8), nn.Parameter(normal(8, 8))

        def forward(self, words, mask=None, images=None, sizes=None):
            x = self.text(words)
            if images is not None:
                x = x + (images @ self.w).relu()[: int(sizes)]
            return x

    with pytest.raises(ValueError, match=r"for w: show .* as example=batch; or put Rule\('w', "):
        init.plan(Both())
    batch = {"words": normal(3, 8), "images": normal(3, 8), "sizes": torch.tensor(3)}
    rows = {row["parameter"]: row for row in init.plan(Both(), example=batch).rows}
    assert rows["w"]["before"] == "relu"
