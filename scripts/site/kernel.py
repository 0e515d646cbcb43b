"""What an example's kernel does before the first cell: it makes figures and tables fit the site.

Runs inside the kernel, so it may import what the builder must not (matplotlib).
"""

from typing import Any

import figures
import matplotlib.pyplot as plt
import numpy as np
import tables
from IPython.core.getipython import get_ipython
from IPython.display import display
from IPython.lib.pretty import pretty
from matplotlib.artist import Artist
from matplotlib.figure import Figure


def prepare() -> None:
    """Draw under the site's settings, show rows as a table, and keep Artists from being echoed."""
    plt.rcParams.update(figures.RC)
    shell = get_ipython()
    assert shell is not None, "only a kernel runs this"
    formatter: Any = shell.display_formatter
    show = formatter.ipython_display_formatter.for_type
    show(Figure, lambda figure: display({"image/svg+xml": figures.draw(figure)}, raw=True))
    # `ax.set_title(...)` as a cell's last line would print a repr that no reader wants.
    show(Artist, lambda artist: None)
    show(list, _sequence)
    show(np.ndarray, _sequence)


def _sequence(value: Any) -> None:
    """Show rows as a table, Artists, as `ax.plot(...)` returns, not at all, the rest as it is."""
    items = list(value.flat) if isinstance(value, np.ndarray) else value
    if items and all(isinstance(item, Artist) for item in items):
        return
    shown = {"text/plain": pretty(value)}
    if items and all(isinstance(item, dict) for item in items):
        shown["text/markdown"] = tables.markdown(items)
    display(shown, raw=True)
