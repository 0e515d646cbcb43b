"""The site's plugin: the stages that MkDocs runs at each of its events, in their order.

MkDocs loads this file as a hook, so its stages come after those of the plugins in `mkdocs.yml`.
One event needs more than that, and says why.
"""

from collections.abc import Callable

import formulas
import glossary
import minutes
import not_found
import page_blocks
import pages
import places
import playground
import policy
import printing
import redirects
import references
import rendering
import script_data
import search_words
import serving
import style
import take_home
from mkdocs.plugins import CombinedEvent, event_priority


def _last(stage: Callable) -> Callable:
    """Run a stage after the stages of all plugins."""
    return event_priority(-100)(stage)


STAGES: dict[str, tuple[Callable, ...]] = {
    "on_startup": (serving.on_startup, policy.on_startup),
    "on_config": (style.on_config, formulas.on_config, places.on_config, printing.on_config),
    # mkdocs-jupyter has made pages of the examples' scripts by now. What the first two
    # run under `mkdocs serve`, they run with the pages.
    "on_files": (
        playground.on_files,
        script_data.on_files,
        pages.on_files,
        style.on_files,
        formulas.on_files,
        glossary.on_files,
        rendering.on_files,
    ),
    "on_nav": (take_home.on_nav,),
    # The reading time and the downloads are those of the page with its outputs.
    "on_page_markdown": (
        search_words.on_page_markdown,
        pages.on_page_markdown,
        minutes.on_page_markdown,
        take_home.on_page_markdown,
        rendering.on_page_markdown,
    ),
    "on_page_content": (
        rendering.content(
            page_blocks.on_page_content,
            references.on_page_content,
            glossary.on_page_content,
        ),
    ),
    # mkdocs-autorefs resolves references at this event, with priority -50, and writes titles into
    # links. The bibliography lists titles as the pages have them, so it comes before the formulas.
    "on_env": (page_blocks.on_env, _last(references.on_env), _last(formulas.on_env)),
    # The search has read the page's plain text by now. The description takes that text too; the
    # printed page needs the formulas.
    "on_page_context": (
        take_home.on_page_context,
        formulas.on_page_context,
        page_blocks.on_page_context,
        printing.on_page_context,
    ),
    "on_post_page": (page_blocks.on_post_page, playground.on_post_page),
    # The policy reads every page that the others have written.
    "on_post_build": (
        style.on_post_build,
        printing.on_post_build,
        take_home.on_post_build,
        playground.on_post_build,
        not_found.on_post_build,
        redirects.on_post_build,
        policy.on_post_build,
        rendering.on_post_build,
    ),
    "on_serve": (serving.on_serve,),
    "on_shutdown": (serving.on_shutdown,),
}


def events(*modules: str) -> dict[str, CombinedEvent]:
    """Return what MkDocs calls at each event: the stages of the named modules, or all stages.

    The tests build small sites with a few of them.
    """
    return {
        event: CombinedEvent(*(f for f in stages if not modules or f.__module__ in modules))
        for event, stages in STAGES.items()
    }


globals().update(events())
