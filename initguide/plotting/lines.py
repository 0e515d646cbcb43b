"""One line per method: the mean over seeds, their range, and the points where runs end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from initguide.plotting.style import MARKERS, SHAPES, axes_or_new, colours_of, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
Note = tuple[float, float, str]
Runs = dict[str, dict[Any, dict[float, float]]]
LABELS = {
    "rms": "RMS of the activations",
    "std": "std over the batch",
    "gradient_rms": "RMS of the gradient",
    "loss": "training loss",
    "accuracy": "held-out accuracy",
}


def draw_lines(
    rows: Iterable[Mapping[str, Any]], x: str, y: str, by: str, ax: Axes | None, *, log: bool
) -> Axes:
    """Draw `y` over `x` for each value of `by`; on a logarithmic axis the means are geometric."""
    from matplotlib.ticker import MaxNLocator

    runs = _runs(rows, x, y, by)
    ax = axes_or_new(ax)
    if log:
        ax.set_yscale("log")
    colours = colours_of(list(runs))
    notes: list[Note] = []
    for index, (name, table) in enumerate(runs.items()):
        points = sorted({point for run in table.values() for point in run})
        values = [[run.get(point, np.nan) for point in points] for run in table.values()]
        line = _line(
            ax, name, np.array(points, float), np.array(values, float), colours[name], index, log
        )
        notes.extend(line)
    _annotate(ax, notes)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    ax.set(xlabel=x, ylabel=LABELS.get(y, y))
    return ax


def _runs(rows: Iterable[Mapping[str, Any]], x: str, y: str, by: str) -> Runs:
    """Return the values by line, then seed, then x."""
    runs: Runs = {}
    for row in rows:
        if x not in row or y not in row:
            raise ValueError(f"rows must have {x!r} and {y!r}; got the keys {sorted(row)}")
        run = runs.setdefault(str(row.get(by, "")), {}).setdefault(row.get("seed"), {})
        if row[x] in run:
            raise ValueError(
                f"rows must have one value for each {by}, seed and {x}; got two for "
                f"{row.get(by)!r}, {row.get('seed')} and {row[x]}"
            )
        run[row[x]] = row[y]
    if not runs:
        raise ValueError("rows must not be empty; got none")
    return runs


def _line(
    ax: Axes, name: str, x: Array, values: Array, colour: str, index: int, log: bool
) -> list[Note]:
    usable = np.isfinite(values) & ((values > 0) | (not log))
    drawn = usable.any(0)
    ending = _ending(values, usable)
    # An underscore keeps an unnamed line out of the legend.
    label = name or "_"
    if not drawn.any():
        label = f"{name} ({'always zero' if ending == 'zero' else 'never finite'})"
    shown = np.where(usable, values, np.nan)[:, drawn]
    middle = np.exp(np.nanmean(np.log(shown), 0)) if log else np.nanmean(shown, 0)
    # The markers of different lines are shifted, so that equal lines stay distinguishable.
    stride = max(len(middle) // 6, 1)
    ax.plot(
        x[drawn],
        middle,
        color=colour,
        # A sequence of numbers has colours without a marker of their own.
        marker=MARKERS.get(colour, SHAPES[index % len(SHAPES)]),
        markersize=6,
        markevery=(index * stride // 5 % stride, stride),
        label=label,
        zorder=3,
    )
    if len(values) > 1:
        low, high = np.nanmin(shown, 0), np.nanmax(shown, 0)
        ax.fill_between(x[drawn], low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
    if not drawn.any() or not ending:
        return []
    ends = [
        (float(x[np.flatnonzero(good)[-1]]), float(run[good][-1]))
        for run, good in zip(values, usable, strict=True)
        if good.any() and not good[-1]
    ]
    ax.plot(
        *zip(*ends, strict=True),
        linestyle="none",
        marker="x",
        markersize=9,
        markeredgewidth=2.5,
        color=colour,
        zorder=5,
    )
    return [(*ends[-1], f"{name}: {ending}" if name else ending)] if ends else []


def _ending(values: Array, usable: NDArray[np.bool_]) -> str:
    """Return "zero" or "diverged", and for how many runs; "" if all runs end in usable values."""
    unusable = ~usable[:, -1]
    if not unusable.any():
        return ""
    reason = "zero" if (values[unusable, -1] == 0).all() else "diverged"
    return reason if unusable.all() else f"{unusable.sum()} of {len(unusable)} {reason}"


def _annotate(ax: Axes, notes: list[Note]) -> None:
    """Write each note beside its point; notes that would overlap are stacked."""
    line = ax.figure.dpi / 72 * 15
    lowest = -np.inf
    for x, y, text in sorted(notes, key=lambda note: note[1]):
        across, up = ax.transData.transform((x, y))
        lowest = max(up, lowest + line)
        late = ax.transAxes.inverted().transform((across, up))[0] > 0.6
        ax.annotate(
            text,
            (x, y),
            xytext=(-9 if late else 9, (lowest - up) * 72 / ax.figure.dpi),
            textcoords="offset points",
            ha="right" if late else "left",
            va="center",
            zorder=6,
        )


def draw_chance(ax: Axes, chance: float | None) -> None:
    """Draw the value that guessing reaches, if it is given."""
    if chance is not None:
        ax.axhline(chance, color=ink(), linestyle=(0, (1, 3)), linewidth=1.2, zorder=1)
        label_beside(ax, chance, "chance")


def label_beside(ax: Axes, y: float, text: str) -> None:
    """Write a label to the right of the axes, because inside it would cover the curves."""
    ax.annotate(
        text,
        (1, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
    )
