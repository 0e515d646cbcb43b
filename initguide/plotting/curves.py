"""Signals and gradients by layer, and learning curves by step, averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from initguide.plotting.lines import draw_lines
from initguide.plotting.style import ink, legend_above, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from initguide.propagation import Propagation

Rows = Iterable[Mapping[str, Any]]


def signals(
    rows: Rows,
    *,
    y: str = "rms",
    theory: Mapping[str, Propagation | ArrayLike] | None = None,
    by: str = "initialization",
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    r"""Draw a signal by layer on a logarithmic axis: mean and range over seeds, theory dotted.

    The mean is the geometric mean. A line ends where its values become zero, inf or nan; a cross
    and a label mark the place.

    Args:
        rows: As from [signals_by_depth][initguide.experiments.signals_by_depth].
        y: The quantity: `"rms"`, `"std"` or `"gradient_rms"`.
        theory: Predictions by name, each a [Propagation][initguide.propagation.Propagation] or an
            array of values from layer 1 on.
        by: The key of the rows that names the line.
        ax: The Axes to draw on; None creates a figure.
        legend: Whether to draw a legend above the axes. For several panels see
            [shared_legend][initguide.plotting.shared_legend].

    Returns:
        The Axes.

    Raises:
        ValueError: There are no rows, or `y` is not among their keys.

    Examples:
        ```python
        import initguide as init
        from initguide import plotting
        from initguide.experiments import INITIALIZATIONS, signals_by_depth

        rows = signals_by_depth(INITIALIZATIONS, depth=10, width=50, seeds=[0, 1])
        theory = {"He": init.propagate("relu", 2**0.5, depth=10)}
        ax = plotting.signals(rows, theory=theory)
        print(ax.get_ylabel())
        #> RMS of the activations
        ```
    """
    ax = draw_lines(rows, "layer", y, by, ax, log=True)
    label = "theory"
    for prediction in (theory or {}).values():
        # Arrays have a method `std`, but only a Propagation has a `gradient_rms`.
        values = getattr(prediction, y) if hasattr(prediction, "gradient_rms") else prediction
        values = np.asarray(values, dtype=np.float64)
        values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        ax.plot(
            np.arange(1, len(values) + 1),
            values,
            color=ink(),
            linestyle=":",
            linewidth=1.8,
            zorder=4,
            label=label,
        )
        label = "_theory"
    log_ticks(ax)
    if legend:
        legend_above(ax)
    return ax


def gradients(
    rows: Rows,
    *,
    theory: Mapping[str, Propagation | ArrayLike] | None = None,
    by: str = "initialization",
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    r"""Draw the gradient by layer, in the same way as [signals][initguide.plotting.signals].

    Args:
        rows: As from [signals_by_depth][initguide.experiments.signals_by_depth].
        theory: Predictions by name, each a [Propagation][initguide.propagation.Propagation] or an
            array of values from layer 1 on.
        by: The key of the rows that names the line.
        ax: The Axes to draw on; None creates a figure.
        legend: Whether to draw a legend above the axes.

    Returns:
        The Axes.

    Raises:
        ValueError: There are no rows, or they have no `gradient_rms`.
    """
    return signals(rows, y="gradient_rms", theory=theory, by=by, ax=ax, legend=legend)


def curves(
    rows: Rows,
    *,
    y: str = "loss",
    by: str = "initialization",
    log: bool | None = None,
    chance: float | None = None,
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    r"""Draw learning curves: mean and range over seeds.

    On a logarithmic axis the mean is the geometric mean. A run that diverges leaves the mean at
    that step. A cross marks its last finite value, with the number of seeds that diverged.

    Args:
        rows: As from [train][initguide.experiments.train] or [fit][initguide.experiments.fit].
        y: `"loss"` or `"accuracy"`.
        by: The key of the rows that tells the lines apart.
        log: Whether the axis is logarithmic; None chooses this for the loss only.
        chance: The value that guessing reaches, drawn as a line: log 10 for the loss on ten
            classes.
        ax: Where to draw; None makes a figure.
        legend: Whether to put the legend above; see
            [shared_legend][initguide.plotting.shared_legend] for several panels.

    Returns:
        The Axes.

    Raises:
        ValueError: There are no rows, or `y` is not among their keys.

    Examples:
        ```python
        from initguide import plotting
        from initguide.experiments import INITIALIZATIONS, train

        ax = plotting.curves(train(INITIALIZATIONS, steps=20), y="accuracy", chance=0.1)
        print(ax.get_xlabel(), "|", ax.get_ylabel())
        #> step | held-out accuracy
        ```
    """
    log = y == "loss" if log is None else log
    ax = draw_lines(rows, "step", y, by, ax, log=log)
    _draw_chance(ax, chance)
    if log:
        log_ticks(ax)
    elif y == "accuracy":
        ax.set_ylim(-0.02, 1.02)
    if legend:
        legend_above(ax)
    return ax


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
    _draw_chance(ax, chance)
    if any(row["loss"] == ceiling for row in capped):
        _label_beside(ax, ceiling, f"≥ {ceiling:g}")
    log_ticks(ax)
    ax.set(xlabel="learning rate", ylabel="final loss")
    if legend:
        legend_above(ax)
    return ax


def _draw_chance(ax: Axes, chance: float | None) -> None:
    if chance is not None:
        ax.axhline(chance, color=ink(), linestyle=(0, (1, 3)), linewidth=1.2, zorder=1)
        _label_beside(ax, chance, "chance")


def _label_beside(ax: Axes, y: float, text: str) -> None:
    """Write a label to the right of the axes, because inside it would cover the curves."""
    ax.annotate(
        text,
        (1, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
    )
