"""Exponents over widths, and changes since a baseline, at the edges of their limits."""

import math

import pytest
import torch

from initguide.diagnostics.baseline import _changes, _is_close, _rounded
from initguide.diagnostics.coord_check import (
    LOGITS,
    _findings,
    _fit,
    _Logits,
    _rms,
    _slope,
    _take_output,
)

# Exponents.


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.0, 0.5, 2.0])
def test_the_exponent_is_the_slope_of_the_logarithms(slope):
    sizes = (64, 256, 1024)
    assert _slope({n: 3 * n**slope for n in sizes}) == pytest.approx(slope)
    assert _slope({64: 1.0}) is None
    assert _slope({64: 1.0, 128: 0.0}) is None


def test_the_signal_is_fitted_at_the_start_and_the_change_at_the_last_step():
    rows = [
        {
            "axis": axis,
            "layer": layer,
            "size": n,
            "step": step,
            "rms": n**0.5 if step == 0 else 7.0 * n,
            "change": n**-1.0 if step == 2 else 5.0,
        }
        for axis in ("width", "depth")
        for layer in ("a", "b")
        for n in (8, 16, 64)
        for step in (0, 1, 2)
    ]
    found = _fit([*rows, rows[0] | {"axis": "depth", "step": 9}], "width")
    assert [each["layer"] for each in found] == ["a", "b"]
    for each in found:
        assert each["axis"] == "width"
        assert each["signal"] == pytest.approx(0.5)
        assert each["update"] == pytest.approx(-1)


EXPONENTS = [
    # The signal may shrink, because it starts small where training lets it grow.
    (0.24, 0.24, []),
    (0.26, 0.0, ["signal grows"]),
    (0.0, 0.26, ["update grows"]),
    (-9.0, 0.0, []),
    (0.0, -0.24, []),
    (0.0, -0.26, ["update shrinks"]),
    (-0.24, -0.26, ["update shrinks"]),
    (-0.26, -0.26, []),
    (-0.26, 0.26, ["update grows"]),
    (None, None, []),
    (None, -0.26, ["update shrinks"]),
    (0.5, 1.0, ["signal grows", "update grows"]),
]


@pytest.mark.parametrize(("signal", "update", "kinds"), EXPONENTS)
def test_an_exponent_of_a_quarter_is_a_finding(signal, update, kinds):
    exponents = {"layer": "a", "axis": "width", "signal": signal, "update": update}
    found = [*_findings(exponents)]
    assert [each.kind for each in found] == kinds
    for each in found:
        is_signal = each.kind.startswith("signal")
        what = "the signal at the start" if is_signal else "the change by training"
        verb, slope = each.kind.split()[1], signal if is_signal else update
        assert each.message == f"{what} {verb} as width^{slope:.2f}"
        assert each.where == "a"


@pytest.mark.parametrize(
    ("signal", "update", "axis", "hint"),
    [
        (0.0, 0.5, "width", "by the size of a head, not by its square root"),
        (0.74, 0.0, "width", "by the square root of the size of a head; muP"),
        (0.76, 0.0, "width", "by the size of a head, because queries and keys are correlated"),
    ],
)
def test_the_scores_of_attention_have_their_own_hint(signal, update, axis, hint):
    exponents = {"layer": LOGITS, "axis": axis, "signal": signal, "update": update}
    (found,) = _findings(exponents)
    assert hint in found.hint
    for other in ({"layer": "a"}, {"axis": "depth"}):
        (found,) = _findings(exponents | other)
        assert hint not in found.hint
    (shrinks,) = _findings(exponents | {"signal": 0.0, "update": -0.5})
    assert "head" not in shrinks.hint


def test_the_size_of_several_tensors_is_that_of_all_entries():
    parts = [torch.tensor([3.0]), torch.tensor([[0.0, 4.0], [0.0, 0.0]]).half()]
    assert _rms(parts) == pytest.approx(math.sqrt(25 / 5))


def test_the_output_of_the_model_replaces_that_of_its_last_layer():
    output = torch.full((2,), 7.0)
    signals = {"a": [torch.ones(2)], "b": [torch.ones(2)]}
    _take_output(signals, output)
    assert signals["a"][0].tolist() == [1, 1]
    assert signals["b"][0].tolist() == [7, 7]
    assert signals["b"][0] is not output
    for held, given in (
        ([torch.ones(2), torch.ones(2)], output),
        ([torch.ones(3)], output),
        ([torch.ones(2)], (output,)),
    ):
        signals = {"b": held}
        _take_output(signals, given)
        assert all((each == 1).all() for each in signals["b"])
    _take_output({}, output)


