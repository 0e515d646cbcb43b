"""Draw README's picture, the first figure of the guide, into docs/assets/picture.svg."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments import INITIALIZATIONS, signals_by_depth

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "assets" / "picture.svg"

sys.path.insert(0, str(ROOT / "scripts" / "site"))
import figures  # noqa: E402 - the site's scripts are not a package


def picture() -> str:
    """Return the picture on a white background, because the page of a code host may be dark."""
    names = ["std 0.01", "Xavier", "He", "std 1.0"]
    chosen = {name: INITIALIZATIONS[name] for name in names}
    rows = signals_by_depth(chosen, depth=50, width=128, seeds=range(5))
    with plt.rc_context(figures.RC):
        fig, ax = plt.subplots()
        plotting.signals(rows, ax=ax)
        light, _ = figures.variants(figures.draw(fig))
    plt.close(fig)
    header, rest = light.split(">", 1)
    return f'{header}>\n<rect width="100%" height="100%" rx="6" fill="#ffffff"/>{rest}'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
