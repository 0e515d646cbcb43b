"""The common style of all figures: a colour and a marker for each method, legends, ticks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A search chose these colours: the contrast is at least 3 on white and on #1e2129, and the smallest
# distance (in Oklab) is as large as possible for normal sight, protanopia, deuteranopia and
# tritanopia.
COLORS: dict[str, str] = {
    "PyTorch default": "#7d7382",
    "Xavier": "#d74100",
    "He": "#2869d7",
    "std 0.01": "#6e9b6e",
    "std 1.0": "#d269be",
    "Zero": "#6e9b6e",
    "Constant": "#9b6e5a",
    "Orthogonal": "#a56efa",
    "LSUV": "#a5911e",
    "LeCun": "#289bcd",
    # These share a colour with a method that no figure shows together with them.
    "Delta-orthogonal": "#a5911e",
    "Identity": "#9b6e5a",
    "Dirac": "#9b6e5a",
    "ICNR": "#a56efa",
    "Gaussian, 1/n": "#289bcd",
    "U(±1/√n)": "#7d7382",
    "Xavier, gain 4": "#a5911e",
    "identity": "#9b6e5a",
    "orthogonal": "#a56efa",
    "Gaussian": "#289bcd",
    "identity, ReLU": "#9b6e5a",
    "Gaussian, ReLU": "#289bcd",
    "identity, tanh": "#d269be",
    "Gaussian, tanh": "#6e9b6e",
}
# The same search chose the colours of names that are no method's, with their distance from those of
# the methods, and the stops of a sequence of depths, widths or other numbers.
OTHERS = ("#008700", "#c300c3", "#e16969", "#8787b4", "#873cff")
STOPS = ("#c38769", "#8787e1", "#d20087")
SHAPES = "Xso^vPD*<>phdH"
MARKERS = dict(zip(dict.fromkeys([*COLORS.values(), *OTHERS]), SHAPES, strict=True))

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name.

    A name in COLORS has that colour. Others that differ in their numbers, "64 units" and
    "128 units", are a sequence in the order of these numbers. The rest get colours of no method.
    """
    unknown = [name for name in names if name not in COLORS]
    kinds = Counter(_NUMBER.sub("", name) for name in unknown)
    kind, count = max(kinds.items(), key=lambda item: item[1], default=("", 0))
    series = [name for name in unknown if count > 1 and _NUMBER.sub("", name) == kind]
    series.sort(key=lambda name: [float(number) for number in _NUMBER.findall(name)])
    # More names than colours get the methods' colours that the figure leaves.
    worn = {COLORS.get(name) for name in names}
    free = [*OTHERS, *(c for c in dict.fromkeys(COLORS.values()) if c not in worn)]
    rest = [name for name in unknown if name not in series]
    found = dict(zip(series, sequence(len(series)), strict=True))
    found |= {name: free[i % len(free)] for i, name in enumerate(rest)}
    return {name: COLORS.get(name) or found[name] for name in names}


def sequence(count: int) -> list[str]:
    """Return colours for numbers in their order, from tan to magenta."""
    stops = [[int(stop[i : i + 2], 16) for stop in STOPS] for i in (1, 3, 5)]
    places = np.linspace(0, len(STOPS) - 1, count)
    channels = [np.interp(places, range(len(STOPS)), values).round() for values in stops]
    return [
        "#" + "".join(f"{int(value):02x}" for value in rgb) for rgb in zip(*channels, strict=True)
    ]


def ink() -> Any:
    """Return the colour of text in matplotlib's settings."""
    import matplotlib as mpl

    return mpl.rcParams["text.color"]


def pyplot() -> Any:
    """Return matplotlib's pyplot; without matplotlib, the error says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'plots need matplotlib: pip install "initguide[guide]"; got: {error}'
        ) from error
    return plt


def axes_or_new(ax: Axes | None) -> Axes:
    """Return `ax`, or the Axes of a new figure."""
    if ax is not None:
        return ax
    return pyplot().subplots(layout="constrained")[1]


def log_ticks(ax: Axes) -> None:
    """Label a logarithmic axis with a few numbers, without powers of ten if the range is small."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = ax.get_ylim()
    decades = math.log10(high / low)
    ax.yaxis.set_minor_locator(NullLocator())
    few, more = (1.0,), (1.0, 2.0, 5.0)
    subs = (*more, 1.5, 3.0, 7.0) if decades < 0.8 else more if decades < 2.2 else few
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=7))
    if decades < 5:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def legend_above(ax: Axes) -> None:
    """Put the legend above the panel, outside the data."""
    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    figure = ax.get_figure(root=True)
    # The constrained layout will make the panel a little wider later.
    width = 1.12 * ax.get_position().width * (figure.get_figwidth() if figure else 6.8)
    ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=_columns(width, labels),
        borderaxespad=0.3,
        frameon=False,
    )


