"""What is kept of a page's rendering is what MkDocs would make again."""

import shutil
from pathlib import Path

import pytest
import sites

MODULES = ("pages", "places", "glossary", "references", "page_blocks", "rendering")
FILES = {
    "initguide/sub.py": '"""A module."""\n\n\ndef other() -> int:\n    """Return it."""\n',
    "initguide/__init__.py": '"""A small package."""\n\nfrom initguide.sub import other as other'
    "\n\n\ndef answer(x: int = 1) -> int:\n"
    '    """Return the answer. See [answer][initguide.answer].\n\n    Args:\n        x: Unused.\n'
    '    """\n    return 41\n\n\ndef third() -> int:\n    """Return three."""\n',
    "docs/index.md": "# Home\n\nOf fan_in: [api](api.md#initguide.answer), "
    "[`answer`][initguide.answer], [there](guide/a.md#there).\n\n```python\nx = 1\n```\n",
    # The second page lists under its own name what the first lists under another one too.
    "docs/api.md": "# API\n\n::: initguide.answer\n\n::: initguide.other\n",
    "docs/modules.md": "# Modules\n\n::: initguide.sub\n    options:\n      members: true\n",
    "docs/tabs.md": '# Tabs\n\n=== "One"\n\n    ::: initguide.third\n',
    "docs/guide/a.md": "---\nsearch:\n  boost: 2\n---\n# A\n\n## There\n\n[home](../index.md)\n",
    "docs/glossary.md": "# Glossary\n\nfan_in\n:   What a unit sums over.\n",
}


FAILS = """
import markdown
import material.plugins.search.plugin as search


def fail(*args, **kwargs):
    raise RuntimeError("a page was rendered")


markdown.Markdown.convert = search.Parser.feed = fail
"""


def everything(root: Path) -> dict[str, bytes]:
    """Return the site's files but for those that hold the time of the build."""
    found = {p.relative_to(root / "site").as_posix(): p for p in (root / "site").rglob("*.*")}
    timed = ("sitemap.xml", "sitemap.xml.gz")
    return {name: p.read_bytes() for name, p in found.items() if p.is_file() and name not in timed}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    root = sites.make(tmp_path_factory.mktemp("rendered"), FILES, modules=MODULES)
    code, log = sites.build(root)
    assert code == 0, log
    return root, everything(root)


def test_a_warm_build_is_the_same_to_the_byte_and_renders_nothing(built):
    root, first = built
    assert b'title="What a unit sums over."' in first["index.html"]
    assert b'href="api/#initguide.answer"' in first["index.html"]
    assert b"initguide.answer" in first["search/search_index.json"]
    assert "objects.inv" in first
    # From now on, rendering a page or reading it for the search fails.
    sites.write(root, {"absent/sitecustomize.py": FAILS})
    shutil.rmtree(root / "site")
    code, log = sites.build(root)
    (root / "absent/sitecustomize.py").unlink()
    assert code == 0, log
    assert everything(root) == first


def test_only_what_depends_on_an_edit_is_rendered_again(built):
    root, first = built
    changed = {**FILES, "initguide/__init__.py": FILES["initguide/__init__.py"].replace("41", "7")}
    changed["initguide/__init__.py"] = changed["initguide/__init__.py"].replace("three", "trois")
    changed["docs/guide/a.md"] = FILES["docs/guide/a.md"].replace("## There", "## Where {#there}")
    changed["docs/glossary.md"] = FILES["docs/glossary.md"].replace("sums", "adds")
    sites.write(root, changed)
    assert sites.build(root)[0] == 0
    warm = everything(root)
    assert b"Where" in warm["guide/a/index.html"]
    assert b'title="What a unit adds over."' in warm["index.html"]
    for name in (".cache", "site"):
        shutil.rmtree(root / name)
    assert sites.build(root)[0] == 0
    assert everything(root) == warm
    assert warm != first


def test_a_warning_is_given_again(built):
    root, _ = built
    sites.write(root, {**FILES, "docs/guide/a.md": "# A\n\n[gone](gone.md)\n"})
    for _ in range(2):
        code, log = sites.build(root)
        assert code == 1
        assert "docs/guide/a.md:3: Doc file 'guide/a.md' contains a link 'gone.md'" in log
    # The page that links to what is gone now is itself unchanged.
    assert "docs/index.md:3: Doc file 'index.md' contains a link 'guide/a.md#there'" in log
