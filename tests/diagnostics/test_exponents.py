"""The parts of coord_check and measure_training that need no training, worked by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from initguide.diagnostics import measure_training
from initguide.diagnostics.coord_check import (
    LOGITS,
    _check_sizes,
    _findings,
    _fit,
    _recorded,
    _rms,
    _slope,
    _take_output,
)


@pytest.mark.parametrize("exponent", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_the_slope_is_the_exponent_of_a_power(exponent):
    sizes = {n: 3 * n**exponent for n in (64, 128, 1024)}
    assert _slope(sizes) == pytest.approx(exponent)


def test_the_slope_is_that_of_the_least_squares():
    # At logarithms 0, 1 and 2 the sizes have logarithms 0, 0 and 3: the slope is 3 / 2.
    assert _slope({1: 1.0, 10: 1.0, 100: 1e3}) == pytest.approx(1.5)
    assert _slope({64: 1.0}) is None
    assert _slope({64: 0.0, 128: 1.0}) is None


def test_the_signal_is_fitted_at_the_start_and_the_update_at_the_end():
    rows = [
        {"axis": axis, "layer": layer, "size": n, "step": step, "rms": rms, "change": change}
        for axis, shift in (("width", 0), ("depth", 1))
        for layer, a, b in (("in", 0, 0.5), ("out", -0.5, 1))
        for n in (4, 16, 64)
        for step, rms, change in (
            (0, n ** (a + shift), 1.0),
            (1, n**7, n**7),
            (2, n**8, n ** (b + shift)),
        )
    ]
    first, last = _fit(rows, "width")
    assert (first["layer"], last["layer"], last["axis"]) == ("in", "out", "width")
    assert (first["signal"], first["update"]) == (pytest.approx(0), pytest.approx(0.5))
    assert (last["signal"], last["update"]) == (pytest.approx(-0.5), pytest.approx(1))
    assert [row["signal"] for row in _fit(rows, "depth")] == pytest.approx([1, 0.5])


def said(signal, update, layer="a", axis="width"):
    row = {"layer": layer, "axis": axis, "signal": signal, "update": update}
    return [each.kind for each in _findings(row)]


@pytest.mark.parametrize(
    ("signal", "update", "kinds"),
    [
        (0.0, 0.0, []),
        (0.24, 0.24, []),
        (0.26, 0.0, ["signal grows"]),
        # A head may start smaller in wide networks, and its updates with it.
        (-1.0, 0.0, []),
        (-1.0, -1.0, []),
        (-0.26, -0.26, []),
        (-0.24, -0.26, ["update shrinks"]),
        (0.0, -0.24, []),
        (None, -0.26, ["update shrinks"]),
        (0.0, 0.26, ["update grows"]),
        (-1.0, 0.26, ["update grows"]),
        (0.5, 1.0, ["signal grows", "update grows"]),
        (None, None, []),
    ],
)
def test_exponents_of_a_quarter_and_more_are_found(signal, update, kinds):
    assert said(signal, update) == kinds


def test_a_finding_names_the_exponent_and_what_helps():
    row = {"layer": "a", "axis": "depth", "signal": 0.5, "update": -0.5}
    signal, update = _findings(row)
    assert signal.message == "the signal at the start grows as depth^0.50"
    assert update.message == "the change by training shrinks as depth^-0.50"
    assert "1/sqrt(fan_in)" in signal.hint
    assert "falls too fast" in update.hint
    assert signal.where == update.where == "a"


@pytest.mark.parametrize(("slope", "is_root"), [(0.5, True), (0.74, True), (0.76, False)])
def test_scores_are_divided_by_the_root_or_by_the_size_of_a_head(slope, is_root):
    row = {"layer": LOGITS, "axis": "width", "signal": slope, "update": 0.5}
    signal, update = _findings(row)
    assert ("the square root of the size" in signal.hint) == is_root
    assert "not by its square root" in update.hint
    # Over the depth, and for what shrinks, the usual hints hold.
    (found,) = _findings({**row, "axis": "depth", "update": 0.0})
    assert "1/sqrt(fan_in)" in found.hint
    (found,) = _findings({**row, "signal": 0.0, "update": -0.5})
    assert "falls too fast" in found.hint


def test_the_output_of_the_model_replaces_that_of_a_last_layer_of_its_shape():
    a, b = torch.ones(3, 2), 5 * torch.ones(3, 2)
    signals = {"first": [a], "last": [a]}
    _take_output(signals, b)
    assert signals["first"][0] is a
    assert torch.equal(signals["last"][0], b)
    assert signals["last"][0] is not b
    for held, output in (([a, a], b), ([a], torch.ones(3, 1)), ([a], (b,))):
        signals = {"last": [*held]}
        _take_output(signals, output)
        assert all(x is y for x, y in zip(signals["last"], held, strict=True))
    _take_output({}, b)


def test_the_rms_counts_all_entries_alike():
    # Two entries of 3 and four of zero: the mean square is 18 / 6.
    assert _rms([3 * torch.ones(2), torch.zeros(2, 2)]) == pytest.approx(math.sqrt(3))


def test_layers_of_one_place_are_recorded_together_and_masks_are_left_out():
    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(
                nn.ModuleDict({"up": nn.Linear(2, 2), "down": nn.Linear(2, 2)}) for _ in range(3)
            )
            self.head2 = nn.Linear(2, 2)

        def forward(self, x):
            for block in self.blocks:
                x = block["down"](block["up"](x))
            scores = torch.full((1, 2, 2), -1e9).triu(1)
            scores.softmax(-1)
            x.softmax(-1)
            return self.head2(x)

    model = Blocks()
    with _recorded(model) as signals:
        model(torch.ones(5, 2))
    assert {name: len(values) for name, values in signals.items()} == {
        "blocks.*.up": 3,
        "blocks.*.down": 3,
        LOGITS: 1,
        "head2": 1,
    }
    assert not signals[LOGITS][0].any()
    with _recorded(nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2))) as signals:
        pass
    assert signals == {}
    plain = nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2))
    with _recorded(plain) as signals:
        plain(torch.ones(5, 2))
    assert [*signals] == ["*.0", "1"]


def test_two_different_sizes_are_needed():
    _check_sizes("widths", [4, 8], 2)
    _check_sizes("depths", [], 0)
    for sizes in ([4], [4, 4]):
        with pytest.raises(ValueError, match="widths must hold at least two sizes; got"):
            _check_sizes("widths", sizes, 2)
    with pytest.raises(ValueError, match="each of widths"):
        _check_sizes("widths", [4, 0], 2)


# Batches and losses of training.


def test_the_last_part_of_a_batch_is_the_target_of_a_loss():
    def loss(y):
        return y

    split = measure_training._split
    assert split({"x": 1}, loss) == ((), {"x": 1}, ())
    assert split("x", loss) == (("x",), {}, ())
    assert split(("x", "y"), loss) == (("x",), {}, ("y",))
    assert split(["x", "z", "y"], loss) == (("x", "z"), {}, ("y",))
    assert split(("x",), loss) == (("x",), {}, ())
    assert split(("x", "y"), None) == (("x", "y"), {}, ())


def test_a_model_may_return_its_own_loss():
    own = measure_training._own_loss
    loss, scores = torch.ones((), requires_grad=True), torch.ones(3, requires_grad=True)
    assert own({"loss": loss, "scores": scores}) is loss
    assert own(SimpleNamespace(loss=loss)) is loss
    assert own(loss) is own((scores, loss, torch.ones(()))) is loss
    for output, count in ((scores, 0), ((loss, loss * 2), 2), ({"loss": None}, 0)):
        with pytest.raises(ValueError, match=f"got {count} scalars in {type(output).__name__}"):
            own(output)


def test_batches_that_end_early_are_named():
    supply = iter([1])
    assert measure_training._next(supply, 0, 3) == 1
    with pytest.raises(ValueError, match="batches must last for 3 steps; they end at step 1"):
        measure_training._next(supply, 1, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_layer_is_finite_if_its_output_and_its_gradient_are(bad):
    def layer(rms, gradient):
        return SimpleNamespace(output=(0.0, bad, rms), gradient=gradient)

    assert measure_training._is_finite(layer(1.0, None))
    assert measure_training._is_finite(layer(1.0, 2.0))
    assert not measure_training._is_finite(layer(bad, 2.0))
    assert not measure_training._is_finite(layer(1.0, bad))
