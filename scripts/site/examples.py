"""The examples: percent scripts that mkdocs-jupyter lists as pages, run and rendered soundly.

mkdocs-jupyter 0.26.3 makes pages of the scripts, and that is kept. Its rendering is not: it caches
on the notebook's text alone, leaves math, references and relative links raw, and inlines its
stylesheet. So each script is run here, and becomes ordinary Markdown before MkDocs reads it.
"""

import logging
from pathlib import Path, PurePosixPath

import cache
import export
import figures
import notebooks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url

log = logging.getLogger("mkdocs.hooks.examples")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give each script that mkdocs-jupyter made a page of (so: after it) its Markdown."""
    scripts = [file for file in files if file.is_documentation_page() and _is_script(file)]
    parsed: dict[File, list[notebooks.Cell]] = {}
    for file in scripts:
        try:
            parsed[file] = notebooks.read(Path(file.abs_src_path or ""))
        except ValueError as error:
            _report(file, notebooks.Problem(1, str(error)), config)
            file.content_string = f"# {file.name}\n"
    for (file, cells), run in zip(parsed.items(), _runs(list(parsed.values())), strict=True):
        _fill(file, cells, run, files, config)
    return files


def _is_script(file: File) -> bool:
    return file.src_uri.endswith(".py")


def _runs(parsed: list[list[notebooks.Cell]]) -> list[notebooks.Run]:
    """Run what is not in the cache; an error is never stored."""
    keys = [_key(cells) for cells in parsed]
    runs = {key: cached for key in keys if isinstance(cached := cache.load(key), notebooks.Run)}
    missing = {key: cells for key, cells in zip(keys, parsed, strict=True) if key not in runs}
    for key, run in zip(missing, notebooks.run_all(list(missing.values())), strict=True):
        runs[key] = run
        # The package may have been edited while the example ran.
        if run.problem is None and _key(missing[key]) == key:
            cache.store(key, run)
    return [runs[key] for key in keys]


def _key(cells: list[notebooks.Cell]) -> str:
    return cache.key("example", *(cell.source for cell in notebooks.code(cells)))


def _fill(
    file: File, cells: list[notebooks.Cell], run: notebooks.Run, files: Files, config: MkDocsConfig
) -> None:
    name = file.src_uri.removesuffix(".py").replace("/", "-")
    page = export.page(cells, run, name, get_relative_url(".", file.url).rstrip("/") + "/")
    for problem in page.problems:
        _report(file, problem, config)
    for figure, svg in page.figures.items():
        for theme, variant in zip(("light", "dark"), figures.variants(svg), strict=True):
            _add(files, config, f"assets/figures/{figure}.{theme}.svg", variant)
    script = file.content_string
    folder = PurePosixPath(file.src_uri).with_suffix("")
    _add(files, config, f"{folder}/{folder.name}.py", script)
    _add(files, config, f"{folder}/{folder.name}.ipynb", export.ipynb(cells, run))
    # Content of its own takes the file out of mkdocs-jupyter's hands.
    file.content_string = _with_downloads(page.markdown, folder.name)


def _add(files: Files, config: MkDocsConfig, uri: str, content: str) -> None:
    files.append(File.generated(config, uri, content=content))


def _with_downloads(markdown: str, name: str) -> str:
    """Put the links below the title and the paragraph that sums the page up."""
    links = " · ".join(
        f'[{label}]({name}/{name}.{suffix}){{ download="{name}.{suffix}" }}'
        for label, suffix in (("notebook with outputs", "ipynb"), ("script", "py"))
    )
    title, _, rest = markdown.partition("\n\n")
    summary, _, rest = rest.partition("\n\n")
    return f"{title}\n\n{summary}\n\nDownload: {links}\n\n{rest}"


def _report(file: File, problem: notebooks.Problem, config: MkDocsConfig) -> None:
    path = Path(config.docs_dir, file.src_uri)
    shown = path.relative_to(Path(config.config_file_path).parent)
    lines = path.read_text(encoding="utf-8").splitlines()
    source = lines[problem.line - 1].strip() if 0 < problem.line <= len(lines) else ""
    log.error("%s:%d: %s\n    %s", shown.as_posix(), problem.line, problem.message, source)