def label_lines(ax: Axes) -> None:
    """Write each line's label beside its right end, in its colour; use it instead of a legend.

    Labels that would overlap are moved apart. Dotted lines, which show theory or chance, get none.
    A note inside the panel about a line that ends early, "std 1.0: diverged", becomes its label.

    Args:
        ax: The panel, drawn with `legend=False`; the layout of the figure must be constrained.

    Examples:
        ```python
        from initguide import plotting
        from initguide.experiments import INITIALIZATIONS, signals_by_depth

        rows = signals_by_depth(INITIALIZATIONS, depth=10, width=50, seeds=[0, 1])
        ax = plotting.signals(rows, legend=False)
        plotting.label_lines(ax)
        ```
    """
    from matplotlib.lines import Line2D

    lines = [
        (line, label)
        for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
        if isinstance(line, Line2D) and line.get_linestyle() != ":"
    ]
    ax.autoscale_view()
    figure = ax.get_figure(root=True)
    if figure and (engine := figure.get_layout_engine()):
        engine.execute(figure)  # It decides how high the panel is.
    points = 72 * ax.get_position().height * (figure.get_figheight() if figure else 3.8)
    gap = 13 / points  # Labels have 11 points.
    ends = sorted(((_end(ax, line), line, label) for line, label in lines), key=lambda end: end[0])
    heights = _apart([height for height, _, _ in ends], gap)
    notes = {text.get_text().partition(":")[0]: text for text in ax.texts}
    for height, (_, line, label) in zip(heights, ends, strict=True):
        note = notes.get(label)
        if note is not None:
            label = note.get_text()
            note.remove()
        ax.annotate(
            label,
            (1, height),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
            fontsize=11,
            annotation_clip=False,
        )


def _apart(ends: Sequence[float], gap: float) -> list[float]:
    """Return the heights nearest to the sorted ends that are at least a gap apart."""
    # Without the gaps they must not fall: this is the isotonic regression, by its formula.
    free = [end - i * gap for i, end in enumerate(ends)]
    places = range(len(free))
    top = 1 - gap * (len(free) - 1)
    heights = []
    for i in places:
        mean = max(min(np.mean(free[j : k + 1]) for k in places[i:]) for j in places[: i + 1])
        heights.append(float(np.clip(mean, min(0, top), top)) + i * gap)
    return heights


def _end(ax: Axes, line: Any) -> float:
    """Return the height at which a line ends, as a share of the panel's height."""
    values = np.asarray(line.get_ydata(), dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.5
    with np.errstate(all="ignore"):
        height = ax.transAxes.inverted().transform(ax.transData.transform((0, finite[-1])))[1]
    return float(np.clip(height, 0, 1))


def shared_legend(axes: ArrayLike | Sequence[Axes]) -> None:
    """Put one legend above a whole figure, for panels drawn with `legend=False`.

    Args:
        axes: The panels from `plt.subplots`; the layout of the figure must be constrained.
    """
    handles: dict[str, Any] = {}
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure = panels[0].figure
    columns = _columns(figure.get_figwidth(), list(handles))
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=columns, frameon=False
    )


def _columns(inches: float, labels: Sequence[str]) -> int:
    """Return the number of columns that fits the width and needs the fewest rows."""

    def width(columns: int) -> float:
        # At 11 points a letter is 0.09 inches wide, and the line beside a label 0.65 inches.
        parts = np.array_split([0.09 * len(label) + 0.65 for label in labels], columns)
        return sum(part.max() for part in parts)

    fitting = [n for n in range(1, min(len(labels), 4) + 1) if n == 1 or width(n) <= inches]
    return min(fitting, key=lambda n: math.ceil(len(labels) / n), default=1)
