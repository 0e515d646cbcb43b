"""The parts of figures: places, colours, ticks and notes, worked by hand."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.optimize
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle

from initguide import plotting
from initguide.plotting.lines import _annotate, _ending
from initguide.plotting.panels import _number
from initguide.plotting.style import _apart, _columns, _end, label_lines, log_ticks, sequence


def test_a_sequence_of_colours_goes_in_even_steps_through_its_stops():
    assert sequence(0) == []
    assert sequence(1) == ["#c38769"]
    assert sequence(3) == ["#c38769", "#8787e1", "#d20087"]
    # Half way between two stops: c3 and 87 meet at a5, 87 and d2 at ac.
    assert sequence(5) == ["#c38769", "#a587a5", "#8787e1", "#ac44b4", "#d20087"]


@pytest.mark.parametrize(
    ("low", "high", "ticks", "plain"),
    [
        (1, 5, [1, 1.5, 2, 3, 5], True),
        (20, 90, [20, 30, 50, 70], True),
        (1, 100, [1, 2, 5, 10, 20, 50, 100], True),
        (1, 1e4, [1, 10, 100, 1e3, 1e4], True),
        (1e-3, 1e3, [1e-3, 1e-2, 0.1, 1, 10, 100, 1e3], False),
    ],
)
def test_a_logarithmic_axis_has_round_numbers(low, high, ticks, plain):
    _, ax = plt.subplots()
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    log_ticks(ax)
    shown = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert sorted(shown) == pytest.approx(ticks)
    label = ax.yaxis.get_major_formatter()(ticks[1], 1)
    assert (label == f"{ticks[1]:g}") == plain
    assert not len(ax.yaxis.get_minorticklocs())


@pytest.mark.parametrize(
    ("decades", "count"),
    # Of 1, 1.5, 2, 3, 5 and 7 below 0.8 decades, of 1, 2 and 5 below 2.2, and of 1 above.
    [(0.79, 5), (0.81, 3), (2.19, 7), (2.21, 3)],
)
def test_the_range_decides_how_many_ticks_there_are(decades, count):
    _, ax = plt.subplots()
    ax.set_yscale("log")
    ax.set_ylim(1, 10**decades)
    log_ticks(ax)
    assert sum(1 <= tick <= 10**decades for tick in ax.get_yticks()) == count


@pytest.mark.parametrize(("decades", "label"), [(4.9, "1000"), (5.1, "$\\mathdefault{10^{3}}$")])
def test_powers_of_ten_are_written_only_over_five_decades(decades, label):
    _, ax = plt.subplots()
    ax.set_yscale("log")
    ax.set_ylim(1, 10**decades)
    log_ticks(ax)
    assert ax.yaxis.get_major_formatter()(1000, 1) == label


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.2])
@pytest.mark.parametrize(
    "ends",
    [[0.5], [0.1, 0.5, 0.9], [0.4, 0.41, 0.42], [0.0, 0.01, 0.5, 0.52], [0.97, 0.98, 1.0], []],
)
def test_labels_that_would_overlap_move_as_little_as_possible(ends, gap):
    found = _apart(ends, gap)
    assert len(found) == len(ends)
    if not ends:
        return
    bounds = scipy.optimize.Bounds(0, 1)
    apart = [
        {"type": "ineq", "fun": lambda h, i=i: h[i + 1] - h[i] - gap} for i in range(len(ends) - 1)
    ]
    start = np.linspace(0, 1, len(ends))
    best = scipy.optimize.minimize(
        lambda h: np.square(h - ends).sum(), start, bounds=bounds, constraints=apart, tol=1e-12
    )
    np.testing.assert_allclose(found, best.x, atol=1e-4)


@pytest.mark.parametrize(
    ("inches", "lengths", "columns"),
    # A label of n letters is 0.09 n + 0.65 inches wide, a column as wide as its widest label.
    [
        (6.8, [], 1),
        (0.1, [50, 50], 1),
        (6.8, [3], 1),
        (1.84, [3, 3], 2),
        (1.83, [3, 3], 1),
        (3.69, [3, 3, 3, 3], 4),
        (3.67, [3, 3, 3, 3], 2),
        (9.9, [3] * 5, 3),
        (9.9, [3] * 9, 3),
        (9.9, [3] * 8, 4),
        # In two columns of three labels, the widest of each counts: 1.55 + 0.92.
        (2.48, [10, 3, 3, 3, 3, 3], 2),
        (2.46, [10, 3, 3, 3, 3, 3], 1),
    ],
)
def test_a_legend_has_the_columns_that_fit_and_need_the_fewest_rows(inches, lengths, columns):
    assert _columns(inches, ["x" * length for length in lengths]) == columns


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.123456, "0.12"), (-3, "−3"), (1234.5, "1200"), (0, "0"), (1e-9, "1e−09"), (99.6, "100")],
)
def test_a_number_has_two_digits_and_a_real_minus(value, words):
    assert _number(value) == words


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([1, 2], ""),
        ([0, 0], "zero"),
        ([0, 1, 1], "1 of 3 zero"),
        ([math.inf, math.nan], "diverged"),
        ([0, math.nan], "diverged"),
        ([-1, 1], "1 of 2 diverged"),
    ],
)
def test_the_end_of_runs_in_words(ends, words):
    values = np.array([[1.0, end] for end in ends])
    assert _ending(values, np.isfinite(values) & (values > 0)) == words


def test_a_line_ends_at_its_last_finite_value():
    _, ax = plt.subplots()
    ax.set(xlim=(0, 3), ylim=(0, 4))
    for values, height in (
        ([0, 3], 0.75),
        ([3, 1, math.nan], 0.25),
        ([0, 9], 1),
        ([0, -9], 0),
        ([math.nan, math.inf], 0.5),
    ):
        (line,) = ax.plot(range(len(values)), values)
        ax.set(xlim=(0, 3), ylim=(0, 4))
        assert _end(ax, line) == pytest.approx(height)


def test_labels_are_to_the_right_of_the_panel_in_the_colours_of_their_lines():
    _, ax = plt.subplots(layout="constrained")
    ax.plot([0, 1], [0, 1], color="#d74100", label="up")
    ax.plot([0, 1], [1, 0], color="#2869d7", label="down")
    ax.plot([0, 1], [0.5, 0.5], ":", label="theory")
    label_lines(ax)
    placed = {text.get_text(): text for text in ax.texts}
    assert placed.keys() == {"up", "down"}
    for name, colour in (("up", "#d74100"), ("down", "#2869d7")):
        text = placed[name]
        assert to_rgba(text.get_color()) == to_rgba(colour)
        assert text.xy[0] == 1
        assert text.get_position()[0] > 0
    assert placed["up"].xy[1] > 0.9
    assert placed["down"].xy[1] < 0.1


# Networks.


def test_units_are_circles_at_the_places_that_gap_and_step_give():
    _, ax = plt.subplots()
    colours = {(1, 0): "#d74100"}
    assert plotting.network([3, 2], units=colours, gap=4.0, step=2.0, ax=ax) is ax
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    centres = [circle.center for circle in circles]
    assert centres == [(0, 2), (0, 0), (0, -2), (4, 1), (4, -1)]
    assert {circle.radius for circle in circles} == {0.3}
    assert [to_rgba("#d74100") == circle.get_facecolor() for circle in circles] == [
        False,
        False,
        False,
        True,
        False,
    ]
    ends = [tuple(map(tuple, line.get_xydata())) for line in ax.lines]
    assert ends == [((0, y), (4, z)) for y in (2, 0, -2) for z in (1, -1)]
    # The circles cover the lines, and no unit is cut.
    assert min(circle.get_zorder() for circle in circles) > max(e.get_zorder() for e in ax.lines)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert left < -0.3 < 4.3 < right < 5
    assert low == -high
    assert 2.3 < high < 3
    assert ax.get_aspect() == 1
    assert not ax.axison


def test_stressed_links_stand_out():
    ax = plotting.network([1, 2], links={(0, 0, 1): "#d74100"})
    plain, stressed = ax.lines
    assert to_rgba(stressed.get_color()) == to_rgba("#d74100")
    assert stressed.get_linewidth() > 2 * plain.get_linewidth()
    assert stressed.get_alpha() == 1
    assert 0.2 < plain.get_alpha() < 0.6


def test_labels_of_units_and_links_are_beside_what_they_name():
    labels = {(0, 0): "a", (0, 0, 0): "falls", (0, 1, 0): "rises"}
    ax = plotting.network([2, 2], labels=labels | {(0, 1, 1): "level"})
    texts = {text.get_text(): text for text in ax.texts}
    assert texts["a"].get_position() == (0, 0.5)
    assert texts["a"].get_zorder() > max(patch.get_zorder() for patch in ax.patches)
    # The link from (0, -0.5) to (3, 0.5), and the two level ones at ±0.5.
    assert texts["rises"].get_position() == pytest.approx((0.3 * 3, -0.5 + 0.3 - 0.08))
    assert texts["rises"].get_va() == "top"
    assert math.tan(math.radians(texts["rises"].get_rotation())) == pytest.approx(1 / 3)
    assert texts["level"].get_position() == pytest.approx((1.5, -0.58))
    assert (texts["level"].get_ha(), texts["level"].get_va()) == ("center", "top")
    assert texts["falls"].get_position() == pytest.approx((1.5, 0.58))
    assert texts["falls"].get_va() == "bottom"
    # The circles reach up to 0.8.
    assert 0.8 < ax.get_ylim()[1] < 1.3
    crossing = plotting.network([2, 2], labels={(0, 0, 1): "falls"}).texts[0]
    assert crossing.get_position() == pytest.approx((0.3 * 3, 0.5 - 0.3 + 0.08))
    assert crossing.get_va() == "bottom"


# Histograms.


def row(layer, *values):
    values = np.array(values, dtype=float)
    return {"layer": layer, "values": values, "mean": 1.0, "std": 2.0}


def test_a_histogram_shows_the_values_and_a_line_for_zeros():
    (ax,) = plotting.histograms({"He": [row(1, 0, 0, 1, 1, 1, 2, np.inf, np.nan)]}, bins=2)[0]
    assert ax.texts[0].get_text() == "mean 1, std 2, 25% zeros, 25% not finite"
    (bars,) = ax.patches
    heights = bars.get_path().vertices
    assert heights[:, 1].max() == 3
    assert (heights[:, 0].min(), heights[:, 0].max()) == (1, 2)
    assert 0.5 < bars.get_alpha() < 1
    (zeros,) = ax.collections
    ((start, end),) = zeros.get_segments()
    assert (start[0], end[0], start[1]) == (0, 0, 0)
    # The line is higher than the bars, and the notes have space above it.
    assert 3 < end[1] < ax.get_ylim()[1] < 6
    assert ax.get_ylim()[0] == 0
    assert not len(ax.get_yticks())
    (plain,) = plotting.histograms({"He": [row(1, 1, 2)]})[0]
    assert not plain.collections


@pytest.mark.parametrize(
    ("columns", "right", "ticks"),
    # Steps of 1, 2 or 5 times a power of ten; at most 4 of them, or 3 in many columns.
    [
        (1, 4, [0, 1, 2, 3, 4]),
        (1, 5, [0, 2, 4]),
        (1, 20, [0, 5, 10, 15, 20]),
        (1, 36, [0, 10, 20, 30]),
        (3, 3, [0, 1, 2, 3]),
        (3, 4, [0, 2, 4]),
    ],
)
def test_a_histogram_has_few_and_round_ticks(columns, right, ticks):
    layers = range(1, columns + 1)
    rows = [row(layer, 0, 1) for layer in layers]
    ax = plotting.histograms({"He": rows}, layers=[*layers])[0, 0]
    ax.set_xlim(0, right)
    assert [tick for tick in ax.get_xticks() if 0 <= tick <= right] == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("right", "power"), [(0.02, "1e−2"), (0.2, ""), (2000, ""), (20000, "1e4")]
)
def test_only_very_small_or_large_ticks_share_a_power_of_ten(right, power):
    ax = plotting.histograms({"He": [row(1, 0, 1)]})[0, 0]
    ax.set_xlim(0, right)
    labels = ax.xaxis.get_major_formatter()
    labels.format_ticks(ax.get_xticks())
    assert labels.get_offset() == power


def test_many_columns_have_a_line_for_each_word():
    rows = [row(layer, 0, 1) for layer in (1, 2, 3)]
    wide = plotting.histograms({"He": rows}, layers=[1, 2, 3])
    assert [ax.get_title(loc="left") for ax in wide[0]] == [
        "He\nlayer 1",
        "He\nlayer 2",
        "He\noutput",
    ]
    assert wide[0, 0].texts[0].get_text() == "mean 1\nstd 2\n50% zeros"
    two = plotting.histograms({"He": rows})
    assert two[0, 1].get_title(loc="left") == "He, output"
    assert wide[0, 0].figure.get_figheight() > two[0, 0].figure.get_figheight()
    both = plotting.histograms({"He": rows, "Xavier": rows})
    assert both[0, 0].figure.get_figheight() > 1.8 * two[0, 0].figure.get_figheight()


def test_histograms_on_one_scale_share_both_axes():
    values = [0.0] * 2 + [0.5] * 3 + [-0.25] * 3 + [9.0, np.nan]
    axes = plotting.histograms(
        {"He": [row(1, *values)], "std 1.0": [row(1, 1, 1)]}, bins=8, limit=2
    )
    first, second = axes[:, 0]
    # A normal distribution of std 0.5 has the density 0.8 at its middle, in bars of 4 / 8.
    assert first.get_ylim() == second.get_ylim() == pytest.approx((0, 0.8 * 4 / 8))
    left, right = (text.get_text() for text in first.texts)
    assert (left, right) == ("mean 1\nstd 2", "20% zero\n20% beyond")
    assert [text.xy[0] for text in first.texts] == [0, 1]
    assert [text.get_ha() for text in first.texts] == ["left", "right"]
    assert second.texts[1].get_text() == ""
    (zeros,) = first.collections
    assert zeros.get_segments()[0][:, 1].tolist() == pytest.approx([0, 0.4])
    assert not second.collections
    assert first.get_title() == "output"
    assert second.get_title() == ""
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["He", "std\n1.0"]


@pytest.mark.parametrize(("x", "side", "offset"), [(5.9, "left", 9), (6.1, "right", -9)])
def test_a_note_is_on_the_side_where_there_is_space(x, side, offset):
    _, ax = plt.subplots()
    ax.set(xlim=(0, 10), ylim=(0, 1))
    _annotate(ax, [(x, 0.5, "diverged"), (x, 0.5, "zero"), (x, 0.9, "far")])
    first, second, far = ax.texts
    assert {text.get_ha() for text in ax.texts} == {side}
    # In points: notes at one place are 15 apart, and those with space stay.
    assert first.get_position() == (offset, 0)
    assert second.get_position() == (offset, pytest.approx(15))
    assert far.get_position() == (offset, 0)
    assert [text.xy for text in ax.texts] == [(x, 0.5), (x, 0.5), (x, 0.9)]


def test_the_ends_of_runs_are_marked_where_they_stop():
    rows = [
        {"layer": layer, "seed": seed, "rms": value}
        for seed, run in enumerate(([1, 2, 4], [1, 3, math.inf], [5, 0, 0]))
        for layer, value in enumerate(run, start=1)
    ]
    ax = plotting.signals(rows, legend=False)
    middle, crosses = ax.lines
    means = [5 ** (1 / 3), 6**0.5, 4]
    np.testing.assert_allclose(middle.get_xydata(), np.c_[[1, 2, 3], means])
    assert sorted(map(tuple, crosses.get_xydata())) == [(1, 5), (2, 3)]
    assert crosses.get_marker() == "x"
    assert [text.get_text() for text in ax.texts] == ["2 of 3 diverged"]


@pytest.mark.parametrize(("count", "every"), [(3, 1), (12, 2), (18, 3), (25, 4)])
def test_a_line_has_about_six_markers(count, every):
    rows = [{"layer": i, "seed": 0, "rms": 1.0} for i in range(1, count + 1)]
    ax = plotting.signals(rows, legend=False)
    assert ax.lines[0].get_markevery() == (0, every)
