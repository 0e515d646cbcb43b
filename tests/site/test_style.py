"""The joined stylesheet and script: nothing that a part asks for is lost by the move."""

import re
from pathlib import Path

import pytest
import style


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("src:url(fonts/A.woff2)", "src:url(katex/fonts/A.woff2)"),
        ('src: url("fonts/A.woff2")', 'src: url("katex/fonts/A.woff2")'),
        ("a{b:url(data:x)}", "a{b:url(data:x)}"),
        ("a{b:url(/c.png)}", "a{b:url(/c.png)}"),
        ("a{clip-path:url(#c)}", "a{clip-path:url(#c)}"),
    ],
)
def test_a_relative_address_moves_with_its_stylesheet(rule: str, expected: str):
    assert style.moved(rule, "assets/katex/katex.min.css") == expected


def test_every_font_of_the_joined_stylesheet_exists(site: Path):
    sheet = site / style.SHEET
    asked = set(re.findall(r"url\([\"']?([^\"')]+\.woff2)", sheet.read_text()))
    assert len(asked) > 20
    assert [name for name in asked if not (sheet.parent / name).is_file()] == []


def test_every_part_is_in_the_joined_files(site: Path):
    sheet = (site / style.SHEET).read_text()
    parts = (".katex", ".pg-verdict", ".doors", ".md-header")
    assert [part for part in parts if part not in sheet] == []
    script = (site / style.SCRIPT).read_text()
    (theme,) = site.glob("assets/javascripts/bundle.*.min.js")
    # Ours run first: see docs/assets/search.js.
    assert 0 < script.index("search_index.json") < script.index(theme.read_text()[:200])
