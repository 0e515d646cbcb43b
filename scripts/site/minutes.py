"""How long pages take to read, from what they hold: `<!-- minutes: guide/methods/*.md -->`."""

import logging
import re
from fnmatch import fnmatch

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.minutes")

# Slower than a novel: the text has formulas. Code is read line by line.
WORDS_A_MINUTE = 200
LINES_A_MINUTE = 30

_REQUEST = re.compile(r"<!-- minutes: (.+?) -->")
_FENCE = re.compile(r"^[ ]*```.*?\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace each request with the time that the named pages take together."""

    def answer(found: re.Match[str]) -> str:
        patterns = found[1].split()
        sources = {file.src_uri: file for file in files.documentation_pages()}
        if missing := [p for p in patterns if not any(fnmatch(uri, p) for uri in sources)]:
            log.warning("docs/%s: minutes must name pages; got %s", page.file.src_uri, missing)
        named = [uri for uri in sources if any(fnmatch(uri, p) for p in patterns)]
        return f"{total([sources[uri].content_string for uri in named])}\N{NO-BREAK SPACE}min"

    return _REQUEST.sub(answer, markdown)


def total(pages: list[str]) -> int:
    """Return the minutes that the pages take one after the other, at least one."""
    return max(1, round(sum(map(_minutes, pages))))


def _minutes(page: str) -> float:
    lines = sum(bool(line.strip()) for code in _FENCE.findall(page) for line in code.splitlines())
    text = re.sub(r"<!--.*?-->|\]\([^)]*\)", " ", _FENCE.sub("", page), flags=re.DOTALL)
    return len(_WORD.findall(text)) / WORDS_A_MINUTE + lines / LINES_A_MINUTE
