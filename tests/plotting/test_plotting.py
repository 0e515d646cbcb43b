"""The figures show the values of the rows, and keep the settings of matplotlib."""

import itertools
import math
import subprocess
import sys
import types
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

import initguide as init
from initguide import plotting
from initguide.plotting.style import MARKERS, OTHERS, STOPS, colours_of, sequence


def signal_rows(values, name="He", y="rms"):
    """Return rows from a mapping of seeds to their values by layer."""
    return [
        {"initialization": name, "seed": seed, "layer": layer, y: value}
        for seed, run in values.items()
        for layer, value in enumerate(run, start=1)
    ]


def curve_rows(values, name="He", y="loss"):
    rows = signal_rows(values, name, y)
    return [{"step": 10 * row["layer"], **row} for row in rows]


def line(ax, label):
    """Return the line with this label."""
    (found,) = [drawn for drawn in ax.lines if drawn.get_label() == label]
    return found


def crosses(ax):
    return [
        point for drawn in ax.lines if drawn.get_marker() == "x" for point in drawn.get_xydata()
    ]


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_signals_draw_the_geometric_mean_and_the_range():
    ax = plotting.signals(signal_rows({0: [1, 4, 16], 1: [4, 4, 1]}))
    assert ax.get_yscale() == "log"
    np.testing.assert_allclose(line(ax, "He").get_xydata(), [[1, 2], [2, 4], [3, 4]])
    corners = ax.collections[0].get_paths()[0].vertices
    for x, low, high in ((1, 1, 4), (2, 4, 4), (3, 1, 16)):
        at = corners[corners[:, 0] == x, 1]
        assert (at.min(), at.max()) == (low, high)


@pytest.mark.parametrize("lost", [math.nan, math.inf, 50.0])
def test_rates_count_a_diverged_run_and_ring_the_best(lost):
    losses = {0.01: (1.0, 4.0), 0.1: (1.0, 1.0), 1.0: (lost, 1.0)}
    rows = [
        {"initialization": "He", "lr": lr, "seed": seed, "loss": loss, "best": lr == 0.1}
        for lr, both in losses.items()
        for seed, loss in enumerate(both)
    ]
    ax = plotting.rates(rows, chance=2.3, ceiling=9.0)
    line, ring = ax.lines[:2]
    # The mean is geometric, and a lost run counts as the ceiling.
    assert line.get_ydata() == pytest.approx([2, 1, 3])
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([0.1], [1.0])
    assert {text.get_text() for text in ax.texts} >= {"chance", "≥ 9"}
    assert ax.get_xscale() == ax.get_yscale() == "log"


@pytest.mark.parametrize("least", [0.9, 0.7, 0.4, 0.17, 0.05, 0.01, 1e-4, 1e-9])
def test_a_logarithmic_axis_has_a_few_ticks_for_any_range(least):
    rows = [{"initialization": "He", "lr": lr, "loss": loss} for lr, loss in ((1, least), (2, 2.2))]
    ax = plotting.rates(rows)
    low, high = ax.get_ylim()
    assert 3 <= sum(low <= tick <= high for tick in ax.get_yticks()) <= 8


def test_a_ring_near_another_one_is_larger():
    rows = [
        {"initialization": name, "lr": lr, "loss": loss, "best": lr == best}
        for name, best, loss in (
            ("He", 0.1, 1.0),
            ("Xavier", 1.0, 1.0),
            ("LeCun", 0.1, 1.1),
            ("Zero", 0.1, 2.0),
        )
        for lr in (0.1, 1.0)
    ]
    rings = [line for line in plotting.rates(rows).lines if line.get_linestyle() == "None"]
    assert [ring.get_markersize() for ring in rings] == [13, 13, 19, 13]


def test_curves_draw_the_mean():
    ax = plotting.curves(curve_rows({0: [0.1, 0.6], 1: [0.3, 1.0]}, y="accuracy"), y="accuracy")
    assert ax.get_yscale() == "linear"
    np.testing.assert_allclose(line(ax, "He").get_xydata(), [[10, 0.2], [20, 0.8]])


