"""The numbers that a measurement takes, against NumPy in double precision."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from initguide.diagnostics import coord_check
from initguide.diagnostics.audit import _unequal_on_ranks
from initguide.diagnostics.statistics import copies, counts, equal_units, moments, norm, size
from initguide.diagnostics.weights import fan_in_of


def signal(*shape, mean=0.3, std=1.0):
    return mean + std * torch.randn(shape, generator=torch.Generator().manual_seed(0))


SIGNALS = {
    "usual": signal(50, 8),
    "an image": signal(9, 4, 5, 6),
    "huge": signal(50, 8) * 1e20,
    "tiny": signal(50, 8) * 1e-20,
    "a large mean": signal(50, 8, mean=1e3),
    "a mean for each unit": signal(50, 8, std=1e-3) + torch.arange(8.0),
    "half": signal(50, 8).half(),
    "double": signal(50, 8).double(),
    "equal": torch.full((5, 3), 0.7),
}


@pytest.mark.parametrize("y", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_moments_are_those_of_numpy(y, axis):
    exact = y.double().numpy()
    mean, std, rms = moments(y, axis)
    scale = np.sqrt((exact**2).mean())
    assert mean == pytest.approx(exact.mean(), rel=1e-5, abs=1e-6 * scale)
    assert rms == pytest.approx(scale, rel=1e-5)
    if axis is None:
        assert math.isnan(std)
    else:
        # The variance over the batch of each unit, averaged over the units.
        assert std == pytest.approx(math.sqrt(exact.var(axis).mean()), rel=1e-3, abs=1e-9)
    assert size(y) == pytest.approx(scale, rel=1e-5)
    assert norm(y) == pytest.approx(np.linalg.norm(exact), rel=1e-5)


def test_complex_values_have_the_size_of_both_parts():
    y = torch.complex(signal(50, 8), 2 * signal(8, 50).T)
    exact = y.numpy().astype(np.complex128)
    rms = math.sqrt((np.abs(exact) ** 2).mean())
    assert moments(y, 0)[2] == pytest.approx(rms, rel=1e-5)
    assert size(y) == pytest.approx(rms, rel=1e-5)
    assert size(torch.ones(0)) == 0


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_counts_are_sums_over_all_other_axes(axis):
    mask = signal(3, 4, 5) > 0
    others = tuple(i for i in range(3) if i != axis % 3)
    np.testing.assert_array_equal(counts(mask, axis), mask.numpy().sum(others))
    line = signal(5) > 0
    np.testing.assert_array_equal(counts(line, 0), line)


@pytest.mark.parametrize(("batch", "axis"), [(0, 1), (0, 2), (0, -1), (1, 0), (2, 0), (2, 1)])
def test_units_are_equal_if_they_see_the_same_difference(batch, axis):
    def build(spread):
        """A signal of two unlike inputs, and units that differ by a constant and a share."""
        shape, line = [1, 1, 1], [1, 1, 1]
        shape[batch], line[axis] = 6, 4
        inputs = signal(*shape).expand(*(6 if i == batch else 4 for i in range(3)))
        each = torch.arange(4.0).view(line)
        return inputs * (1 + spread * each) + 0.1 * each

    assert equal_units(build(0.0).double(), batch, axis)
    assert equal_units(build(1e-7).double(), batch, axis)
    assert not equal_units(build(1e-6).double(), batch, axis)
    assert not equal_units(torch.ones(6, 6, 6), batch, axis)


def test_copies_are_rows_that_repeat_another_one():
    rows = torch.tensor([[1.0, 2], [2, 1], [1, 2], [0, 0], [0, 0], [3, 0], [1, 2], [1.5, 1.5]])
    assert copies(rows) == 2
    assert copies(rows.view(8, 2, 1)) == 2
    assert copies(torch.complex(rows, -rows)) == 2
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert copies(rows.to(dtype)) == 2
    # Of rows with equal sums, only equal ones are copies.
    assert copies(torch.eye(40).repeat(2, 1)) == 40
    assert copies(torch.eye(40)) == 0
    assert copies(rows[[0, 1, 5, 7]]) == 0
    assert copies(rows[3:5]) == 0


# The fan of a weight in a function.

FANS = {
    "linear": ("linear", (7, 5), True, 5),
    "conv2d": ("conv2d", (8, 3, 2, 4), False, 24),
    "conv_transpose1d": ("conv_transpose1d", (6, 8, 4), False, 24),
    "matmul, second": ("matmul", (7, 5), False, 7),
    "matmul, first": ("matmul", (7, 5), True, 5),
    "a vector": ("mv", (7,), False, 7),
    "stacked": ("bmm", (4, 7, 5), False, 7),
    "addmm": ("addmm", (7, 5), False, 7),
    "rmatmul": ("rmatmul", (7, 5), False, 7),
    "imatmul": ("imatmul", (7, 5), False, 7),
    "add": ("add", (7, 5), False, None),
    "bilinear": ("bilinear", (7, 5, 3), False, None),
}


@pytest.mark.parametrize(("operation", "shape", "first", "fan"), FANS.values(), ids=FANS)
def test_the_fan_is_the_number_of_products_in_a_sum(operation, shape, first, fan):
    weight = torch.empty(shape)
    others = (torch.empty(2, 2),)
    assert fan_in_of(operation, weight, (weight, *others) if first else (*others, weight)) == fan
    if not first:
        assert fan_in_of(operation, weight, ()) == fan


@pytest.mark.parametrize(
    ("equation", "at", "shape", "fan"),
    [
        ("bi,io->bo", 1, (7, 5), 7),
        ("bi , oi -> bo", 1, (7, 5), 5),
        ("oi,bi->bo", 0, (7, 5), 5),
        ("bthk,hkd->btd", 1, (2, 3, 6), 6),
        ("becd,edf->becf", 1, (4, 3, 5), 3),
        ("bi,io->bo", 1, (7, 5, 2), None),
        ("bi,io", 1, (7, 5), None),
    ],
)
def test_the_fan_in_an_einstein_sum_is_what_it_sums_over(equation, at, shape, fan):
    weight, other = torch.empty(shape), torch.empty(3, 3)
    operands = (weight, other) if at == 0 else (other, weight)
    assert fan_in_of("einsum", weight, (equation, *operands)) == fan
    assert fan_in_of("einsum", weight, (other, weight)) is None


# Values that differ between processes.


def test_parameters_that_differ_between_processes_are_named(monkeypatch):
    held = [{"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "1"}]

    def gather(everyone, own):
        assert own == held[0]
        everyone[:] = held

    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    rows = [{"parameter": name, "checksum": "1", "finding": None} for name in "abc"]
    rows[2]["finding"] = "mean"
    found = _unequal_on_ranks(rows)
    assert [(each.where, each.kind, each.message) for each in found] == [
        ("b", "replicas differ", "the values of rank 1 are not those of rank 0"),
        ("c", "replicas differ", "the values of rank 1, 2 are not those of rank 0"),
    ]
    findings = [row["finding"] for row in rows]
    assert findings == [None, "replicas differ", "mean, replicas differ"]


# Faults that are rare.


class Attends(nn.Module):
    """Attention of four queries for each key."""

    def __init__(self, width, scale):
        super().__init__()
        self.q, self.k = nn.Linear(width, width), nn.Linear(width, width // 4)
        self.scale = scale

    def forward(self, x):
        q = self.q(x).unflatten(-1, (4, -1)).transpose(1, 2)
        k = self.k(x).unflatten(-1, (1, -1)).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(
            q, k, k, scale=self.scale, enable_gqa=True
        ).sum((1, 3))


@pytest.mark.parametrize("scale", [None, 0.7])
def test_the_scores_of_grouped_attention_are_kept_with_their_factor(scale):
    model, x, kept = Attends(16, scale), signal(2, 5, 16), []
    with torch.no_grad(), coord_check._Logits(lambda *found: kept.append(found)):
        model(x)
    ((name, scores),) = kept
    assert name == coord_check.LOGITS
    with torch.no_grad():
        q, k = model.q(x).view(2, 5, 4, 4), model.k(x)
        want = torch.einsum("bqhd,bkd->bhqk", q, k) * (scale or 0.5)
    torch.testing.assert_close(scores, want)
