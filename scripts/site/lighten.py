"""The finished pages: lighter by what nobody sees, their tables for keyboard and ear."""

import re

_VERBATIM = re.compile(r"(<(pre|textarea|script)\b.*?</\2>)", re.DOTALL)
# Names and punctuation have the colour of plain code, and are most of a block's spans.
_PLAIN = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>|<span></span>')
# Cells stand at the left anyway; MathML in HTML needs no namespace, and its TeX is for no reader.
_SAID_TWICE = re.compile(
    r' style="text-align: left;"(?=>)| xmlns="http://www.w3.org/1998/Math/MathML"(?=[^<]*>)'
    r"|<annotation encoding=\"application/x-tex\">[^<]*</annotation>|</?semantics>"
)
# A wide table scrolls in its box. The theme's script makes such a box too, when the page is read
# already, and what follows would jump; in ours it changes nothing.
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)


def on_post_page(output: str, **_: object) -> str:
    """Return the page without runs of white space and without spans that change nothing."""
    pieces = _VERBATIM.split(output)
    # A split on two groups: text, verbatim, its tag, text, …
    pieces[::3] = [re.sub(r"\s*\n\s*", "\n", text) for text in pieces[::3]]
    del pieces[2::3]
    light = _SAID_TWICE.sub("", _PLAIN.sub(r"\1", "".join(pieces)))
    # A head without a word heads nothing.
    light = light.replace("<th></th>", "<td></td>")
    return _TABLE.sub(r'<div class="table" tabindex="0">\g<0></div>', light)
