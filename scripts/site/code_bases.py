"""The tables of the page on big models, from the records of the recipes."""

import itertools
import json
from typing import TYPE_CHECKING

import tables

if TYPE_CHECKING:
    from initguide.recipes.code_bases.record import CodeBase

# The sizes of a Llama with 7 billion parameters, and the others that the page offers.
WIDTH, BLOCKS, WORDS, HEAD = 4096, 32, 32000, 128
WIDTHS = (512, 1024, 2048, 4096, 8192, 16384)
DEPTHS = (8, 16, 24, 32, 48, 64, 96, 128)
# The fans of each role, by the width and the units in the MLP.
ROLES = {
    "embedding": lambda d, hidden: (1, d),
    "head": lambda d, hidden: (d, WORDS),
    "query": lambda d, hidden: (d, d),
    "output": lambda d, hidden: (d, d),
    "gate": lambda d, hidden: (d, hidden),
    "up": lambda d, hidden: (d, hidden),
    "down": lambda d, hidden: (hidden, d),
}
# The options without a default.
_GIVEN = {"head_dim": HEAD, "mup": 1}


def hidden(width: int) -> int:
    """Return the units of a Llama's MLP: two thirds of 4d, up to the next multiple of 256."""
    return -(-(8 * width // 3) // 256) * 256


def stds() -> str:
    """Return the std of each role in each code base at the sizes above, as Markdown."""
    rows = [[f"`{r.name}`", *(_std(r, role, WIDTH, BLOCKS) for role in ROLES)] for r in _shown()]
    return tables.of_cells(["Recipe", *ROLES], rows)


def data() -> str:
    """Return the stds at all sizes that the page offers, as JSON for its script."""
    sizes = list(itertools.product(WIDTHS, DEPTHS))
    # Many cells have the same values, and each list of values stands there once.
    different: dict[tuple[str, ...], int] = {}
    cells = [
        different.setdefault(tuple(_std(r, role, *size) for size in sizes), len(different))
        for r in _shown()
        for role in ROLES
    ]
    shown = {
        "widths": {width: f"{hidden(width):,}" for width in WIDTHS},
        "depths": DEPTHS,
        "start": (WIDTH, BLOCKS),
        "cells": cells,
        "values": [*different],
    }
    return json.dumps(shown, ensure_ascii=False)


def _shown() -> tuple["CodeBase", ...]:
    from initguide.recipes.code_bases.decoders import DECODERS
    from initguide.recipes.code_bases.methods import TRANSFORMER_METHODS

    return (*DECODERS, *TRANSFORMER_METHODS)


def formulas() -> str:
    """Return the formulas of each code base, its options and its source, as Markdown."""
    from initguide.recipes.code_bases.rules import CODE_BASES

    rows = [[f"`{r.name}`<br>{_source(r)}", _roles(r)] for r in CODE_BASES]
    return tables.of_cells(["Recipe, source, options and notes", "Formulas"], rows)


def _std(record: "CodeBase", role: str, width: int, blocks: int) -> str:
    from initguide.recipes.code_bases.record import evaluated

    draw = record.draw(role)
    if draw is None:
        return "—"
    n_in, n_out = ROLES[role](width, hidden(width))
    sizes = {"d": width, "L": blocks, "l": blocks - 1, "n_in": n_in, "n_out": n_out}
    options = {
        name: _GIVEN[name] if default is None else evaluated(default, sizes)
        for name, default in record.options.items()
    }
    return f"{evaluated(draw.std, {**sizes, **options}):.3g}"


def _roles(record: "CodeBase") -> str:
    """Return the formulas, each with the roles that share it."""
    shared: dict[str, list[str]] = {}
    for role, draw in record.draws.items():
        kind = "" if draw.distribution == "normal" else f" ({draw.distribution})"
        shared.setdefault(f"`{draw.std}`{kind}", []).append(role)
    return "<br>".join(f"{', '.join(roles)}: {text}" for text, roles in shared.items())


def _source(record: "CodeBase") -> str:
    options = ", ".join(
        f"`{name}`" if value is None else f"`{name}={value}`"
        for name, value in record.options.items()
    )
    parts = [f"{record.repository}, `{record.file}` ({record.date}).", record.note]
    return " ".join(filter(None, [*parts, f"Options: {options}." if options else ""]))
