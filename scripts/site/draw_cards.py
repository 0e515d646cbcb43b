"""Draw cards: a page's title beside the signal by layer under four initializations.

Reads {name: {title, site}} from the standard input and writes {name: PNG in hexadecimal}.
"""

import io
import json
import sys
import textwrap

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

INK, QUIET, PAPER = "#e4e7eb", "#a9b4c0", "#15191f"
# The colours that the methods have in every figure of the site (see initguide/plotting/style.py).
LINES = {"He": "#2869d7", "Xavier": "#d74100", "std 0.01": "#6e9b6e", "std 1.0": "#d269be"}
WIDTH = 128
STD = {"He": (2 / WIDTH) ** 0.5, "Xavier": (1 / WIDTH) ** 0.5, "std 0.01": 0.01, "std 1.0": 1.0}


def card(title: str, site: str) -> bytes:
    """Return a PNG of 1200 by 630 pixels."""
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=PAPER)
        lines = textwrap.wrap(title, 20)
        size = 52 if len(lines) <= 3 else 40
        if size == 40:
            lines = textwrap.wrap(title, 26)
        figure.text(0.06, 0.86, site, color=QUIET, fontsize=22, va="center")
        shown = "\n".join(lines)
        title_at = figure.text(0.06, 0.72, shown, color=INK, fontsize=size, weight="bold", va="top")
        title_at.set_linespacing(1.25)
        ax = figure.add_axes((0.66, 0.12, 0.3, 0.76), frameon=False)
        layers = np.arange(51)
        for name, std in STD.items():
            # A ReLU layer multiplies the signal's rms by std sqrt(width / 2).
            log_rms = layers * np.log10(std * (WIDTH / 2) ** 0.5)
            ax.plot(layers, log_rms, color=LINES[name], linewidth=7, solid_capstyle="round")
        ax.set_xticks([])
        ax.set_yticks([])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", facecolor=PAPER)
    small = Image.open(buffer).convert("RGB").quantize(32)
    packed = io.BytesIO()
    small.save(packed, format="png", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    orders = json.load(sys.stdin)
    json.dump({name: card(**order).hex() for name, order in orders.items()}, sys.stdout)
