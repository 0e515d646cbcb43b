"""The pages and examples: MkDocs runs their code, and shows the figures and the printed text.

All of them run before the first is rendered, so one build reports the errors of all of them. What
ran without an error is kept (see `cache.py`): prose may change, and nothing has to run again.
Under `mkdocs serve` nothing waits for a run: see `serving.py`.

mkdocs-jupyter makes pages of the scripts in `docs/examples`, and that is kept. Its rendering is
not: it leaves math, references and relative links raw, and puts its stylesheet into each page. So
each script becomes ordinary Markdown here, before MkDocs reads it.
"""

import logging
import re
import textwrap
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

import cache
import claims
import fences
import figures
import notebooks
import runner
import serving
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url
from mkdocs.utils.meta import get_data
from steps import Output, Problem, Run, Step

log = logging.getLogger("mkdocs.hooks.pages")

_woven: dict[str, str] = {}


class Source(NamedTuple):
    """A page or an example: MkDocs's file, its path, its Markdown in parts, and its jobs.

    The generated blocks load every method, so they have a separate job: an edit of a method does
    not run the code of every page again.
    """

    file: File
    path: str
    parts: list[fences.Part]
    code: runner.Job | None
    generated: runner.Job | None


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Run every page and example, and add their figures and downloads to the site."""
    _woven.clear()
    now = cache.hashes()
    known_claims = claims.jobs()
    sources = [
        source
        for file in list(files.documentation_pages())
        if (source := _source(file, known_claims))
    ]
    owners = {
        job: source
        for source in sources
        for job in (source.generated, source.code)
        if job is not None
    }
    jobs = list(owners)
    needed = {name for job in jobs for name in job.needs}
    jobs = [job for job in known_claims if job.name in needed] + jobs
    if serving.is_on():
        runs = serving.runs(jobs, {job.name: s.file.url for job, s in owners.items()}, now)
    else:
        runs = _run(jobs, now)
    for name, run in runs.items():
        if run and run.problems and name.startswith(claims.FOLDER.as_posix()):
            log.error("%s: the claim's experiment must run: %s", name, run.problems[0].message)
    for source in sources:
        given = [
            runs[job.name] if job is not None else Run([], [])
            for job in (source.code, source.generated)
        ]
        _show(source, given, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Give the page with its outputs in place of the page as written."""
    woven = _woven.get(page.file.src_uri)
    return markdown if woven is None else get_data(woven)[0]


def _source(file: File, known_claims: list[runner.Job]) -> Source | None:
    """Return the source of a page; None if the page is not ours."""
    is_script = file.src_uri.endswith(".py")
    if not is_script and not file.src_uri.endswith(".md"):
        return None
    name = f"docs/{file.src_uri}"
    try:
        text = notebooks.markdown(file.content_string) if is_script else file.content_string
        parts = fences.parse(text)
        if get_data(text)[1].get("code") == "tested":
            parts = fences.without_steps(parts)
    except ValueError as error:
        log.error("%s:1: %s", name, error)
        if is_script:
            file.content_string = f"# {file.name}\n"
        return None
    needs = claims.needed_by(text, known_claims)
    steps = fences.steps(parts)
    code = [step for step in steps if step.kind != "generated"]
    generated = [step for step in steps if step.kind == "generated"]
    return Source(
        file,
        name,
        parts,
        _job(name, name, code, needs),
        _job(f"{name}, generated", name, generated, needs),
    )


def _job(name: str, path: str, steps: list[Step], needs: tuple[str, ...]) -> runner.Job | None:
    if not steps:
        return None
    # The steps' lines do not decide the result, and they change with the prose.
    asks = repr([(step.kind, step.source) for step in steps])
    return runner.Job(name, "steps", (path, tuple(steps)), asks, needs, steps[0].line)


