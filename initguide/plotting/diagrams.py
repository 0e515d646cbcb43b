"""A small network as a diagram: units as circles, weights as lines between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from initguide.plotting.style import axes_or_new, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RADIUS = 0.3
# Reads well on a light page and on a dark one, with white letters on it.
GREY = "#6b7580"


def network(
    sizes: Sequence[int],
    *,
    links: Mapping[tuple[int, int, int], str] | None = None,
    units: Mapping[tuple[int, int], str] | None = None,
    labels: Mapping[tuple[int, ...], str] | None = None,
    gap: float = 3.0,
    step: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw a fully connected network from left to right.

    A unit is named by its layer and its place from the top, both from 0. A weight is named by the
    layer on its left, the place of the unit that it leaves and the place of the unit that it
    reaches.

    Args:
        sizes: The number of units in each layer.
        links: The colours of the weights to be stressed; all others are thin and grey.
        units: The fill colours of units; all others are grey.
        labels: Texts by unit, written in its circle, or by weight, written along its line.
        gap: The distance between layers; a circle has the radius 0.3.
        step: The distance between the units of a layer.
        ax: The Axes to draw on; None creates a figure.

    Returns:
        The Axes, without frame or ticks.

    Examples:
        ```python
        from initguide import plotting

        ax = plotting.network([3, 2], labels={(1, 0): "z", (0, 0, 0): "w"})
        print(sorted(text.get_text() for text in ax.texts))
        #> ['w', 'z']
        ```
    """
    from matplotlib.patches import Circle

    ax = axes_or_new(ax)
    links, units, labels = links or {}, units or {}, labels or {}
    place = {
        (layer, unit): (gap * layer, step * ((size - 1) / 2 - unit))
        for layer, size in enumerate(sizes)
        for unit in range(size)
    }
    for layer, (left, right) in enumerate(pairwise(sizes)):
        for name in ((layer, i, j) for i in range(left) for j in range(right)):
            (x0, y0), (x1, y1) = place[name[:2]], place[layer + 1, name[2]]
            stressed = name in links
            colour, width = (links[name], 2.5) if stressed else (ink(), 0.8)
            ax.plot([x0, x1], [y0, y1], color=colour, lw=width, alpha=1 if stressed else 0.4)
            if name in labels:
                # Along its line and away from the crossing, a label is beside one line only.
                share = 0.5 if y0 == y1 else 0.3
                above = y1 < y0 or y0 == y1 >= 0
                ax.text(
                    x0 + share * (x1 - x0),
                    y0 + share * (y1 - y0) + (0.08 if above else -0.08),
                    labels[name],
                    ha="center",
                    va="bottom" if above else "top",
                    rotation=math.degrees(math.atan2(y1 - y0, x1 - x0)),
                    rotation_mode="anchor",
                )
    for name, (x, y) in place.items():
        face = units.get(name, GREY)
        ax.add_patch(Circle((x, y), RADIUS, facecolor=face, edgecolor=ink(), lw=1.5, zorder=3))
        if name in labels:
            ax.text(x, y, labels[name], ha="center", va="center", color="white", zorder=4)
    tallest = step * (max(sizes) - 1) / 2 + 0.6
    ax.set(
        xlim=(-0.5, gap * (len(sizes) - 1) + 0.5),
        ylim=(-tallest, tallest),
        aspect="equal",
    )
    ax.axis("off")
    return ax
