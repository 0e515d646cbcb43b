"""Code blocks with a copy button that leaves printed output out, and tables in a scrolling box."""

import re
from itertools import count, groupby

import pieces
import printed
from jinja2 import Environment
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_CODE = re.compile(
    r"<pre(?P<pre>[^>]*)>(?:<span></span>)?<code(?P<code>[^>]*)>(?P<text>.*?)</code></pre>",
    re.DOTALL,
)
_BUTTON = (
    '<pre{pre}><span class="md-code__nav"><button class="md-code__button" title="Copy to clipboard"'
    ' data-md-type="copy" data-clipboard-target="#{name}"></button></span>'
    '<code id="{name}"{code}>{text}</code></pre>'
)
# Names, operators and punctuation have the colour of the block, and are most of its spans.
_PLAIN = re.compile(r'<span class="[nopw]">([^<]*)</span>')
_EMPTY_HEAD = re.compile(r"<th(| [^>]*)></th>")
# The theme names the list of a section after a label that is empty if the section has a page of its
# own. The title of the list is the name in all sections.
_SECTION = re.compile(
    r'aria-labelledby="\w+"( aria-expanded="\w+">\s*<label class="md-nav__title") for="(\w+)"'
)
_SOURCE = re.compile(r'<details class="mkdocstrings-source".*?</details>', re.DOTALL)
# What a function's source does not need: line numbers, and the docstring, which the page shows
# above it.
_SPARE = re.compile(
    r'<td class="linenos">.*?</td>|(?:<span class="sd">[^<]*</span>\n?)+', re.DOTALL
)
# The two images of a figure, one for each scheme.
_SCHEMES = re.compile(r'<img [^>]*?src="([^"#]+)#only-(light|dark)"')
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)


def on_env(env: Environment, config: MkDocsConfig, files: Files) -> None:
    """Leave out the lines of a template that hold only a tag: they are a tenth of a page."""
    env.trim_blocks = env.lstrip_blocks = True


def on_page_content(html: str, **_: object) -> str:
    """Return the page with a copy button on each code block, and each table in a box."""
    return boxed(with_buttons(_SOURCE.sub(_short, html)))


def on_page_context(context: dict, page: Page, **_: object) -> dict:
    """Tell the template which figure is in sight at once: the first one, if no heading is above it.

    A figure loads when the page is laid out, unless the page's head asks for it.
    """
    above = (page.content or "").partition("<h2")[0]
    context["figure_in_sight"] = _SCHEMES.findall(above)[:2]
    return context


def on_post_page(output: str, **_: object) -> str:
    """Return the page with a name for each list of its navigation."""
    return _SECTION.sub(r'aria-labelledby="\2_title"\1 id="\2_title" for="\2"', output)


def _short(source: re.Match[str]) -> str:
    """Return a function's source, short and hidden from the search.

    The search finds a function by its description; the words of its code would hide that.
    """
    return _SPARE.sub("", source[0]).replace("<details", "<details data-search-exclude", 1)


def with_buttons(html: str) -> str:
    """Return the page with a copy button on each code block.

    The theme has such buttons, but it puts each in a landmark without a name. Its script answers a
    click on any element with `data-clipboard-target`: it copies the block's visible text, and sets
    `data-md-copying` while it reads that text. The stylesheet hides the output for that moment.
    """
    numbers = count(1)

    def with_button(found: re.Match[str]) -> str:
        name = f"code-{next(numbers)}"
        text = marked(_PLAIN.sub(r"\1", found["text"]))
        return _BUTTON.format(**{**found.groupdict(), "name": name, "text": text})

    return _CODE.sub(with_button, html)


def marked(block: str) -> str:
    """Return a highlighted block with its output marked; Pygments closes every span in its line."""
    shown = printed.lines(pieces.text(block))
    if not shown:
        return block
    numbered = enumerate(block.splitlines(keepends=True), 1)
    runs = groupby(numbered, key=lambda item: item[0] in shown)
    texts = [(output, "".join(line for _, line in run)) for output, run in runs]
    return "".join(
        f'<span class="output">{text}</span>' if output else text for output, text in texts
    )


def boxed(html: str) -> str:
    """Return the page with each table in a box that scrolls and that the keyboard reaches.

    The theme's script makes such a box too, but only when the page is drawn already, and what
    follows the table would move. A head without a word is no head for those who hear the page.
    """
    # Cells are aligned to the left anyway.
    html = html.replace(' style="text-align: left;"', "")
    html = _EMPTY_HEAD.sub(r"<td\1></td>", html)
    return _TABLE.sub(r'<div class="table" tabindex="0">\g<0></div>', html)
