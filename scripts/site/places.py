"""Where a broken link stands: MkDocs and mkdocs-autorefs name the page, and this adds the line."""

import logging
import re
from pathlib import Path

import rendering
import serving
from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parents[2]
_LOGGERS = ("mkdocs.structure.pages", "mkdocs.plugins.mkdocs_autorefs._internal.plugin")
_COMPLAINT = re.compile(
    r"Doc file '(?P<page>[^']+)' contains [^']*'(?P<link>[^']+)'"
    r"|(?P<in>\S+\.(?:md|py)): Could not find cross-reference target '(?P<target>[^']+)'"
)


def on_config(config: MkDocsConfig) -> None:
    """Have each complaint about a link begin with `docs/page.md:LINE:`."""
    for name in _LOGGERS:
        # The same function again is not added twice, so rebuilds under `mkdocs serve` do no harm.
        logging.getLogger(name).addFilter(_add_place)


def _may_be_found_later(message: str) -> bool:
    """Return whether a link may still find its target: on a page that runs or is rendered later."""
    waits = serving.is_running() or not rendering.is_complete()
    return waits and ("an anchor" in message or "cross-reference target" in message)


def _add_place(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if _may_be_found_later(message):
        return False
    if found := _COMPLAINT.search(message):
        page = Path("docs", found["page"] or found["in"])
        link = found["link"] or found["target"]
        as_written = re.compile(rf"[(\[`'\"]{re.escape(link)}[)\]`'\"\s]")
        for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
            if as_written.search(line):
                record.msg, record.args = f"{page.as_posix()}:{number}: {message}", ()
                break
    return True
