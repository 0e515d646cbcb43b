"""Draw rows: one visual grammar for the whole guide. Nothing is computed here but means over seeds.

Colours of text, axes and grid are matplotlib's settings, so that a figure fits a light page and a
dark one. A method keeps its colour and its marker everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from initguide.propagation import Propagation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Iterable[Mapping[str, Any]]
Array = NDArray[np.float64]

# Chosen by search: contrast of 3 or more on white and on #1e2129, and the largest least distance
# (in Oklab) under normal sight, protanopia, deuteranopia and tritanopia alike.
COLORS: dict[str, str] = {
    "PyTorch default": "#7d7382",
    "Xavier": "#d74100",
    "He": "#2869d7",
    "std 0.01": "#6e9b6e",
    "std 1.0": "#d269be",
    "Zero": "#9b6e5a",
    "Constant": "#9b6e5a",
    "Orthogonal": "#a56efa",
    "LSUV": "#a5911e",
    "LeCun": "#289bcd",
}
_MARKERS = dict(zip(dict.fromkeys(COLORS.values()), "Xso^vPD*<", strict=True))
_LABELS = {
    "rms": "RMS of the activations",
    "std": "std over the batch",
    "gradient_rms": "RMS of the gradient",
    "loss": "training loss",
    "accuracy": "held-out accuracy",
}


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
    ax = _lines(rows, "layer", y, by, ax, log=True)
    label = "theory"
    for prediction in (theory or {}).values():
        values = getattr(prediction, y) if isinstance(prediction, Propagation) else prediction
        values = np.asarray(values, dtype=np.float64)
        values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        ax.plot(
            np.arange(1, len(values) + 1),
            values,
            color=_ink(),
            linestyle=":",
            linewidth=1.8,
            zorder=4,
            label=label,
        )
        label = "_theory"
    _log_ticks(ax)
    if legend:
        _legend_above(ax)
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
    ax = _lines(rows, "step", y, by, ax, log=log)
    if chance is not None:
        ax.axhline(chance, color=_ink(), linestyle=(0, (1, 3)), linewidth=1.2, zorder=1)
        ax.annotate(
            "chance",
            (1, chance),
            xycoords=ax.get_yaxis_transform(),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
        )
    if log:
        _log_ticks(ax)
    elif y == "accuracy":
        ax.set_ylim(-0.02, 1.02)
    if legend:
        _legend_above(ax)
    return ax


def histograms(
    rows_by_initialization: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    layers: Sequence[int] | None = None,
    bins: int = 60,
) -> NDArray[Any]:
    r"""Draw a histogram for each initialization (row) and layer (column), mean and std written in.

    Each panel has its own horizontal axis. Exact zeros, of which ReLU makes many, are one line at
    zero whose share is written beside it; the bars are the other values.

    Args:
        rows_by_initialization: Rows as from
            [activations][initguide.experiments.activations], by name.
        layers: Which layers; None: the first and the last.
        bins: The number of bars.

    Returns:
        The Axes, an array of shape `(initializations, layers)`.

    Raises:
        ValueError: There are no rows, or a layer is not among them.

    Examples:
        ```python
        import torch

        from initguide import plotting
        from initguide.experiments import INITIALIZATIONS, activations, mlp

        generator = torch.Generator().manual_seed(0)
        model, x = mlp([100, 100, 10]), torch.randn(1000, 100, generator=generator)
        rows = {}
        for name, initialize_ in INITIALIZATIONS.items():
            initialize_(model, generator)
            rows[name] = activations(model, x)
        print(plotting.histograms(rows).shape)
        #> (5, 2)
        ```
    """
    import matplotlib.pyplot as plt

    tables = {name: {r["layer"]: r for r in rows} for name, rows in rows_by_initialization.items()}
    if not tables or not all(tables.values()):
        raise ValueError("rows_by_initialization must hold rows for each name; got none")
    last = max(max(table) for table in tables.values())
    wanted = list(dict.fromkeys((1, last))) if layers is None else list(layers)
    for name, table in tables.items():
        for layer in wanted:
            if layer not in table:
                raise ValueError(f"layers must be among {sorted(table)} of {name!r}; got {layer}")
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(
        len(tables),
        len(wanted),
        figsize=(width, 1.75 * len(tables) + 0.2),
        squeeze=False,
        layout="constrained",
    )
    colours = _colours(list(tables))
    for panels, (name, table) in zip(axes, tables.items(), strict=True):
        for ax, layer in zip(panels, wanted, strict=True):
            _histogram(ax, table[layer], colours[name], bins)
            ax.set_title(f"{name}, {'output' if layer == last else f'layer {layer}'}", loc="left")
    return axes


def matrix(weights: ArrayLike, *, ax: Axes | None = None) -> Axes:
    r"""Draw a weight matrix: a row for each unit, red above zero, blue below.

    Args:
        weights: Shape `(out, in)`; a tensor that does not require gradients will do.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes.

    Raises:
        ValueError: `weights` is not a matrix.

    Examples:
        ```python
        import initguide as init
        from initguide import plotting

        ax = plotting.matrix(init.orthogonal((8, 8), rng=0))
        print(ax.get_ylabel(), ax.get_xlabel())
        #> unit input
        ```
    """
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"weights must be a matrix; got shape {values.shape}")
    ax = _axes(ax)
    finite = np.abs(values[np.isfinite(values)])
    limit = float(finite.max(initial=0.0)) or 1.0
    image = ax.imshow(
        values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    ax.grid(visible=False)
    ax.set(xlabel="input", ylabel="unit")
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True, nbins=5)
    bar = ax.figure.colorbar(image, ax=ax)
    bar.outline.set_visible(False)
    bar.locator.set_params(nbins=5)
    bar.update_ticks()
    return ax


def shared_legend(axes: ArrayLike | Sequence[Axes]) -> None:
    """Put one legend above a whole figure, for panels drawn with `legend=False`.

    Args:
        axes: The panels, as `plt.subplots` returns them; the figure's layout must be constrained.
    """
    handles: dict[str, Any] = {}
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure = panels[0].figure
    columns = _columns(figure.get_figwidth(), len(handles))
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=columns, frameon=False
    )


def _lines(rows: Rows, x: str, y: str, by: str, ax: Axes | None, *, log: bool) -> Axes:
    runs = _runs(rows, x, y, by)
    ax = _axes(ax)
    if log:
        ax.set_yscale("log")
    colours = _colours(list(runs))
    for index, (name, table) in enumerate(runs.items()):
        _line(ax, name, table, colours[name], index, log=log)
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.set(xlabel=x, ylabel=_LABELS.get(y, y))
    return ax


def _runs(rows: Rows, x: str, y: str, by: str) -> dict[str, dict[Any, dict[float, float]]]:
    """Return the values by line, then seed, then x."""
    runs: dict[str, dict[Any, dict[float, float]]] = {}
    for row in rows:
        if x not in row or y not in row:
            raise ValueError(f"rows must have {x!r} and {y!r}; got the keys {sorted(row)}")
        seeds = runs.setdefault(str(row.get(by, "")), {})
        seeds.setdefault(row.get("seed"), {})[row[x]] = row[y]
    if not runs:
        raise ValueError("rows must not be empty; got none")
    return runs


def _line(
    ax: Axes,
    name: str,
    table: dict[Any, dict[float, float]],
    colour: str,
    index: int,
    *,
    log: bool,
) -> None:
    x = np.array(sorted({point for run in table.values() for point in run}), dtype=np.float64)
    values = np.array([[run.get(point, np.nan) for point in x] for run in table.values()], float)
    usable = np.isfinite(values) & ((values > 0) | (not log))
    shown = np.where(usable, values, np.nan)
    drawn = usable.any(0)
    label = name if name else "_"
    if not drawn.any():
        ax.plot([], [], color=colour, marker=_MARKERS.get(colour, "o"), label=_never(name, values))
        return
    x, shown = x[drawn], shown[:, drawn]
    middle = np.exp(np.nanmean(np.log(shown), axis=0)) if log else np.nanmean(shown, axis=0)
    # Marks at different places, so that lines that coincide can still be told apart.
    stride = max(len(x) // 6, 1)
    ax.plot(
        x,
        middle,
        color=colour,
        marker=_MARKERS.get(colour, "o"),
        markersize=6,
        markevery=(index * stride // 5 % stride, stride),
        label=label,
        zorder=3,
    )
    if len(table) > 1:
        low, high = np.nanmin(shown, axis=0), np.nanmax(shown, axis=0)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
    _mark_ends(ax, x, shown, values[:, drawn], values, colour)