def test_scores_are_the_inputs_of_a_softmax_over_positions():
    kept = []
    with _Logits(lambda name, value: kept.append((name, value))):
        for shape in ((3, 4), (2, 3, 4), (2, 2, 3, 4)):
            torch.softmax(torch.ones(shape), -1)
            torch.log_softmax(torch.ones(shape), -1)
    assert [(name, value.ndim) for name, value in kept] == [(LOGITS, 3), (LOGITS, 4)]


# Baselines.


@pytest.mark.parametrize(
    ("was", "now", "close"),
    [
        (1.0, 1 + 0.9e-5, True),
        (1.0, 1 + 1.1e-5, False),
        (1, 1.0, True),
        ("a", "a", True),
        ("a", "b", False),
        (None, 0.0, False),
        (0.0, None, False),
        (None, None, True),
    ],
)
def test_numbers_of_the_plan_are_close_up_to_rounding(was, now, close):
    assert _is_close(was, now) == close


def test_numbers_are_rounded_and_all_else_stays():
    assert _rounded(1.23456789, 4) == 1.235
    assert _rounded(123456.789, 4) == 123500
    for value in (math.inf, "1.23456789", None, 123456789):
        assert _rounded(value, 4) == value
    assert math.isnan(_rounded(math.nan, 4))


ROW = {"shape": "20 × 20", "dtype": "float32", "law": "normal_", "mean": 0.0, "std": 0.1}
ROW |= {"finding": None, "found_mean": 0.01, "found": 0.1, "checksum": "c", "random": True}


def changes(before, **now):
    held = {key: value for key, value in ROW.items() if key != "random"} | before
    return [(each.kind, each.what) for each in _changes(held, ROW | now)]


def test_a_parameter_may_be_added_or_removed():
    assert [tuple(each) for each in _changes(None, ROW)] == [("added", "added", None, None)]
    assert [tuple(each) for each in _changes(ROW, None)] == [("removed", "removed", None, None)]


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ({}, {}, []),
        ({"law": "uniform_"}, {}, ["method"]),
        ({"shape": "20 × 21"}, {"random": True}, ["shape"]),
        ({"std": 0.10001}, {}, ["std"]),
        ({"std": 0.1000001}, {}, []),
        ({"finding": "mean"}, {}, ["finding"]),
        ({"finding": "mean"}, {"finding": "std wrong"}, []),
        ({"finding": "mean"}, {"checksum": None}, []),
        # With a checksum, numbers must agree to a thousandth of the std, or of the mean.
        ({"found": 0.10009}, {}, []),
        ({"found": 0.10011}, {}, ["std of the values"]),
        ({"found_mean": 0.01009}, {}, []),
        ({"found_mean": 0.01011}, {}, ["mean of the values"]),
        ({"found_mean": 5.0}, {"found_mean": 5.0049}, []),
        ({"found_mean": 5.0}, {"found_mean": 5.0051}, ["mean of the values"]),
        ({"checksum": "d"}, {}, ["values"]),
        ({"checksum": "d", "found": 0.2}, {}, ["std of the values"]),
        ({"checksum": None}, {}, []),
        ({"checksum": "d"}, {"checksum": None}, []),
        ({"found": math.nan}, {"found": math.nan}, []),
        ({"found": "NaN"}, {"found": math.nan}, []),
        ({"found": 0.2}, {"found": None}, []),
    ],
)
def test_what_has_changed_since_a_baseline(before, now, found):
    assert changes(before, **now) == [("changed", what) for what in found]


@pytest.mark.parametrize("random", [True, False])
def test_without_a_checksum_random_values_may_differ_by_chance(random):
    before = {key: value for key, value in ROW.items() if key not in ("random", "checksum")}

    def found(**now):
        return [each.what for each in _changes(before, ROW | {"random": random} | now)]

    # Eight standard errors of 400 values are 0.4 of the std, of the larger of the two.
    limit = 0.4 if random else 1e-3
    assert found(found_mean=0.01 + 0.99 * limit * 0.1) == []
    assert found(found_mean=0.01 + 1.01 * limit * 0.1) == ["mean of the values"]
    assert found(found=0.1 * (1 + 0.99 * limit)) == []
    assert found(found=0.1 / (1 - 1.01 * limit)) == ["std of the values"]
    scalar = before | {"shape": "scalar"}
    wide = ROW | {"random": random, "shape": "scalar", "found_mean": 0.7}
    assert bool([*_changes(scalar, wide)]) != random
