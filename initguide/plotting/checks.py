"""Plots of checks over steps or over widths: a line for each layer, coloured by its depth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from initguide.plotting.style import ink, label_lines, log_ticks, pyplot, sequence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
# More labels than this do not fit beside a panel.
_LABELS = 6
_LONGEST = 20


def training(rows: Rows, findings: Iterable[Any] = ()) -> Figure:
    r"""Draw a training run: the loss, the update over the weight, and the size of the signal.

    Lines go from tan, the first layer, to magenta, the last one. In a network of more than six
    layers, only the first, the last and those with findings have a label. The dotted line is the
    rule of thumb $10^{-3}$. Dead units get a panel if units died.

    Args:
        rows: The rows of a [Report][initguide.Report] by
            [measure_training][initguide.measure_training].
        findings: Its findings.

    Returns:
        The Figure, with three or four panels.

    Raises:
        ValueError: There are no rows.

    Source:
        A. Karpathy (2015), *CS231n: Neural Networks Part 3*, for the rule of thumb.

    Examples:
        ```python
        import torch
        from torch import nn
        from torch.nn import functional as F

        from initguide.diagnostics.measure_training import measure_training

        model = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 5))
        x = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
        y = torch.arange(64) % 5
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        report = measure_training(model, [(x, y)] * 9, optimizer, F.cross_entropy, steps=9)
        print([ax.get_ylabel() for ax in report.plot().axes])
        #> ['loss', 'update / weight', 'output of the layer']
        ```
    """
    findings = list(findings)
    panels = {"update": "update / weight", "rms": "output of the layer"}
    if any(each.kind == "units die" for each in findings):
        panels["dead"] = "dead units"
    figure, axes = _figure(rows, 1 + len(panels), 1)
    losses = {row["step"]: row["loss"] for row in rows}
    axes[0, 0].plot(losses.keys(), losses.values(), color=ink())
    axes[0, 0].set(ylabel="loss")
    _usual(axes[1, 0])
    for ax, (key, label) in zip(axes[1:, 0], panels.items(), strict=True):
        _lines(ax, rows, "step", key, findings, log=key != "dead")
        ax.set(ylabel=label, xlabel="step" if ax is axes[-1, 0] else "")
    return figure


def _usual(ax: Axes) -> None:
    """Mark the usual update; before the labels, which are placed by the limits of the axes."""
    ax.axhline(1e-3, color=ink(), linestyle=":", linewidth=1.2, zorder=1)
    ax.annotate(
        "usual",
        (0, 1e-3),
        xycoords=ax.get_yaxis_transform(),
        xytext=(4, 2),
        textcoords="offset points",
        va="bottom",
    )


def coordinates(rows: Rows, findings: Iterable[Any] = ()) -> Figure:
    r"""Draw a coordinate check: over width, the size of each signal, and how far training moves it.

    A line that is flat has the same size at every width. Both axes are logarithmic, so the slope is
    the exponent. Lines go from tan, the first layer, to magenta, the last one.

    Args:
        rows: The rows of a [Report][initguide.Report] by [coord_check][initguide.coord_check].
        findings: Its findings.

    Returns:
        The Figure, with two panels for the width, and two for the depth if there are depths.

    Raises:
        ValueError: There are no rows.

    Examples:
        ```python
        import torch
        from torch import nn

        from initguide.diagnostics.coord_check import coord_check

        x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))

        def make(width):
            return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 1))

        report = coord_check(make, [64, 256, 1024], x, lambda y: (y - 1).square().mean())
        print([ax.get_xlabel() for ax in report.plot().axes])
        #> ['', 'width']
        ```
    """
    from matplotlib.ticker import NullLocator

    findings = list(findings)
    directions = list(dict.fromkeys(row["axis"] for row in rows))
    figure, axes = _figure(rows, 2, len(directions))
    last = max(row["step"] for row in rows)
    for column, axis in enumerate(directions):
        mine = [row for row in rows if row["axis"] == axis]
        sizes = sorted({row["size"] for row in mine})
        for ax, step, key, label in zip(
            axes[:, column],
            (0, last),
            ("rms", "change"),
            ("size at the start", "change"),
            strict=True,
        ):
            shown = [row for row in mine if row["step"] == step]
            _lines(ax, shown, "size", key, findings, log=True)
            ax.set_xscale("log")
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticks(sizes, [str(size) for size in sizes])
            ax.set(ylabel="" if column else label, xlabel=axis if key == "change" else "")
    return figure


def _figure(rows: Rows, high: int, wide: int) -> tuple[Figure, Any]:
    plt = pyplot()
    if not rows:
        raise ValueError("rows must not be empty; got none")
    return plt.subplots(
        high,
        wide,
        figsize=(plt.rcParams["figure.figsize"][0], 1.8 * high + 0.3),
        sharex="col",
        squeeze=False,
        layout="constrained",
    )


def _lines(ax: Axes, rows: Rows, x: str, y: str, findings: Sequence[Any], *, log: bool) -> None:
    """Draw a line for each layer, and label it if there is room for a label."""
    # A layer without values in this panel keeps its place, so that colours agree between panels.
    lines: dict[str, list[tuple[float, float]]] = {row["layer"]: [] for row in rows}
    for row in rows:
        value = row[y]
        if value is not None and math.isfinite(value) and (value > 0 or not log):
            lines[row["layer"]].append((row[x], value))
    names = list(lines)
    colours = sequence(len(names))
    named = set(names)
    if len(names) > _LABELS:
        named = {names[0], names[-1], *(each.where for each in findings)}
    for index, name in enumerate(names):
        if not lines[name]:
            continue
        short = name if len(name) <= _LONGEST else "…" + name[1 - _LONGEST :]
        ax.plot(
            *zip(*lines[name], strict=True),
            color=colours[index],
            marker="." if len(lines[name]) < 6 else "",
            label=short if name in named else "_",
        )
    if log:
        ax.set_yscale("log")
        log_ticks(ax)
    label_lines(ax)
