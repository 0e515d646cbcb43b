"""Lines of runs: what covers what, where the markers are, and the axes."""

import math

import pytest
from matplotlib.colors import to_rgba

from initguide import plotting


def rows_of(count, names=("He",), seeds=1, y="rms", x="layer", value=1.0):
    return [
        {"initialization": name, x: i, "seed": seed, y: value}
        for name in names
        for seed in range(seeds)
        for i in range(1, count + 1)
    ]


def test_crosses_cover_theory_theory_covers_lines_and_lines_cover_bands():
    rows = rows_of(4, seeds=3)
    rows[3]["rms"] = math.nan
    ax = plotting.signals(rows, theory={"He": [1.0, 1.0, 1.0, 1.0]})
    line, cross, theory = ax.lines
    assert (line.get_marker(), cross.get_marker(), theory.get_linestyle()) == ("o", "x", ":")
    (band,), (note,) = ax.collections, ax.texts
    order = [each.get_zorder() for each in (band, line, theory, cross, note)]
    assert order == sorted(set(order))
    assert to_rgba(cross.get_color()) == to_rgba(line.get_color())
    assert 0 < band.get_alpha() < 0.5
    assert note.get_text() == "He: 1 of 3 diverged"
    chance = plotting.curves(rows_of(4, seeds=3, x="step", y="loss"), chance=2.3)
    assert chance.lines[-1].get_zorder() < chance.collections[0].get_zorder()
    assert set(chance.lines[-1].get_ydata()) == {2.3}
    # Its label is to the right of the panel.
    (label,) = chance.texts
    assert (label.get_text(), label.xy) == ("chance", (1, 2.3))
    assert label.get_position()[0] > 0


def test_one_seed_has_no_band_and_two_have_one():
    assert not plotting.signals(rows_of(4)).collections
    assert len(plotting.signals(rows_of(4, seeds=2)).collections) == 1


def test_the_markers_of_several_lines_are_shifted():
    # Of 24 points every fourth has one; fifths of four are 0, 0.8, 1.6, 2.4, 3.2 and 4.
    names = ["He", "Xavier", "LeCun", "LSUV", "std 1.0", "Orthogonal"]
    ax = plotting.signals(rows_of(24, names))
    assert [line.get_markevery() for line in ax.lines] == [(i, 4) for i in (0, 0, 1, 2, 3, 0)]


@pytest.mark.parametrize(
    ("last", "ticks"),
    # Whole numbers, in at most six steps of 1, 2 or 5 times a power of ten.
    [
        (2, [0, 1, 2]),
        (6, [0, 1, 2, 3, 4, 5, 6]),
        (7, [0, 2, 4, 6]),
        (30, [0, 5, 10, 15, 20, 25, 30]),
        (55, [0, 10, 20, 30, 40, 50]),
    ],
)
def test_layers_have_whole_numbers(last, ticks):
    ax = plotting.signals(rows_of(3))
    ax.set_xlim(0, last)
    assert [tick for tick in ax.get_xticks() if 0 <= tick <= last] == ticks


def test_a_line_without_points_says_why():
    for value, words in ((0.0, "He (always zero)"), (math.nan, "He (never finite)")):
        (line,) = plotting.signals(rows_of(3, value=value)).lines
        assert line.get_label() == words


def test_only_losses_have_a_logarithmic_axis():
    loss = plotting.curves(rows_of(3, x="step", y="loss"))
    accuracy = plotting.curves(rows_of(3, x="step", y="accuracy"), y="accuracy")
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    low, high = accuracy.get_ylim()
    assert -0.1 < low < 0
    assert 1 < high < 1.1
    assert plotting.curves(rows_of(3, x="step", y="loss"), log=False).get_yscale() == "linear"
    free = plotting.curves(rows_of(3, x="step", y="accuracy", value=5.0), y="accuracy", log=True)
    assert free.get_ylim()[1] > 5
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("training loss", "held-out accuracy")
    assert loss.get_legend() is not None
    assert plotting.curves(rows_of(3, x="step", y="loss"), legend=False).get_legend() is None


def test_theory_has_one_entry_in_the_legend_and_starts_at_the_first_layer():
    values = [1.0, 0.0, math.inf, 4.0]
    ax = plotting.signals(rows_of(4), theory={"a": values, "b": values})
    lines = ax.lines[1:]
    assert [line.get_label() for line in lines] == ["theory", "_theory"]
    assert lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    drawn = lines[0].get_ydata()
    assert [drawn[0], drawn[3]] == [1, 4]
    assert math.isnan(drawn[1])
    assert math.isnan(drawn[2])