def _outputs(source: Source, given: list[Run | None]) -> list[Output]:
    """Return the outputs of all steps in the page's order, up to the first that failed."""
    runs = [run for run in given if run is not None]
    if len(runs) < len(given):
        return fences.placeholders(source.parts, serving.message())
    code, generated = (iter(run.outputs) for run in runs)
    outputs: list[Output] = []
    for step in fences.steps(source.parts):
        output = next(generated if step.kind == "generated" else code, None)
        if output is None:
            break
        outputs.append(output)
    return outputs


def _run(jobs: list[runner.Job], now: cache.Hashes) -> dict[str, Run]:
    """Return the results of the jobs, from the cache or from a run."""
    runs = {job.name: run for job in jobs if (run := runner.known(job, now))}
    records = claims.records(now)

    def ran(job: runner.Job, run: Run) -> None:
        runs[job.name] = run
        if job.function == "claim":
            claims.keep(run, records)

    workers = runner.Workers(ran)
    workers.want((job for job in jobs if job.name not in runs), records)
    workers.wait()
    return runs


def _show(source: Source, given: list[Run | None], files: Files, config: MkDocsConfig) -> None:
    """Put the results into the page; None is a run that has not ended yet."""
    file, parts = source.file, source.parts
    outputs = _outputs(source, given)
    page = fences.weave(parts, outputs, *_names(file))
    found = [*(problem for run in given if run for problem in run.problems), *page.problems]
    problems = [_placed(source, problem) for problem in sorted(found)]
    for problem in problems:
        log.error("%s", problem)
    for figure, svg in page.figures.items():
        for theme, variant in zip(("light", "dark"), figures.variants(svg), strict=True):
            _add(files, config, f"assets/figures/{figure}.{theme}.svg", variant)
    markdown = _with_problems(page.markdown, problems)
    if not file.src_uri.endswith(".py"):
        _woven[file.src_uri] = markdown
        return
    folder = PurePosixPath(file.src_uri).with_suffix("")
    _add(files, config, f"{folder}/{folder.name}.py", notebooks.script(parts, outputs))
    _add(files, config, f"{folder}/{folder.name}.ipynb", notebooks.ipynb(parts, outputs))
    # A fold is on the line of the blank one above its cell, so that no line moves before the run.
    markdown = re.sub(r"(?<=\S)\n(?=\?\?\? )", "\n\n", markdown)
    # Content of its own takes the file out of mkdocs-jupyter's hands.
    file.content_string = _with_downloads(markdown.lstrip("\n"), folder.name)


def _names(file: File) -> tuple[str, str]:
    """Return the name of a page's figures, and the way from the page to the site's root."""
    name = str(PurePosixPath(file.src_uri).with_suffix("")).replace("/", "-")
    return name, get_relative_url(".", file.url).rstrip("/") + "/"


def _add(files: Files, config: MkDocsConfig, uri: str, content: str) -> None:
    files.append(File.generated(config, uri, content=content))


def _placed(source: Source, problem: Problem) -> str:
    path = cache.ROOT / source.path
    lines = path.read_text(encoding="utf-8").splitlines()
    text = lines[problem.line - 1].strip() if 0 < problem.line <= len(lines) else ""
    return f"{source.path}:{problem.line}: {problem.message}\n    {text}"


def _with_problems(markdown: str, problems: Iterable[str]) -> str:
    """Put the problems at the page's end, for whoever reads it under `mkdocs serve`."""
    shown = textwrap.indent("\n".join(problems), "        ")
    if not shown:
        return markdown
    return f'{markdown}\n\n!!! failure "The code of this page failed"\n\n{shown}\n'


def _with_downloads(markdown: str, name: str) -> str:
    """Put the links below the title and the paragraph that sums the page up."""
    links = " · ".join(
        f'[{label}]({name}/{name}.{suffix}){{ download="{name}.{suffix}" }}'
        for label, suffix in (("notebook with outputs", "ipynb"), ("script", "py"))
    )
    title, _, rest = markdown.partition("\n\n")
    summary, _, rest = rest.partition("\n\n")
    return f"{title}\n\n{summary}\n\nDownload: {links}\n\n{rest}"
