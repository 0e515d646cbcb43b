"""Nothing is left out: pages in the navigation, names in the API, methods on pages, commands."""

import ast
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from blocks import python_blocks

import initguide as init

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGES = [
    "initguide",
    "initguide.experiments",
    "initguide.experiments.claims",
    "initguide.frameworks",
    "initguide.plotting",
]


def navigation() -> list[str]:
    """Return the paths in mkdocs.yml's nav, in order; the tags of other settings mean nothing."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("", lambda *_: None)
    entries = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"]
    paths = []
    while entries:
        match entries.pop(0):
            case str(path):
                paths.append(path)
            case dict(named):
                entries[:0] = [
                    e for v in named.values() for e in (v if isinstance(v, list) else [v])
                ]
    return paths


def public_names(package: str) -> list[str]:
    """Return what a package's `__init__.pyi` exports as `from … import x as x`."""
    path = ROOT / package.replace(".", "/") / "__init__.pyi"
    imports = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    aliases = [
        alias for node in imports if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    names = [alias.asname for alias in aliases if alias.asname == alias.name]
    return [name for name in names if not name.startswith("_")]


def documented() -> list[tuple[str, object]]:
    """Return name and object of each `:::` directive of the API pages."""
    pages = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.glob("api/**/*.md"))
    found = []
    for path in re.findall(r"^ *::: +([\w.]+) *$", pages, re.MULTILINE):
        module, _, name = path.rpartition(".")
        found.append((name, getattr(importlib.import_module(module), name)))
    return found


def test_every_page_is_in_the_navigation_once():
    pages = {p.relative_to(DOCS).as_posix() for p in (*DOCS.rglob("*.md"), *DOCS.rglob("*.py"))}
    listed = Counter(navigation())
    assert pages - listed.keys() == set()
    assert [path for path, times in listed.items() if times > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_on_the_api_pages_once(package):
    names = public_names(package)
    assert names
    module = importlib.import_module(package)
    entries = documented()
    times = {n: sum(n == m and getattr(module, n) is o for m, o in entries) for n in names}
    assert {name: count for name, count in times.items() if count != 1} == {}


def test_the_landing_page_of_the_api_lists_every_function_and_class():
    tables = re.findall(r"generated: names (.*?) -->", (DOCS / "api" / "index.md").read_text())
    listed = {name.rpartition(".")[-1] for name in re.split(r"[ /]", " ".join(tables))}
    needed = {name for name in public_names("initguide") if callable(getattr(init, name))}
    assert needed - listed == {"Method", "Paper"}


@pytest.mark.parametrize("method", init.METHODS, ids=lambda method: method.names[0])
def test_every_method_has_a_page_that_uses_it(method):
    assert method.page in navigation()
    code = "\n".join(line for block in python_blocks(DOCS / method.page) for line in block.lines)
    for name in method.names:
        assert re.search(rf"\b{name}\b", code), f"{method.page} must use {name} in a code block"


def test_every_command_in_the_readme_is_a_target_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    commands = re.findall(r"\bmake ([a-z][\w-]*)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"serve", "test"} <= set(commands)
    assert set(commands) <= targets
