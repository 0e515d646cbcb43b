"""The loss over the learning rate: one line per start or size, with its lowest point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from initguide.plotting.lines import draw_chance, draw_lines, label_beside
from initguide.plotting.style import label_lines, legend_above, log_ticks, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Iterable[Mapping[str, Any]]


def rates(
    rows: Rows,
    *,
    by: str = "initialization",
    chance: float | None = None,
    ceiling: float = 10.0,
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    r"""Draw the final loss over the learning rate: geometric mean and range over seeds.

    A run that diverged, or whose loss is above `ceiling`, counts as `ceiling`. So it stays in the
    mean. A ring marks the rate that was chosen as the best of its start.

    Args:
        rows: One row per start, learning rate and seed, with `lr` and `loss`; a row with a true
            `best` is at the chosen rate.
        by: The key of the rows that tells the lines apart.
        chance: The loss of guessing, drawn as a line: log 10 for ten classes.
        ceiling: The largest loss that is drawn.
        ax: Where to draw; None makes a figure.
        legend: Whether to put the legend above.

    Returns:
        The Axes.

    Raises:
        ValueError: There are no rows, or they lack `lr` or `loss`.

    Examples:
        ```python
        from initguide import plotting

        rows = [{"initialization": "He", "lr": lr, "loss": 9 * lr} for lr in (0.01, 0.1)]
        ax = plotting.rates(rows)
        print(ax.get_xlabel(), "|", ax.get_ylabel())
        #> learning rate | final loss
        ```
    """
    # A comparison with nan is false, so a run without a number counts as the ceiling too.
    capped = [
        {**row, "loss": row["loss"] if row["loss"] < ceiling else ceiling} if "loss" in row else row
        for row in rows
    ]
    ax = draw_lines(capped, "lr", "loss", by, ax, log=True)
    ax.set_xscale("log")
    best = {str(row.get(by, "")): row["lr"] for row in capped if row.get("best")}
    rings: list[tuple[float, float]] = []
    for line in list(ax.lines):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        colour = line.get_color()
        for lr, loss in zip(x, y, strict=True):
            if lr != best.get(str(line.get_label())):
                continue
            # A ring near another one is larger, so that none hides the other.
            near = sum(lr == other and 0.8 < loss / least < 1.25 for other, least in rings)
            ring = {"markersize": 13 + 6 * near, "markerfacecolor": "none", "markeredgewidth": 2}
            ax.plot([lr], [loss], "o", color=colour, label="_", zorder=6, **ring)
            rings.append((lr, loss))
    draw_chance(ax, chance)
    if any(row["loss"] == ceiling for row in capped):
        label_beside(ax, ceiling, f"≥ {ceiling:g}")
    log_ticks(ax)
    ax.set(xlabel="learning rate", ylabel="final loss")
    if legend:
        legend_above(ax)
    return ax


def rates_by_size(
    rows: Rows,
    size: str,
    unit: str,
    *,
    by: str = "initialization",
    limits: tuple[float, float] | None = None,
) -> NDArray[np.object_]:
    r"""Draw the loss over log2 of the learning rate: one panel per start, one line per size.

    A line is the geometric mean with the range over seeds, and a star marks its lowest point.

    Args:
        rows: One row per start, size, learning rate and seed, with `lr` and `loss`.
        size: The key of the size: `"width"` or `"depth"`.
        unit: What the size counts, for the labels: `"units"`.
        by: The key of the rows that tells the panels apart.
        limits: The smallest and the largest loss that is drawn; None draws all.

    Returns:
        The panels, one below the other.

    Raises:
        ValueError: There are no rows, or they lack `lr` or `loss`.

    Examples:
        ```python
        from initguide import plotting

        rows = [
            {"initialization": "muP", "width": n, "lr": lr, "loss": (lr - 0.1) ** 2 + 1 / n}
            for n in (16, 32)
            for lr in (0.05, 0.1, 0.2)
        ]
        (ax,) = plotting.rates_by_size(rows, "width", "units")
        print(ax.get_title(loc="left"), "|", ax.get_xlabel())
        #> muP | log₂ of the learning rate
        ```
    """
    rows = list(rows)
    names = list(dict.fromkeys(row.get(by, "") for row in rows))
    _, axes = pyplot().subplots(
        max(len(names), 1),
        figsize=(6.8, 3.5 * len(names)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    if limits:
        axes[0, 0].set_ylim(limits)
    for ax, name in zip(axes[:, 0], names, strict=True):
        points = [
            {**row, "lr": np.log2(row["lr"]), size: f"{row[size]} {unit}"}
            for row in rows
            if row.get(by, "") == name
        ]
        draw_lines(points, "lr", "loss", size, ax, log=True)
        for line in list(ax.lines):
            x, y = (np.asarray(values) for values in line.get_data())
            best = int(np.argmin(y))
            ax.plot(x[best], y[best], "*", color=line.get_color(), markersize=20, zorder=6)
        log_ticks(ax)
        ax.set_title(name, loc="left")
        ax.set(xlabel="", ylabel="mean loss")
        label_lines(ax)
    axes[-1, 0].set_xlabel("log₂ of the learning rate")
    return axes[:, 0]
