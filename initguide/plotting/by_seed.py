"""Lines over seeds: signals and gradients by layer, learning curves by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from initguide.plotting.lines import draw_lines
from initguide.plotting.style import ink, legend_above, log_ticks
from initguide.propagation import Propagation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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

    The mean is that of the logarithms. A line ends where its values become zero or stop being
    finite; a cross marks the place and says which.

    Args:
        rows: As from [signals_by_depth][initguide.experiments.signals_by_depth].
        y: Which quantity: `"rms"`, `"std"` or `"gradient_rms"`.
        theory: Predictions by name, each a [Propagation][initguide.propagation.Propagation] or its
            values from layer 1 on.
        by: The key of the rows that tells the lines apart.
        ax: Where to draw; None makes a figure.
        legend: Whether to put the legend above; see
            [shared_legend][initguide.plotting.shared_legend] for several panels.

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
        values = getattr(prediction, y) if isinstance(prediction, Propagation) else prediction
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
    r"""Draw the gradient by layer, as [signals][initguide.plotting.signals] does the signal.

    Args:
        rows: As from [signals_by_depth][initguide.experiments.signals_by_depth].
        theory: Predictions by name, each a [Propagation][initguide.propagation.Propagation] or its
            values from layer 1 on.
        by: The key of the rows that tells the lines apart.
        ax: Where to draw; None makes a figure.
        legend: Whether to put the legend above.

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

    On a logarithmic axis the mean is that of the logarithms. A run that diverges leaves the mean; a
    cross marks its last finite value and says how many of the seeds diverged.

    Args:
        rows: As from [train][initguide.experiments.train] or [fit][initguide.experiments.fit].
        y: `"loss"` or `"accuracy"`.
        by: The key of the rows that tells the lines apart.
        log: Whether the axis is logarithmic; None: for the loss only.
        chance: Where to draw the level of guessing, log 10 for the loss on ten classes.
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
    if chance is not None:
        ax.axhline(chance, color=ink(), linestyle=(0, (1, 3)), linewidth=1.2, zorder=1)
        ax.annotate(
            "chance",
            (1, chance),
            xycoords=ax.get_yaxis_transform(),
            # Beside the axes: within, it would lie on the lines that are at chance.
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
        )
    if log:
        log_ticks(ax)
    elif y == "accuracy":
        ax.set_ylim(-0.02, 1.02)
    if legend:
        legend_above(ax)
    return ax