@pytest.mark.parametrize("lost", [0.0, math.inf, math.nan])
def test_a_line_ends_before_values_that_cannot_be_drawn(lost):
    ax = plotting.signals(signal_rows({0: [1.0, 0.5, lost, lost], 1: [1.0, 0.5, lost, lost]}))
    assert line(ax, "He").get_xydata().tolist() == [[1, 1], [2, 0.5]]
    assert [point.tolist() for point in crosses(ax)] == [[2, 0.5], [2, 0.5]]
    assert words(ax) == ["He: zero" if lost == 0 else "He: diverged"]


def test_the_mean_is_over_the_finite_runs():
    ax = plotting.curves(curve_rows({0: [1, 4, math.inf], 1: [1, 1, 1], 2: [1, 2, 3.0]}))
    np.testing.assert_allclose(line(ax, "He").get_ydata(), [1, 2, math.sqrt(3)])
    assert [point.tolist() for point in crosses(ax)] == [[20, 4]]
    assert words(ax) == ["He: 1 of 3 diverged"]


@pytest.mark.parametrize(("value", "label"), [(0.0, "always zero"), (math.nan, "never finite")])
def test_the_legend_names_a_line_without_points(value, label):
    rows = signal_rows({0: [value, value]}, "Zero") + signal_rows({0: [1, 1]})
    ax = plotting.signals(rows)
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [f"Zero ({label})", "He"]
    ax.figure.canvas.draw()


def test_notes_at_the_same_point_do_not_overlap():
    rows = [
        row for name in ("He", "Xavier", "LSUV")
        for row in curve_rows({0: [1, 1, math.inf]}, name)
    ]  # fmt: skip
    ax = plotting.curves(rows)
    ax.figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 3
    for below, above in pairwise(boxes):
        assert below.y1 < above.y0 + 1


def test_theory_is_dotted_over_the_measurement():
    theory = {
        "He": init.propagate("relu", 2**0.5, depth=3),
        "Xavier": [1.0, 0.0, math.nan],
    }
    ax = plotting.gradients(signal_rows({0: [1, 1, 1]}, y="gradient_rms"), theory=theory)
    drawn = line(ax, "theory")
    assert drawn.get_linestyle() == ":"
    np.testing.assert_allclose(drawn.get_xydata(), [[1, 0.5**0.5], [2, 0.5**0.5], [3, 0.5**0.5]])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["He", "theory"]
    assert np.isnan(line(ax, "_theory").get_ydata()[1:]).all()


def test_theory_may_be_a_prediction_or_an_array_for_each_quantity():
    prediction = init.propagate("tanh", 1.5, depth=2, c0=0.5)
    for y in ("rms", "std", "gradient_rms"):
        theory = {"He": prediction, "mine": np.array([3.0, 4.0])}
        ax = plotting.signals(signal_rows({0: [1, 1]}, y=y), y=y, theory=theory)
        np.testing.assert_allclose(line(ax, "theory").get_ydata(), getattr(prediction, y))
        assert line(ax, "_theory").get_ydata().tolist() == [3, 4]


def test_a_method_has_the_same_colour_and_marker_in_all_figures():
    for names in (["He", "mine", "Xavier"], ["mine", "Xavier", "He"], ["He"]):
        rows = [row for name in names for row in signal_rows({0: [1, 2]}, name)]
        ax = plotting.signals(rows)
        assert line(ax, "He").get_color() == plotting.COLORS["He"]
        assert line(ax, "He").get_marker() == MARKERS[plotting.COLORS["He"]]
        assert len({line(ax, name).get_color() for name in names}) == len(names)


def test_a_name_that_is_no_method_wears_no_colour_of_a_method():
    assert list(colours_of(["random A", "He", "random B"]).values()) == [
        OTHERS[0],
        plotting.COLORS["He"],
        OTHERS[1],
    ]
    found = colours_of(["256 units", "64 units", "128 units", "LayerNorm"])
    assert list(found.values()) == [STOPS[2], STOPS[0], STOPS[1], OTHERS[0]]
    assert list(colours_of(["Δ 0.1 to 10", "Δ 0.001 to 0.1"]).values()) == [STOPS[2], STOPS[0]]
    # One name with a number is no sequence.
    assert colours_of(["layer 3"]) == {"layer 3": OTHERS[0]}
    many = colours_of([*"abcdefghij", "He"])
    assert len({*many.values()}) == 11


