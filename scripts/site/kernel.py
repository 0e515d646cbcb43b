"""What an example's kernel does before the first cell: it makes figures and tables fit the site.

Runs inside the kernel, so it may import what the builder must not (matplotlib).
"""

import figures
import matplotlib.pyplot as plt
import tables
from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.figure import Figure


def prepare() -> None:
    """Draw under the site's settings, show rows as a table, and keep Artists from being echoed."""
    plt.rcParams.update(figures.RC)
    shell = get_ipython()
    assert shell is not None, "only a kernel runs this"
    formatter = shell.display_formatter
    formatter.formatters["text/markdown"].for_type(list, _table)
    # `ax.set_title(...)` as a cell's last line would print a repr that no reader wants.
    formatter.ipython_display_formatter.for_type(Artist, lambda artist: None)
    formatter.ipython_display_formatter.for_type(Figure, _publish)


def _publish(figure: Figure) -> None:
    display({"image/svg+xml": figures.draw(figure)}, raw=True)


def _table(value: list) -> str | None:
    rows = value and all(isinstance(row, dict) for row in value)
    return tables.markdown(value) if rows else None
