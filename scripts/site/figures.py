"""Figures as SVG: one look for the whole site, the same bytes on every build, light and dark."""

import io
import re
from html import escape
from typing import Any

# Colours that no plot uses by chance: each is replaced by the theme's own (see `variants`).
INK = "#13263b"
GRID = "#c7d0db"

_LIGHT = {INK: "#1f2933", GRID: "#d3d9e0"}
_DARK = {INK: "#e4e7eb", GRID: "#49515d"}

_SIZE = "figure.figsize"
RC: Any = {
    # About the width of a page's text; on a phone the whole figure is scaled to half of it,
    # where letters of this size can still be read.
    _SIZE: (6.8, 3.8),
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.labelcolor": INK,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2,
    # A reader's own settings, fonts and clock must not change a figure.
    "font.family": "DejaVu Sans",
    "svg.fonttype": "path",
    "svg.hashsalt": "initguide",
}


def draw(figure: Any) -> str:
    """Return a matplotlib figure as SVG text that depends on nothing but the figure."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(RC):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    _check_fits(figure)
    text = buffer.getvalue()
    # Inside an <img> the XML header and the document type are dead weight.
    return text[text.index("<svg") :]


def _check_fits(figure: Any) -> None:
    """Check that nothing that a figure draws reaches over its edge, where it is cut off."""
    drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    over = [-drawn.x0, drawn.x1 - width, -drawn.y0, drawn.y1 - height]
    for side, inches in zip(("left", "right", "bottom", "top"), over, strict=True):
        if inches > 1 / 72:
            raise ValueError(
                f"a figure must hold all that it draws; got {72 * inches:.0f} pt over the {side}"
            )


def placeholder(message: str, source: str) -> str:
    """Return an SVG with a message, as large as the figure that the source draws."""
    found = re.search(r"figsize=\(\s*([\d.]+)\s*,\s*([\d.]+)\s*\)", source)
    width, height = (72 * float(inches) for inches in (found.groups() if found else RC[_SIZE]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt">'
        f'<rect width="100%" height="100%" fill="none" stroke="{GRID}" stroke-dasharray="6"/>'
        f'<text x="50%" y="50%" text-anchor="middle" fill="{INK}" font-family="sans-serif">'
        f"{escape(message)}</text></svg>"
    )


def variants(svg: str) -> tuple[str, str]:
    """Return the figure as it looks on a light page and on a dark one."""
    return _coloured(svg, _LIGHT), _coloured(svg, _DARK)


def size(svg: str) -> tuple[int, int]:
    """Return the width and height in CSS pixels."""
    header = svg[: svg.index(">")]
    points = [re.search(rf'\b{side}="([\d.]+)pt"', header) for side in ("width", "height")]
    if not all(points):
        raise ValueError(f"an SVG must state its size in points; got {header!r}")
    width, height = (round(float(found[1]) * 4 / 3) for found in points if found)
    return width, height


def markup(name: str, caption: str, svg: str, base: str) -> str:
    """Return Markdown for `assets/figures/<name>.{light,dark}.svg`, below the site's `base`.

    Blocks of pymdownx, not HTML: Python-Markdown leaves indented HTML, as in a tab, unparsed.
    """
    width, height = size(svg)
    images = "\n".join(
        f'<img src="{base}assets/figures/{name}.{theme}.svg#only-{theme}" alt="{_plain(caption)}" '
        f'width="{width}" height="{height}" loading="lazy">'
        for theme in ("light", "dark")
    )
    return f"""\
//// html | figure

{images}

/// html | figcaption

{caption}

///

////"""


def _coloured(svg: str, colours: dict[str, str]) -> str:
    return re.sub("|".join(colours), lambda found: colours[found[0]], svg)


def _plain(caption: str) -> str:
    """Return the caption for an attribute, every sign that Markdown or HTML could read encoded."""
    text = re.sub(r"\[([^\]]+)\](\[[^\]]*\]|\([^)]*\))", r"\1", caption)
    text = re.sub(r"[$`]|\*\*?(?=\S)|(?<=\S)\*\*?", "", text)
    return re.sub(r"[^\w\s.,:;()–—%/-]", lambda sign: f"&#{ord(sign[0])};", text)
