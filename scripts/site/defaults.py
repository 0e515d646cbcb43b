"""Markdown made from the records of what the frameworks draw."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Return the table of layers and frameworks: the laws of the weights, faults marked."""
    from initguide.frameworks import DEFAULTS, LAYER_KINDS

    laws: dict[str, dict[str, dict[str, None]]] = {}
    for default in DEFAULTS:
        if (
            default.distribution.kind not in ("constant", "forget gate")
            and "bias" not in default.parameter
        ):
            # The two APIs of Flax share a column: what they draw alike stands there once.
            cell = laws.setdefault(default.layer, {}).setdefault(default.framework.split()[0], {})
            cell[_law(default) + ("&nbsp;⚠" if default.fault else "")] = None
    columns = list(dict.fromkeys(default.framework.split()[0] for default in DEFAULTS))
    rows = [
        [f"[{layer}](#{_anchor(layer)})"]
        + ["<br>".join(laws[layer].get(column, ["none"])) for column in columns]
        for layer in LAYER_KINDS
        if layer in laws
    ]
    return _table(["layer", *columns], rows)


def layers() -> str:
    """Return a heading and a table for each layer: every parameter, its law, our call."""
    from initguide.frameworks import DEFAULTS, LAYER_KINDS

    columns = ["framework, class", "parameter", "law", "the same by initguide; ⚠ what is wrong"]
    parts = []
    for layer, sizes in LAYER_KINDS.items():
        rows, seen = [], None
        for default in (default for default in DEFAULTS if default.layer == layer):
            who = f"{default.framework}<br>{_code(default.name)}"
            call = f"`{default.ours}`" + (f"<br>⚠ {default.fault}" if default.fault else "")
            rows.append(["" if who == seen else who, _code(default.parameter), _law(default), call])
            seen = who
        parts.append(f"### {layer} {{ #{_anchor(layer)} }}\n\nSizes: {sizes}.\n")
        parts.append(_table(columns, rows) + "\n")
    return "\n".join(parts)


def versions() -> str:
    """Return the frameworks with the versions that the tests run against."""
    text = _CONSTRAINTS.read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    named = [f"{name} {pinned[package]}" for name, package in _PACKAGES.items()]
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _law(default: "Default") -> str:
    """Return the law on one line: it says little when broken in two."""
    return str(default.distribution).replace(" ", "&nbsp;").replace("/", "/&NoBreak;")


def _code(names: str) -> str:
    """Return the names of code as code, and words after a comma as words."""
    return ", ".join(
        f"`{name}`" if re.fullmatch(r"\S+", name) else name for name in names.split(", ")
    )


def _anchor(layer: str) -> str:
    return f"defaults-{layer.lower().replace(' ', '-')}"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, [":--"] * len(columns), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f'<div class="defaults" markdown>\n\n{table}\n\n</div>'
