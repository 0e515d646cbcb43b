"""Panels: histograms of activations or gradients, and a weight matrix as an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from initguide.plotting.style import axes_or_new, colours_of, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def histograms(
    rows_by_initialization: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    layers: Sequence[int] | None = None,
    bins: int = 60,
    limit: float | None = None,
) -> NDArray[Any]:
    r"""Draw a histogram for each initialization (row) and layer (column), with mean and std.

    Each panel has its own horizontal axis, unless `limit` sets one for all of them. Exact zeros,
    which ReLU produces often, are drawn as one line at zero, and a note gives their share. The bars
    show the other values.

    Args:
        rows_by_initialization: Rows as from
            [activations][initguide.experiments.activations], by name.
        layers: The layers to show; None is the first and the last.
        bins: The number of bars.
        limit: With a limit all panels show the values from `-limit` to `limit` on one scale. A note
            gives the share of the values beyond.

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
    plt = pyplot()
    tables = {name: {r["layer"]: r for r in rows} for name, rows in rows_by_initialization.items()}
    if not tables or not all(tables.values()):
        raise ValueError("rows_by_initialization must hold rows for each name; got none")
    last = max(max(table) for table in tables.values())
    wanted = list(dict.fromkeys((1, last))) if layers is None else list(layers)
    for name, table in tables.items():
        for layer in wanted:
            if layer not in table:
                raise ValueError(f"layers must be among {sorted(table)} of {name!r}; got {layer}")
    if limit is not None:
        return _on_one_scale(tables, wanted, last, bins, limit)
    # In three or more columns each word needs a separate line.
    narrow = len(wanted) > 2
    size = (plt.rcParams["figure.figsize"][0], (2.3 if narrow else 1.75) * len(tables) + 0.2)
    _, axes = plt.subplots(
        len(tables),
        len(wanted),
        figsize=size,
        squeeze=False,
        layout="constrained",
    )
    colours = colours_of(list(tables))
    for panels, (name, table) in zip(axes, tables.items(), strict=True):
        for ax, layer in zip(panels, wanted, strict=True):
            place = "output" if layer == last else f"layer {layer}"
            ax.set_title(f"{name}\n{place}" if narrow else f"{name}, {place}", loc="left")
            _histogram(ax, table[layer], colours[name], bins, narrow)
    return axes


def matrix(weights: ArrayLike, *, ax: Axes | None = None) -> Axes:
    r"""Draw a weight matrix: a row for each unit, red above zero, blue below.

    Args:
        weights: An array of shape `(out, in)`, or a tensor that does not require gradients.
        ax: The Axes to draw on; None creates a figure.

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
    from matplotlib.ticker import MaxNLocator

    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"weights must be a matrix; got shape {values.shape}")
    ax = axes_or_new(ax)
    finite = np.abs(values[np.isfinite(values)])
    limit = float(finite.max(initial=0.0)) or 1.0
    image = ax.imshow(
        values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    ax.grid(visible=False)
    ax.set(xlabel="input", ylabel="unit")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    bar = ax.figure.colorbar(image, ax=ax, ticks=MaxNLocator(nbins=5))
    bar.outline.set_visible(False)
    return ax


def _histogram(ax: Axes, row: Mapping[str, Any], colour: str, bins: int, narrow: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    values = np.asarray(row["values"], dtype=np.float64).ravel()
    finite = values[np.isfinite(values)]
    others = finite[finite != 0]
    zeros = (len(finite) - len(others)) / len(values)
    top = 1.0
    if len(others):
        heights, *_ = ax.hist(others, bins, histtype="stepfilled", color=colour, alpha=0.75)
        top = float(np.max(heights))
    if zeros:
        ax.vlines(0, 0, 1.15 * top, color=colour, linewidth=4)
    notes = [f"mean {_number(row['mean'])}", f"std {_number(row['std'])}"]
    if zeros:
        notes.append(f"{zeros:.0%} zeros")
    if len(finite) < len(values):
        notes.append(f"{1 - len(finite) / len(values):.0%} not finite")
    ax.annotate(
        ("\n" if narrow else ", ").join(notes),
        (1, 1),
        xycoords="axes fraction",
        ha="right",
        va="top",
    )
    # Space for the notes.
    ax.set_ylim(0, (1.9 if narrow else 1.5) * top)
    ax.margins(x=0.05)
    ax.grid(visible=False)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=3 if narrow else 4, steps=[1, 2, 5, 10]))
    ax.ticklabel_format(axis="x", scilimits=(-2, 4))


def _on_one_scale(
    tables: Mapping[str, Mapping[int, Mapping[str, Any]]],
    layers: Sequence[int],
    last: int,
    bins: int,
    limit: float,
) -> NDArray[Any]:
    """Draw the same histograms on one scale in both directions; bars that are higher are cut."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(
        len(tables),
        len(layers),
        figsize=(plt.rcParams["figure.figsize"][0], 0.82 * len(tables) + 0.5),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    # The notes of neighbouring panels need a gap.
    axes[0, 0].figure.get_layout_engine().set(wspace=0.08)
    # A normal distribution with std 0.5 touches the upper edge.
    top = 0.8 * 2 * limit / bins
    colours = colours_of(list(tables))
    for panels, (name, table) in zip(axes, tables.items(), strict=True):
        panels[0].set_ylabel(
            name.replace(" ", "\n", 1),
            rotation=0,
            ha="right",
            va="center",
            labelpad=10,
            color=colours[name],
        )
        for ax, layer in zip(panels, layers, strict=True):
            row = table[layer]
            values = np.asarray(row["values"], dtype=np.float64).ravel()
            others, zeros = values[values != 0], float(np.mean(values == 0))
            beyond = float(np.mean(~(np.abs(values) <= limit)))
            share = np.full(len(others), 1 / len(values))
            ax.hist(
                others,
                bins,
                range=(-limit, limit),
                weights=share,
                color=colours[name],
                alpha=0.75,
            )
            if zeros:
                ax.vlines(0, 0, top, color=colours[name], linewidth=4)
            _note(ax, 0, f"mean {_number(row['mean'])}\nstd {_number(row['std'])}")
            notes = [f"{zeros:.0%} zero"] if zeros else []
            notes += [f"{beyond:.0%} beyond"] if beyond > 0.005 else []
            _note(ax, 1, "\n".join(notes))
            ax.set(ylim=(0, top), yticks=[])
            ax.grid(visible=False)
            ax.spines["left"].set_visible(False)
    for ax, layer in zip(axes[0], layers, strict=True):
        ax.set_title("output" if layer == last else f"layer {layer}")
    return axes


def _note(ax: Axes, side: int, text: str) -> None:
    """Write a note at the left (0) or right (1) edge of a panel."""
    ax.annotate(
        text, (side, 0.97), xycoords="axes fraction", ha=("left", "right")[side], va="top", size=10
    )


def _number(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}".replace("-", "−")