def test_rates_by_size_have_a_panel_for_each_start_and_a_star_at_each_lowest_point():
    # The best rate is 1/4 for "muP" at each width, and 8 / width for "standard".
    rows = [
        {"initialization": name, "width": width, "lr": 2.0**k, "seed": 0}
        | {"loss": 1 + (k - (-2 if name == "muP" else math.log2(8 / width))) ** 2}
        for name in ("standard", "muP")
        for width in (32, 64)
        for k in range(-5, 0)
    ]
    axes = plotting.rates_by_size(rows, "width", "units", limits=(0.5, 20))
    assert [ax.get_title(loc="left") for ax in axes] == ["standard", "muP"]
    for ax, expected in zip(axes, ([-2, -3], [-2, -2]), strict=True):
        stars = [one for one in ax.lines if one.get_marker() == "*"]
        assert [star.get_xydata().tolist() for star in stars] == [[[k, 1]] for k in expected]
        assert [star.get_color() for star in stars] == [STOPS[0], STOPS[2]]
        assert {text.get_text() for text in ax.texts} == {"32 units", "64 units"}
        assert ax.get_ylim() == (0.5, 20)


def linear(colour):
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(colour, other):
    low, high = sorted(linear(one) @ [0.2126, 0.7152, 0.0722] for one in (colour, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#1e2129"])
@pytest.mark.parametrize("colour", sorted({*plotting.COLORS.values(), *OTHERS, *sequence(9)}))
def test_colours_stand_out_on_light_and_dark(colour, background):
    assert contrast(colour, background) >= 3


# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}  # fmt: skip


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize(
    "colours",
    [
        [*plotting.COLORS.values()][:5],
        OTHERS,
        [*sequence(3), OTHERS[0]],
        sequence(4),
        [plotting.COLORS["PyTorch default"], OTHERS[0]],
    ],
)
def test_colours_of_one_figure_differ_with_every_kind_of_sight(colours, sight):
    # Distances in CIELAB, in which 2.3 is just noticeable.
    def lab(colour):
        seen = np.clip(np.array(SIGHTS[sight]) @ linear(colour), 0, 1)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        xyz = np.array(to_xyz) @ seen / [0.9505, 1, 1.089]
        x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    points = [lab(colour) for colour in colours]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
    assert min(distances) > 15


def test_text_and_axes_have_the_colours_of_the_settings():
    rows = curve_rows({0: [1, math.inf]}) + curve_rows({0: [1, 2], 1: [2, 3]}, "mine")
    settings = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), "#123456"
    )
    with mpl.rc_context(settings):
        ax = plotting.curves(rows, chance=2.3)
        other = plotting.signals(signal_rows({0: [1, 2]}), theory={"He": [1, 1]})
        panels = plotting.histograms({"He": [activation_row(1, [0, 1, 2])]})
        for drawn in (ax, other, panels[0, 0]):
            drawn.figure.canvas.draw()
            texts = [text for text in drawn.findobj(Text) if text.get_text().strip()]
            assert {mpl.colors.to_hex(text.get_color()) for text in texts} == {"#123456"}
    assert line(other, "theory").get_color() == "#123456"


def test_a_log_axis_has_few_ticks_with_plain_numbers():
    ax = plotting.signals(signal_rows({0: [1e-40, 1, 1e40]}))
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    assert 3 <= sum(low <= tick <= high for tick in ax.get_yticks()) <= 8
    near = plotting.signals(signal_rows({0: [0.6, 1, 1.4]}))
    near.figure.canvas.draw()
    assert "1" in [text.get_text() for text in near.get_yticklabels()]


def activation_row(layer, values):
    values = np.array(values, dtype=float)
    return {"layer": layer, "values": values, "mean": values.mean(), "std": values.std()}


