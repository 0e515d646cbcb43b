"""Parameters outside torch's layers: the plan says what it takes each of them for."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init


class Own(nn.Module):
    """A Linear layer, and a parameter that the forward uses in some way."""

    def __init__(self, name, values, use):
        super().__init__()
        self.fc, self.name, self.use = nn.Linear(8, 8), name, use
        self.register_parameter(name, nn.Parameter(values))

    def forward(self, x):
        return self.use(self.fc(x), self.get_parameter(self.name))


def planned(name, values, use):
    model = Own(name, values, use)
    (row,) = (r for r in init.plan(model, example=torch.ones(5, 8)).rows if r["parameter"] == name)
    return row["law"], row["std"], row["note"]


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# A scale of ones and a bias of zeros are usual values, which their module did not choose.
ONES, ZEROS = torch.ones(8), torch.zeros(8)


@pytest.mark.parametrize(
    ("name", "values", "use", "law", "note"),
    [
        ("gain", ONES, torch.mul, "ones_", "treated as a scale"),
        ("bias", ONES, torch.mul, "ones_", "treated as a scale"),
        ("beta", ZEROS, torch.add, "zeros_", "treated as a bias"),
        # A name that says so needs no note.
        ("bias", ZEROS, torch.add, "zeros_", None),
        ("own_bias", ZEROS, torch.add, "zeros_", None),
    ],
)
def test_a_vector_is_a_scale_or_a_bias(name, values, use, law, note):
    assert planned(name, values, use) == (law, 0, note)


@pytest.mark.parametrize(
    ("name", "use", "expected"),
    [
        ("places", torch.add, ("truncated_normal_", 0.02, "treated as a table of vectors")),
        # Such as biases by distance.
        ("bias_table", torch.add, ("zeros_", 0, None)),
        (
            "start",
            lambda x, p: x @ F.linear(p, torch.eye(8)).T,
            ("normal_", 1, "treated as the input of a layer"),
        ),
    ],
)
def test_a_table_is_small_unless_a_layer_reads_it(name, use, expected):
    assert planned(name, draw(5, 8), use) == expected


@pytest.mark.parametrize(
    ("shape", "use", "std", "note"),
    [
        ((6, 8), lambda x, p: x @ p.T, 8**-0.5, "a weight (out, in)"),
        ((8, 6), torch.matmul, 8**-0.5, "a weight (in, out)"),
        ((3, 8, 6), torch.matmul, 8**-0.5, "3 weights (in, out)"),
        ((8, 6), lambda x, p: x @ (p * -1), 8**-0.5, "a weight (in, out)"),
        # A larger std makes up for the factor of the forward.
        (
            (8, 6),
            lambda x, p: x @ (p / 2),
            2 * 8**-0.5,
            "a weight (in, out), which the forward multiplies by 0.5",
        ),
        ((6, 1, 3), lambda x, p: F.conv1d(x[:, None], p), 3**-0.5, "a convolution's weight"),
    ],
)
def test_a_weight_is_drawn_by_the_fans_of_its_use(shape, use, std, note):
    found = planned("w", draw(*shape), use)
    assert found == ("lecun_normal_", pytest.approx(std), f"treated as {note}")


@pytest.mark.parametrize(
    ("use", "note"),
    [
        (lambda x, p: (x, p), "the forward returns it, so it keeps its value"),
        (lambda x, p: x * p.exp(), "treated as a scale that keeps its value"),
    ],
)
def test_a_vector_whose_right_values_only_its_module_knows_is_kept(use, note):
    assert planned("own", draw(8), use) == ("keep_", None, note)
