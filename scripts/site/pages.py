"""The guide: MkDocs runs the python fences of its Markdown pages, and shows what they draw.

All pages run before the first is rendered, so one build reports the errors of all of them. What
ran without an error is kept (see cache.py): prose may change, and nothing has to run again.
"""

import logging
import textwrap

import cache
import fences
import figures
import runner
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url
from mkdocs.utils.meta import get_data

log = logging.getLogger("mkdocs.hooks.pages")

_woven: dict[str, str] = {}


def on_startup(command: str, dirty: bool) -> None:
    """Get ready for the first edit of code while the reader still reads."""
    if command == "serve":
        runner.start()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Run every page, and add the figures to the site."""
    _woven.clear()
    pages = [file for file in files.documentation_pages() if file.src_uri.endswith(".md")]
    parsed = {file.src_uri: fences.parse(file.content_string) for file in pages}
    runs = _runs({uri: fences.steps(parts) for uri, parts in parsed.items()})
    for file in pages:
        parts, run = parsed[file.src_uri], runs[file.src_uri] or runner.Run([], [])
        name = file.src_uri.removesuffix(".md").replace("/", "-")
        base = get_relative_url(".", file.url).rstrip("/") + "/"
        page = fences.weave(parts, run.outputs, name, base)
        problems = [_placed(file, problem) for problem in sorted([*run.problems, *page.problems])]
        for problem in problems:
            log.error("%s", problem)
        for figure, svg in page.figures.items():
            for theme, variant in zip(("light", "dark"), figures.variants(svg), strict=True):
                uri = f"assets/figures/{figure}.{theme}.svg"
                files.append(File.generated(config, uri, content=variant))
        _woven[file.src_uri] = _with_problems(page.markdown, problems)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Give the page with its outputs in place of the page as written."""
    woven = _woven.get(page.file.src_uri)
    return markdown if woven is None else get_data(woven)[0]


def _runs(pages: dict[str, list[fences.Step]]) -> dict[str, runner.Run | None]:
    """Run what is not in the cache; a run with a problem is never stored."""
    keys = {uri: _key(uri, steps) for uri, steps in pages.items()}
    runs = {uri: cache.load(key) for uri, key in keys.items()}
    missing = {uri: pages[uri] for uri, run in runs.items() if run is None and pages[uri]}
    for uri, run in runner.run_all(missing).items():
        runs[uri] = run
        # The package may have been edited while the page ran.
        if not run.problems and _key(uri, pages[uri]) == keys[uri]:
            cache.store(keys[uri], run)
    return runs


def _key(uri: str, steps: list[fences.Step]) -> str:
    return cache.key("page", uri, *(text for step in steps for text in (step.kind, step.source)))


def _placed(file: File, problem: fences.Problem) -> str:
    lines = file.content_string.splitlines()
    source = lines[problem.line - 1].strip() if 0 < problem.line <= len(lines) else ""
    return f"docs/{file.src_uri}:{problem.line}: {problem.message}\n    {source}"


def _with_problems(markdown: str, problems: list[str]) -> str:
    """Put the problems at the page's end, for whoever reads it under `mkdocs serve`."""
    if not problems:
        return markdown
    shown = textwrap.indent("\n".join(problems), "        ")
    return f'{markdown}\n\n!!! failure "The code of this page failed"\n\n{shown}\n'
