"""A model's own signal and gradient by layer, with a mark at each layer that has a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from initguide.plotting.lines import draw_lines
from initguide.plotting.style import ink, legend_above, log_ticks, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = (
    ("signal", {"rms": "RMS", "std": "std over the batch"}, ("gradient",)),
    ("gradient", {"gradient_rms": "RMS of the gradient"}, ("signal", "residual", "input ignored")),
)


def report(rows: Sequence[Mapping[str, Any]], findings: Iterable[Any] = ()) -> Figure:
    r"""Draw a report: RMS and std of the signal by layer above, the gradient below.

    Layers are counted in the order of execution. A dotted line marks each layer that has a finding,
    and names the kind.

    Args:
        rows: The rows of a [Report][initguide.Report] by [measure][initguide.measure].
        findings: Its findings.

    Returns:
        The Figure, with one panel, or two if the gradient was measured.

    Raises:
        ValueError: There are no rows.

    Examples:
        ```python
        import torch
        from torch import nn

        from initguide.diagnostics.measure import measure

        model = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 5))
        x = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
        figure = measure(model, x, loss=lambda y: y.square().mean()).plot()
        print([ax.get_ylabel() for ax in figure.axes])
        #> ['output of the layer', 'gradient at the output']
        ```
    """
    plt = pyplot()
    if not rows:
        raise ValueError("rows must not be empty; got none")
    wide, high = plt.rcParams["figure.figsize"]
    panels = [
        panel for panel in _PANELS if any(row[key] is not None for row in rows for key in panel[1])
    ]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(wide, high * (0.6 + 0.4 * len(panels))),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    findings = list(findings)
    for ax, (name, keys, others) in zip(axes[:, 0], panels, strict=True):
        points = [
            {"layer": index, "value": row[key], "line": label}
            for key, label in keys.items()
            for index, row in enumerate(rows, start=1)
            if row[key] is not None
        ]
        draw_lines(points, "layer", "value", "line", ax, log=True)
        _mark(ax, rows, [each for each in findings if not each.kind.startswith(others)])
        log_ticks(ax)
        ax.set(ylabel="output of the layer" if name == "signal" else "gradient at the output")
        ax.set_xlabel("layer" if ax is axes[-1, 0] else "")
        if len(keys) > 1:
            legend_above(ax)
    return figure


def _mark(ax: Axes, rows: Sequence[Mapping[str, Any]], findings: Sequence[Any]) -> None:
    """Draw a line at each layer that has findings, with their kinds along it."""
    positions = {row["layer"]: index for index, row in enumerate(rows, start=1)}
    kinds: dict[int, list[str]] = {}
    for finding in findings:
        if finding.where in positions:
            kinds.setdefault(positions[finding.where], []).append(finding.kind)
    for index, names in kinds.items():
        late = index > 0.7 * len(rows)
        ax.axvline(index, color=ink(), linestyle=":", linewidth=1.2, zorder=1)
        ax.annotate(
            "\n".join(names),
            (index, 0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(-4 if late else 4, 4),
            textcoords="offset points",
            ha="right" if late else "left",
            va="bottom",
        )