def test_histograms_on_one_scale_show_shares_and_note_what_is_beyond():
    small = activation_row(1, [0, 0, 0.1, 0.2])
    large = activation_row(1, [0, 1.5, 10, -10])
    axes = plotting.histograms({"He": [small], "std 1.0": [large]}, bins=6, limit=3)
    assert axes[0, 0].get_xlim() == axes[1, 0].get_xlim()
    assert axes[0, 0].get_ylim() == axes[1, 0].get_ylim()
    for ax, heights in ((axes[0, 0], [0, 0, 0, 0.5, 0, 0]), (axes[1, 0], [0, 0, 0, 0, 0.25, 0])):
        assert [bar.get_height() for bar in ax.patches] == pytest.approx(heights)
    assert axes[0, 0].texts[1].get_text() == "50% zero"
    assert axes[1, 0].texts[1].get_text() == "25% zero\n50% beyond"


def test_histograms_note_mean_std_and_zeros():
    rows = [activation_row(n, [0, 0, 1, 3]) for n in (1, 2, 3)]
    rows[1] = activation_row(2, [-300, -300.5])
    axes = plotting.histograms({"He": rows, "mine": rows}, bins=5)
    assert axes.shape == (2, 2)
    assert words(axes[0, 0]) == ["mean 1, std 1.2, 50% zeros"]
    titles = [ax.get_title(loc="left") for ax in axes.ravel()]
    assert titles == ["He, layer 1", "He, output", "mine, layer 1", "mine, output"]
    (bars,) = axes[0, 0].patches
    assert to_rgb(bars.get_facecolor()) == to_rgb(plotting.COLORS["He"])
    (middle,) = plotting.histograms({"He": rows}, layers=[2])[0]
    assert words(middle) == ["mean −300, std 0.25"]


@pytest.mark.parametrize("values", [[0, 0], [2, 2], [1, math.nan], [math.inf, math.nan]])
def test_histograms_of_equal_or_infinite_values(values):
    with np.errstate(invalid="ignore"):
        row = activation_row(1, values)
    (ax,) = plotting.histograms({"Zero": [row]})[0]
    ax.figure.canvas.draw()
    if not np.isfinite(values).all():
        assert "not finite" in words(ax)[0]


def test_a_matrix_image_has_the_values_of_the_matrix():
    weights = init.orthogonal((4, 6), rng=0)
    image = plotting.matrix(weights).images[0]
    np.testing.assert_array_equal(image.get_array(), weights)
    low, high = image.get_clim()
    assert -low == high == np.abs(weights).max()
    assert plotting.matrix(np.zeros((2, 2))).images[0].get_clim() == (-1, 1)


def test_panels_share_a_legend():
    _, axes = plt.subplots(1, 2, layout="constrained")
    plotting.curves(curve_rows({0: [1, 2]}), ax=axes[0], legend=False)
    both = curve_rows({0: [1, 2]}) + curve_rows({0: [1, 2]}, "Xavier")
    assert plotting.curves(both, ax=axes[1], legend=False) is axes[1]
    plotting.shared_legend(axes)
    assert axes[1].get_legend() is None
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["He", "Xavier"]


@pytest.mark.parametrize("names", [["He"], ["PyTorch default", "a rather long name", *"abcdef"]])
def test_the_legend_stays_outside_the_data_and_inside_the_figure(names):
    rows = [row for name in names for row in curve_rows({0: [1, 2]}, name)]
    ax = plotting.curves(rows)
    ax.figure.canvas.draw()
    legend, panel = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= panel.y1 - 1
    assert legend.x1 <= ax.figure.bbox.x1


def test_rows_without_a_name_are_one_line():
    ax = plotting.curves([{"step": 0, "loss": 2.0}, {"step": 10, "loss": 1.0}])
    assert ax.lines[0].get_xydata().tolist() == [[0, 2], [10, 1]]
    assert ax.get_legend() is None


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    rows = [{"layer": "0", "rms": 1.0}]
    for draw in (plotting.signals, plotting.report):
        with pytest.raises(ModuleNotFoundError, match=r'pip install "initguide\[guide\]"'):
            draw(rows)


