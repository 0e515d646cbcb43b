"""Trained weights show a direction that stands out, and are not overwritten silently."""

import math
import warnings

import pytest
import torch
from torch import nn

import initguide as init
from initguide.model.trained import _excess, trained_among


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spiked(rows, columns, theta, seed=0):
    """Independent normals, and a direction whose singular value is `theta`."""
    g = generator(seed)
    left = nn.functional.normalize(torch.randn(rows, generator=g), dim=0)
    right = nn.functional.normalize(torch.randn(columns, generator=g), dim=0)
    return torch.randn(rows, columns, generator=g) + theta * torch.outer(left, right)


def expected(m, n, theta):
    """The excess of a direction over the bulk of an m by n matrix, in scales of Tracy and Widom.

    The largest singular value is that of F. Benaych-Georges, R. R. Nadakuditi (2012).
    """
    largest = math.sqrt((theta**2 + m) * (theta**2 + n)) / theta
    scale = (m**-0.5 + n**-0.5) ** (1 / 3) / 2
    return (largest - math.sqrt(m) - math.sqrt(n)) / scale


@pytest.mark.parametrize("size", [(128, 128), (128, 48), (64, 100), (400, 300)])
@pytest.mark.parametrize("share", [1.5, 2.0])
def test_the_excess_of_a_direction_is_that_of_the_theory(size, share):
    m, n = (min(side, 128) for side in size)
    theta = share * (m * n) ** 0.25
    found = [_excess(spiked(m, n, theta, seed)) for seed in range(4)]
    # Where the size of the entries changes with the direction, it is divided out.
    grown = math.sqrt(1 + theta**2 / (m * n))
    want = expected(m, n, theta) / grown
    assert sum(found) / 4 == pytest.approx(want, abs=3.5, rel=0.12)
    assert _excess(5 + 0.01 * spiked(m, n, theta)) == pytest.approx(found[0], rel=1e-3)


DRAWS = {
    "normal": init.kaiming_normal_,
    "uniform": init.xavier_uniform_,
    "truncated": init.variance_scaling_,
    "orthogonal": init.orthogonal_,
    "of one sign": lambda w, generator: init.uniform_(w, 0, 1, generator=generator),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("shape", [(16, 16), (128, 128), (64, 16, 3, 3), (300, 20)])
def test_what_was_drawn_does_not_look_trained(draw, shape):
    for seed in range(3):
        assert _excess(draw(torch.empty(shape), generator=generator(seed))) < 5


def test_constants_and_numbers_that_are_not_finite_have_no_excess():
    for value in (0.0, 0.5, math.nan, math.inf):
        assert _excess(torch.full((20, 20), value)) == 0


def trained(rows=64, columns=64):
    return spiked(rows, columns, 40.0)


def test_trained_weights_are_named_among_those_that_show_it():
    plain = torch.randn(64, 64, generator=generator())
    weights = {"a": plain, "b": trained(), "c": trained(16, 64), "d": trained(15, 64)}
    weights |= {"e": trained(64, 15), "f": trained().to("meta"), "g": trained().long()}
    weights |= {"h": trained().view(64, 16, 2, 2), "i": 3 * torch.eye(64) + 0.01 * plain}
    assert trained_among(weights) == (["b", "c", "h"], 5)
    # Only the first rows and columns are looked at.
    late = torch.randn(300, 300, generator=generator())
    late[128:, 128:] += 9
    assert trained_among({"late": late}) == ([], 1)
    late[:100, :100] += spiked(100, 100, 60.0)
    assert trained_among({"late": late}) == (["late"], 1)


@pytest.mark.parametrize(("count", "looked_at"), [(0, 0), (1, 1), (12, 12), (13, 7), (25, 9)])
def test_at_most_twelve_weights_are_looked_at(count, looked_at):
    weight = torch.randn(16, 16, generator=generator())
    assert trained_among({str(i): weight for i in range(count)}) == ([], looked_at)


class Model(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 9)
        )
        init.initialize_(self, seed=0)
        with torch.no_grad():
            self[2].weight.copy_(trained())


def test_a_recipe_warns_before_it_overwrites_trained_weights():
    words = r"^1 of the 2 weights that were looked at seem to be trained, such as '2.weight', and"
    with pytest.warns(UserWarning, match=words) as caught:
        init.initialize_(Model(), seed=1)
    # The warning points at the call.
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        init.initialize_(Model(), seed=1, overwrite_trained=True)
        # What the caller names or freezes is meant.
        init.initialize_(Model(), [init.Rule("2.weight", "zeros_"), "auto"], seed=1)
        frozen = Model()
        frozen[2].weight.requires_grad_(False)
        init.initialize_(frozen, seed=1)
        init.initialize_(Model(), "keep")


def test_one_seed_is_drawn_for_all_processes(monkeypatch):
    def first_of_all(seeds, src):
        assert (len(seeds), src) == (1, 0)
        seeds[0] = 7

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", first_of_all)
    one, other = nn.Linear(9, 9), nn.Linear(9, 9)
    init.initialize_(one)
    init.initialize_(other, seed=7)
    assert torch.equal(one.weight, other.weight)
