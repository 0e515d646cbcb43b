"""The tables of the page on big models, from the records of the recipes."""

from typing import TYPE_CHECKING

import tables

if TYPE_CHECKING:
    from initguide.recipes.code_bases.record import CodeBase

# The sizes of a Llama with 7 billion parameters; the block is the last one.
WIDTH, BLOCKS, HIDDEN, WORDS, HEAD = 4096, 32, 11008, 32000, 128
ROLES = {
    "embedding": (1, WIDTH),
    "head": (WIDTH, WORDS),
    "query": (WIDTH, WIDTH),
    "output": (WIDTH, WIDTH),
    "gate": (WIDTH, HIDDEN),
    "up": (WIDTH, HIDDEN),
    "down": (HIDDEN, WIDTH),
}
# The options without a default.
_GIVEN = {"head_dim": HEAD, "mup": 1}


def stds() -> str:
    """Return the std of each role in each code base at the sizes above, as Markdown."""
    from initguide.recipes.code_bases.decoders import DECODERS
    from initguide.recipes.code_bases.methods import TRANSFORMER_METHODS

    shown = (*DECODERS, *TRANSFORMER_METHODS)
    rows = [[f"`{r.name}`", *(_std(r, role) for role in ROLES)] for r in shown]
    return tables.of_cells(["Recipe", *ROLES], rows)


def formulas() -> str:
    """Return the formulas of each code base, its options and its source, as Markdown."""
    from initguide.recipes.code_bases.rules import CODE_BASES

    rows = [[f"`{r.name}`<br>{_source(r)}", _roles(r)] for r in CODE_BASES]
    return tables.of_cells(["Recipe, source, options and notes", "Formulas"], rows)


def _std(record: "CodeBase", role: str) -> str:
    from initguide.recipes.code_bases.record import evaluated

    draw = record.draw(role)
    if draw is None:
        return "—"
    n_in, n_out = ROLES[role]
    sizes = {"d": WIDTH, "L": BLOCKS, "l": BLOCKS - 1, "n_in": n_in, "n_out": n_out}
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
