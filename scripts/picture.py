"""Draw the guide's first figure into docs/assets: for README, and for links shared elsewhere."""

import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from initguide import plotting
from initguide.experiments import INITIALIZATIONS, signals_by_depth
from initguide.plotting.style import colours_of

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "docs" / "assets"
NAMES = ["std 0.01", "Xavier", "He", "std 1.0"]
WIDTH, DEPTH = 128, 50

sys.path.insert(0, str(ROOT / "scripts" / "site"))
import figures  # noqa: E402 - the site's scripts are not a package


def picture() -> str:
    """Return the picture on a white background, because the page of a code host may be dark."""
    chosen = {name: INITIALIZATIONS[name] for name in NAMES}
    rows = signals_by_depth(chosen, depth=DEPTH, width=WIDTH, seeds=range(5))
    with plt.rc_context(figures.RC):
        fig, ax = plt.subplots()
        plotting.signals(rows, ax=ax)
        light, _ = figures.variants(figures.draw(fig))
    plt.close(fig)
    header, rest = light.split(">", 1)
    return f'{header}>\n<rect width="100%" height="100%" rx="6" fill="#ffffff"/>{rest}'


def card() -> bytes:
    """Return the picture of a shared link, a PNG of 1200 by 630 pixels: title and theory."""
    ink, quiet, paper = "#e4e7eb", "#a9b4c0", "#15191f"
    colours = colours_of(NAMES)
    std = {"std 0.01": 0.01, "Xavier": WIDTH**-0.5, "He": (2 / WIDTH) ** 0.5, "std 1.0": 1.0}
    layers = np.arange(DEPTH + 1)
    with plt.rc_context({"font.family": "DejaVu Sans"}):
        fig = plt.figure(figsize=(12, 6.3), dpi=100, facecolor=paper)
        title = "Initialization\nof neural\nnetworks"
        fig.text(0.06, 0.84, title, color=ink, size=52, weight="bold", va="top", linespacing=1.25)
        subtitle = "How the first weights decide\nwhether a network learns"
        fig.text(0.06, 0.3, subtitle, color=quiet, size=22, va="top", linespacing=1.4)
        ax = fig.add_axes((0.62, 0.12, 0.34, 0.76), frameon=False)
        for name in NAMES:
            # A ReLU layer multiplies the signal's root mean square by std sqrt(width / 2).
            line = layers * np.log10(std[name] * (WIDTH / 2) ** 0.5)
            ax.plot(layers, line, color=colours[name], linewidth=7, solid_capstyle="round")
        ax.set(xticks=[], yticks=[])
        drawn, packed = io.BytesIO(), io.BytesIO()
        fig.savefig(drawn, format="png", facecolor=paper)
    plt.close(fig)
    Image.open(drawn).convert("RGB").quantize(32).save(packed, format="png", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    (ASSETS / "picture.svg").write_text(picture(), encoding="utf-8")
    (ASSETS / "card.png").write_bytes(card())
