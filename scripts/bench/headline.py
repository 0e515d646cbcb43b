"""The top of the page: five sentences and a dot plot, made from the measured rows."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from table import Row

# The rows of the dot plot: large cases, because 2 × 2 measures the calls of Python functions.
SHOWN = (
    "`normal_` 4096 × 4096",
    "`uniform_` 4096 × 4096",
    "`xavier_uniform_` 4096 × 4096",
    "`kaiming_normal_` 4096 × 4096",
    "`trunc_normal_` 4096 × 4096",
    "`sparse_` 1024 × 1024",
    "`dirac_` 1024 × 1024 × 3",
    "`orthogonal_` 256 × 256",
    "`orthogonal_` 1024 × 1024",
    "`orthogonal_` 4096 × 4096",
    "`orthogonal_` 512 × 512 × 3 × 3",
    "`kaiming_normal` float32, 1024 × 1024",
    "`orthogonal` float32, 1024 × 1024",
    "`lsuv_` CNN, 30 layers",
    "`measure` CNN, 30 layers",
    "`initialize_` GPT-2 small, from meta",
)
FIGURE = """\
??? code "The measured ratios, and the code that draws this figure"

    ```python
    import matplotlib.pyplot as plt

    # The median of the ratios, the smallest and the largest.
    ratios = {{
{rows}
    }}
    fig, ax = plt.subplots(figsize=(6.8, 5))
    for y, (median, low, high) in enumerate(ratios.values()):
        differs = low > 1 or high < 1
        ax.plot([low, high], [y, y], color="C0", linewidth=1)
        fill = "C0" if differs else "none"
        ax.plot(median, y, "o", color="C0", markerfacecolor=fill)
    ax.axvline(1, color="0.5", linewidth=1)
    ax.set(xscale="log", xlabel="peer's time / our time", yticks=range(len(ratios)))
    ax.set_yticklabels(ratios)
    ticks = [0.5, 1, 2, 5, 10, 20, 50]
    ax.set_xticks(ticks, [f"{{tick:g}}" for tick in ticks])
    ax.minorticks_off()
    ax.invert_yaxis()
    ```
<!-- figure: {caption} -->"""
CAPTION = (
    "How many times as long the peer takes, on one thread of a CPU, in some of the pairs; all are "
    "below. Dots are medians of the repeats, and lines reach from the smallest to the largest. "
    "Hollow dots: the range includes 1, so no difference was found."
)
# A sentence each: its words, and the beginnings and ends of the names of its rows.
_GROUPS = (
    ("Truncated normal values, from 2 × 2 to 4096 × 4096, against torch", "`trunc_normal_`", ""),
    ("Orthogonal weights, from 2 × 2 to 16384 × 512, against torch", "`orthogonal_`", ""),
    ("LSUV, against the package `lsuv`", "`lsuv_`", ""),
    (
        "Normal, uniform, Xavier and He, from 1024 × 1024 on, against torch",
        ("`normal_", "`uniform_", "`xavier_", "`kaiming_"),
        ("1024 × 1024", "4096 × 4096"),
    ),
)


def sentences(sections: Mapping[str, Sequence[Row]]) -> str:
    """Return what was found, in a few sentences."""
    rows = [row for section in sections.values() for row in section]
    faster = [row for row in rows if row.ratios[0] > 1]
    slower = [row for row in rows if row.ratios[-1] < 1]
    parts = [
        f"- Of {len(rows)} pairs, ours is faster in {len(faster)} and slower in {len(slower)}"
        f"{_named(slower)}. In the other {len(rows) - len(faster) - len(slower)}, the range of the "
        "ratios includes 1: no difference was found.",
    ]
    for text, names, sizes in _GROUPS:
        found = [
            median(row.ratios)
            for row in rows
            if row.peer_name in ("torch", "lsuv")
            and row.name.startswith(names)
            and row.name.endswith(sizes)
        ]
        if found:
            parts.append(f"- {text}: {_range(found)} times as fast.")
    return "\n".join(parts)


def _named(rows: Sequence[Row]) -> str:
    return f" ({', '.join(row.name for row in rows)})" if rows else ""


def _range(found: Sequence[float]) -> str:
    low, high = f"{min(found):.2g}", f"{max(found):.2g}"
    return low if low == high else f"{low} to {high}"


def figure(rows: Iterable[Row]) -> str:
    """Return the fence that draws the dot plot."""
    lines = []
    for row in rows:
        if row.name in SHOWN:
            numbers = ", ".join(
                f"{value:.3g}" for value in (median(row.ratios), row.ratios[0], row.ratios[-1])
            )
            label = f"{row.name}, {row.peer_name}".replace("`", "").replace(" float32", "")
            lines.append(f'        "{label}": ({numbers}),')
    return FIGURE.format(rows="\n".join(lines), caption=CAPTION)
