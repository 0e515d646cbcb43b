"""Markdown made from the records of the frameworks' default initializations."""

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import tables

if TYPE_CHECKING:
    from initguide.frameworks import Default

_CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
_PACKAGES = {
    "PyTorch": "torch",
    "Keras": "keras",
    "Flax": "flax",
    "Equinox": "equinox",
    "Haiku": "dm-haiku",
    "JAX": "jax",
}


def overview() -> str:
    """Return a table of layers and frameworks: the distributions of weights, faults marked."""
    from initguide.frameworks import DEFAULTS, LAYER_KINDS

    cells: dict[str, dict[str, dict[str, None]]] = {}
    for default in DEFAULTS:
        if (
            default.distribution.kind not in ("constant", "forget gate")
            and "bias" not in default.parameter
        ):
            # The two APIs of Flax share a column, which lists equal distributions once.
            cell = cells.setdefault(default.layer, {}).setdefault(default.framework.split()[0], {})
            cell[_distribution(default) + ("&nbsp;⚠" if default.fault else "")] = None
    columns = list(dict.fromkeys(default.framework.split()[0] for default in DEFAULTS))
    rows = [
        [f"[{layer}](#{_anchor(layer)})"]
        + ["<br>".join(cells[layer].get(column, ["none"])) for column in columns]
        for layer in LAYER_KINDS
        if layer in cells
    ]
    return _table(["layer", *columns], rows)


def layers() -> str:
    """Return a heading and a table for each layer: every parameter, its distribution, our call."""
    from initguide.frameworks import DEFAULTS, LAYER_KINDS

    columns = [
        "framework, class",
        "parameter",
        "distribution",
        "the same by initguide; ⚠ what is wrong",
    ]
    parts = []
    for layer, sizes in LAYER_KINDS.items():
        rows, seen = [], None
        for default in (default for default in DEFAULTS if default.layer == layer):
            who = f"{default.framework}<br>{_code(default.name)}"
            call = f"`{default.ours}`" + (f"<br>⚠ {default.fault}" if default.fault else "")
            parameter = _code(default.parameter)
            rows.append(["" if who == seen else who, parameter, _distribution(default), call])
            seen = who
        parts.append(f"### {layer} {{ #{_anchor(layer)} }}\n")
        fold = textwrap.indent(_table(columns, rows), "    ")
        parts.append(f'??? abstract "All parameters: {sizes}"\n\n{fold}\n')
    return "\n".join(parts)


def versions() -> str:
    """Return the frameworks with the versions that the tests run against."""
    text = _CONSTRAINTS.read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    named = [f"{name} {pinned[package]}" for name, package in _PACKAGES.items()]
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _distribution(default: "Default") -> str:
    """Return the distribution with spaces that do not break: it is read on one line."""
    return str(default.distribution).replace(" ", "&nbsp;").replace("/", "/&NoBreak;")


def _code(names: str) -> str:
    """Return the names of code as code, which may break at a bracket, and other words as words."""
    return ", ".join(
        f"<code>{name.replace('(', '(<wbr>')}</code>" if re.fullmatch(r"\S+", name) else name
        for name in names.split(", ")
    )


def _anchor(layer: str) -> str:
    return f"defaults-{layer.lower().replace(' ', '-')}"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    return f'<div class="defaults" markdown>\n\n{tables.of_cells(columns, rows)}\n\n</div>'
