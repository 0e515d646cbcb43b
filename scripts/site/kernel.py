"""What an example's kernel does before the first cell: it makes figures and tables fit the site.

Runs inside the kernel, so it may import what the builder must not (matplotlib).
"""

from typing import Any

import figures
import matplotlib.pyplot as plt
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
    show(list, _list)


def _list(value: list[Any]) -> None:
    """Show rows as a table, what `ax.plot(...)` returns not at all, other lists as they are."""
    shown = {"text/plain": pretty(value)}
    if value and all(isinstance(row, dict) for row in value):
        shown["text/markdown"] = tables.markdown(value)
    if not value or not all(isinstance(item, Artist) for item in value):
        display(shown, raw=True)
