"""Copy buttons copy what can be pasted: printed output is marked, and the button leaves it out.

The theme copies a block's visible text and sets `data-md-copying` meanwhile; the stylesheet hides
what is marked for that moment.
"""

import re
from itertools import groupby

import pieces
import printed

_BLOCK = re.compile(r"(<pre[^>]*>(?:<span></span>)?<code[^>]*>)(.*?)(</code></pre>)", re.DOTALL)


def on_page_content(html: str, **_: object) -> str:
    """Return the page with its code blocks' output marked."""
    return _BLOCK.sub(lambda found: found[1] + marked(found[2]) + found[3], html)


def marked(block: str) -> str:
    """Return a highlighted block; pygments closes every span at the end of its line."""
    shown = printed.lines(pieces.text(block))
    if not shown:
        return block
    numbered = enumerate(block.splitlines(keepends=True), 1)
    runs = groupby(numbered, key=lambda item: item[0] in shown)
    texts = [(output, "".join(line for _, line in run)) for output, run in runs]
    return "".join(
        f'<span class="output">{text}</span>' if output else text for output, text in texts
    )
