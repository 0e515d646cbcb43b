"""Landmarks that those who hear the page can tell apart: the theme leaves some without a name."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

# It names a section by the label that opens it; where the section has a page of its own, that is
# an arrow. The section's title stands in its list.
_SECTION = re.compile(
    r'aria-labelledby="__nav_\w+"([^>]*>\s*<label class="md-nav__title"[^>]*>'
    r'\s*<span class="md-nav__icon md-icon"></span>\s*([^<]*?)\s*</label>)'
)
_BUTTONS = '("nav",{class:"md-code__nav"})'


def on_post_page(output: str, **_: object) -> str:
    """Return the page with its sections' lists named by their titles."""
    return _SECTION.sub(r'aria-label="\2"\1', output)


def on_post_build(config: MkDocsConfig) -> None:
    """Make the box of a code block's copy button no landmark: a page has many."""
    script = next(Path(config.site_dir).glob("assets/javascripts/bundle.*.js"))
    text = script.read_text(encoding="utf-8")
    if text.count(_BUTTONS) != 1:
        raise ValueError(f"the theme's script must hold {_BUTTONS} once; got {script.name}")
    script.write_text(text.replace(_BUTTONS, _BUTTONS.replace("nav", "div", 1)), encoding="utf-8")
