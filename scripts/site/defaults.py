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
    from initguide.frameworks import DEFAULTS, LAYERS

    frameworks = list(dict.fromkeys(default.framework for default in DEFAULTS))
    rows = [
        [f"[{layer}](#{_anchor(layer)})"]
        + [
            "<br>".join(
                dict.fromkeys(
                    f"{default.law}{' ⚠' if default.fault else ''}"
                    for default in DEFAULTS
                    if (default.framework, default.layer) == (framework, layer)
                    and default.law.kind not in ("constant", "forget gate")
                    and "bias" not in (default.parameter, default.parameter[:4])
                )
            )
            or "none"
            for framework in frameworks
        ]
        for layer in LAYERS
        if layer != "Normalization"
    ]
    return _table(["layer", *frameworks], rows)


def layers() -> str:
    """Return a heading and a table for each layer: every parameter, its law, our call."""
    from initguide.frameworks import DEFAULTS, LAYERS

    columns = ["framework, class", "parameter", "law", "the same by initguide"]
    parts = []
    for layer, sizes in LAYERS.items():
        rows, seen = [], None
        for default in (default for default in DEFAULTS if default.layer == layer):
            who = f"{default.framework}: {_code(default.name)}"
            rows.append(
                ["" if who == seen else who, _code(default.parameter), _law(default)]
                + [f"`{default.ours}`"]
            )
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
    return f"{default.law}{f'<br>⚠ {default.fault}' if default.fault else ''}"


def _code(names: str) -> str:
    """Return the names of code as code, and words after a comma as words."""
    return ", ".join(
        f"`{name}`" if re.fullmatch(r"\S+", name) else name for name in names.split(", ")
    )


def _anchor(layer: str) -> str:
    return f"defaults-{layer.lower().replace(' ', '-')}"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, [":--"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