def test_nothing_imports_matplotlib_before_it_plots():
    code = (
        "import sys, initguide, initguide.experiments, initguide.plotting; "
        "assert not {'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_figure_of_signals_loads_no_theory_and_no_model_code():
    """The site runs a page again when a file that it loads changes, so pages should load few."""
    code = (
        "import sys; from initguide.experiments import signals_by_depth; "
        "from initguide import plotting; plotting.signals; "
        "print(*(name for name in sys.modules if name.startswith('initguide.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.split(".")[1] for name in run.stdout.split()}
    assert {"experiments", "plotting", "methods"} <= loaded
    unneeded = {"propagation", "graph", "model", "recipes", "initialize", "lsuv", "diagnostics"}
    assert not loaded & (unneeded | {"testing", "frameworks"})


def test_errors_name_the_rule_and_the_value():
    row = {"initialization": "He", "seed": 0, "layer": 1, "rms": 1.0}
    with pytest.raises(ValueError, match="rows must not be empty; got none"):
        plotting.signals([])
    with pytest.raises(ValueError, match="rows must have 'layer' and 'std'; got the keys"):
        plotting.signals([row], y="std")
    with pytest.raises(ValueError, match="one value for each initialization, seed and layer; got"):
        plotting.signals([row, row])
    with pytest.raises(ValueError, match=r"layers must be among \[1\] of 'He'; got 4"):
        plotting.histograms({"He": [activation_row(1, [1, 2])]}, layers=[4])
    with pytest.raises(ValueError, match="must hold rows for each name"):
        plotting.histograms({})
    with pytest.raises(ValueError, match=r"weights must be a matrix; got shape \(3,\)"):
        plotting.matrix([1, 2, 3])
    assert not plt.get_fignums()


def test_labels_are_beside_the_ends_of_their_lines_and_do_not_overlap():
    fig, ax = plt.subplots(layout="constrained")
    for name, end in [("He", 1.0), ("Xavier", 1.01), ("std 0.01", 0.0), ("LSUV", np.nan)]:
        ax.plot([0, 1], [0.5, end], label=name, color=plotting.COLORS[name])
    ax.axhline(0.2, linestyle=":", label="theory")
    ax.set_ylim(0, 2)
    plotting.label_lines(ax)
    fig.draw_without_rendering()
    labels = {text.get_text(): text for text in ax.texts}
    assert set(labels) == {"He", "Xavier", "std 0.01", "LSUV"}
    boxes = {name: text.get_window_extent() for name, text in labels.items()}
    right = ax.get_window_extent().x1
    assert all(right < box.x0 and box.x1 <= fig.bbox.x1 for box in boxes.values())
    for one, other in pairwise(sorted(boxes.values(), key=lambda box: box.y0)):
        assert one.y1 <= other.y0 + 1
    middle = {name: (box.y0 + box.y1) / 2 for name, box in boxes.items()}
    assert middle["std 0.01"] < middle["He"] < middle["Xavier"]
    # The two that would overlap move apart by the same distance.
    together = (middle["He"] + middle["Xavier"]) / 2
    assert together == pytest.approx(ax.transData.transform((1, 1.005))[1], abs=0.5)
    assert to_rgb(labels["He"].get_color()) == to_rgb(plotting.COLORS["He"])


def test_a_note_about_a_line_becomes_its_label():
    rows = curve_rows({0: [1.0, 2.0, math.nan]}) + curve_rows({0: [1.0, 0.5, 0.2]}, "Xavier")
    fig, ax = plt.subplots(layout="constrained")
    plotting.curves(rows, ax=ax, legend=False)
    plotting.label_lines(ax)
    fig.draw_without_rendering()
    labels = {text.get_text(): text.get_window_extent().x0 for text in ax.texts}
    assert set(labels) == {"He: diverged", "Xavier"}
    assert min(labels.values()) > ax.get_window_extent().x1


def test_a_network_s_labels_do_not_overlap():
    links = {(0, i, j): f"w{i}{j}" for i in (0, 1) for j in (0, 1)}
    units = {(layer, unit): f"u{layer}{unit}" for layer in (0, 1) for unit in (0, 1)}
    fig, ax = plt.subplots(figsize=(3.4, 2.1), layout="constrained")
    plotting.network([2, 2, 1], labels=links | units, links={(0, 1, 0): "#ff0000"}, step=1.8, ax=ax)
    fig.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert len(boxes) == 8
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.overlaps(other)
    assert len(ax.lines) == 6
    assert [to_rgb(drawn.get_color()) for drawn in ax.lines].count((1, 0, 0)) == 1
    assert len(ax.patches) == 5


def training_rows(layers, steps=3):
    return [
        {
            "layer": name,
            "step": step,
            "loss": 3.0 - step,
            "update": None if step == steps - 1 else 10.0 ** -(1 + depth + step),
            "rms": 1.0 + depth if step else math.inf,
            "dead": 0.1 * step,
        }
        for depth, name in enumerate(layers)
        for step in range(steps)
    ]


def found(kind, where):
    return types.SimpleNamespace(kind=kind, where=where)


def test_a_training_run_has_a_line_for_each_layer_in_the_colours_of_a_sequence():
    figure = plotting.training(training_rows(["a", "b", "c"]))
    loss, update, signal = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[0, 3.0], [1, 2.0], [2, 1.0]]
    rule, *lines = update.lines
    assert set(rule.get_ydata()) == {1e-3}
    assert [line.get_xydata().tolist() for line in lines] == [
        [[0, 10.0**-depth], [1, 10.0 ** -(depth + 1)]] for depth in (1, 2, 3)
    ]
    assert [line.get_color() for line in lines] == list(STOPS)
    # A number that is not finite is left out.
    assert signal.lines[0].get_xydata().tolist() == [[1, 1], [2, 1]]
    assert set(words(update)) == {"a", "b", "c", "usual"}


def test_dead_units_have_a_panel_if_units_died():
    rows = training_rows(["a", "b", "c"])
    for row in rows:
        row["dead"] = None if row["layer"] == "c" else row["dead"]
    figure = plotting.training(rows, [found("units die", "b")])
    # The head has no activation, and the other layers keep their colours.
    assert [line.get_color() for line in figure.axes[3].lines] == [
        line.get_color() for line in figure.axes[2].lines[:2]
    ]
    assert [ax.get_ylabel() for ax in figure.axes][-1] == "dead units"
    assert figure.axes[-1].get_yscale() == "linear"
    assert figure.axes[-1].lines[0].get_ydata().tolist() == pytest.approx([0, 0.1, 0.2])


def test_many_layers_share_their_labels_with_those_that_have_findings():
    names = [f"encoder.layers.{i}.attention.query" for i in range(20)]
    figure = plotting.training(training_rows(names), [found("signal drifts", names[7])])
    expected = {"…" + names[index][-19:] for index in (0, 7, 19)}
    assert set(words(figure.axes[2])) == expected


def test_a_coordinate_check_shows_the_start_and_the_last_change():
    rows = [
        {"layer": "a", "axis": axis, "size": size, "step": step, "rms": size, "change": 2.0 * step}
        for axis, sizes in (("width", (8, 32)), ("depth", (1, 2)))
        for size in sizes
        for step in (0, 1, 2)
    ]
    figure = plotting.coordinates(rows)
    top, right, bottom, last = figure.axes
    assert top.lines[0].get_xydata().tolist() == [[8, 8], [32, 32]]
    assert bottom.lines[0].get_xydata().tolist() == [[8, 4], [32, 4]]
    assert [text.get_text() for text in bottom.get_xticklabels()] == ["8", "32"]
    assert (bottom.get_xlabel(), last.get_xlabel()) == ("width", "depth")
    assert right.lines[0].get_xdata().tolist() == [1, 2]


@pytest.mark.parametrize("draw", [plotting.training, plotting.coordinates])
def test_checks_without_rows(draw):
    with pytest.raises(ValueError, match="rows must not be empty; got none"):
        draw([])
