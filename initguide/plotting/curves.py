"""Signals and gradients by layer, and learning curves by step, averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from initguide.plotting.lines import draw_chance, draw_lines
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
    draw_chance(ax, chance)
    if log:
        log_ticks(ax)
    elif y == "accuracy":
        ax.set_ylim(-0.02, 1.02)
    if legend:
        legend_above(ax)
    return ax
