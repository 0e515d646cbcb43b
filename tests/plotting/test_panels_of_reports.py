"""The panels of reports: labels, marks, markers and sizes."""

from types import SimpleNamespace

import pytest

from initguide import plotting


def found(kind, where):
    return SimpleNamespace(kind=kind, where=where)


def runs(names, steps, **numbers):
    row = {"loss": 1.0, "update": 0.01, "rms": 2.0, "dead": 0.1} | numbers
    return [{"layer": name, "step": step, **row} for step in range(steps) for name in names]


def labels(ax):
    return [text.get_text() for text in ax.texts]


def test_a_training_run_has_its_words_at_the_edges():
    figure = plotting.training(runs("ab", 3), [found("units die", "a")])
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "loss",
        "update / weight",
        "output of the layer",
        "dead units",
    ]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "", "step"]
    assert [ax.get_yscale() for ax in figure.axes] == ["linear", "log", "log", "linear"]
    assert figure.get_figheight() == pytest.approx(4 * 1.8 + 0.3)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 1.0, 1.0]
    (rule,) = (line for line in figure.axes[1].lines if line.get_linestyle() == ":")
    assert set(rule.get_ydata()) == {1e-3}
    assert rule.get_zorder() < min(line.get_zorder() for line in figure.axes[2].lines)
    two = plotting.training(runs("ab", 3), [found("signal drifts", "a")])
    assert [ax.get_xlabel() for ax in two.axes] == ["", "", "step"]
    assert two.get_figheight() == pytest.approx(3 * 1.8 + 0.3)


@pytest.mark.parametrize(("count", "marker"), [(5, "."), (6, "")])
def test_short_lines_have_points(count, marker):
    figure = plotting.training(runs("a", count))
    assert figure.axes[2].lines[0].get_marker() == marker


def test_up_to_six_layers_have_a_label_each():
    assert len(labels(plotting.training(runs("abcdef", 2)).axes[2])) == 6
    assert labels(plotting.training(runs("abcdefg", 2)).axes[2]) == ["a", "g"]


def test_a_name_of_more_than_twenty_letters_is_cut():
    for length, shown in ((20, "x" * 20), (21, "…" + "x" * 19)):
        (label,) = labels(plotting.training(runs(["x" * length], 2)).axes[2])
        assert label == shown


def test_zeros_are_drawn_only_where_the_axis_is_linear():
    figure = plotting.training(runs("a", 3, update=0.0, dead=0.0), [found("units die", "a")])
    _, update, _, dead = figure.axes
    assert len(update.lines) == 1
    assert dead.lines[0].get_ydata().tolist() == [0, 0, 0]
    assert not plotting.training(runs("a", 3, rms=None)).axes[2].lines


def test_a_coordinate_check_has_its_words_at_the_edges():
    rows = [
        {"layer": "a", "axis": axis, "size": size, "step": step, "rms": size, "change": 2.0}
        for axis in ("width", "depth")
        for size in (4, 8)
        for step in (0, 1)
    ]
    figure = plotting.coordinates(rows)
    assert [ax.get_ylabel() for ax in figure.axes] == ["size at the start", "", "change", ""]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "width", "depth"]
    assert {ax.get_xscale() for ax in figure.axes} == {ax.get_yscale() for ax in figure.axes}
    assert figure.axes[0].get_xscale() == "log"
    assert not len(figure.axes[0].xaxis.get_minorticklocs())
    assert figure.get_figheight() == pytest.approx(2 * 1.8 + 0.3)
    assert len(plotting.coordinates([row for row in rows if row["axis"] == "width"]).axes) == 2


def measured(count, gradient=1.0):
    row = {"rms": 1.0, "std": 0.5, "gradient_rms": gradient}
    return [{"layer": str(i), **row} for i in range(1, count + 1)]


def test_a_report_has_a_panel_for_the_gradient_if_it_was_measured():
    one, two = plotting.report(measured(3, None)), plotting.report(measured(3))
    assert [ax.get_ylabel() for ax in one.axes] == ["output of the layer"]
    assert [ax.get_xlabel() for ax in one.axes] == ["layer"]
    assert [ax.get_xlabel() for ax in two.axes] == ["", "layer"]
    assert two.axes[1].get_ylabel() == "gradient at the output"
    assert two.get_figheight() == pytest.approx(one.get_figheight() * 1.4)
    assert two.axes[0].get_legend() is not None
    assert two.axes[1].get_legend() is None
    assert two.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3]


@pytest.mark.parametrize(("index", "side", "offset"), [(7, "left", 4), (8, "right", -4)])
def test_a_mark_is_on_the_side_where_there_is_space(index, side, offset):
    findings = [found("dead units", str(index)), found("signal vanishes", str(index))]
    findings += [found("gradient vanishes", str(index)), found("cloned layers", "elsewhere")]
    signal, gradient = plotting.report(measured(10), findings).axes
    (mark,) = signal.texts
    assert mark.get_text() == "dead units\nsignal vanishes"
    assert mark.xy == (index, 0)
    assert (mark.get_ha(), mark.get_va()) == (side, "bottom")
    assert mark.get_position() == (offset, 4)
    (line,) = (line for line in signal.lines if line.get_linestyle() == ":")
    assert set(line.get_xdata()) == {index}
    # The kinds of the other direction are left out.
    assert [text.get_text() for text in gradient.texts] == ["dead units\ngradient vanishes"]
