"""The examples' half of the site, on a small copy in which each fault can be planted."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import execute
import notebooks
import numpy as np
import pytest
import sites
from matplotlib.figure import Figure

CONFIG = """
site_name: Small
theme: {name: material, font: false}
strict: true
use_directory_urls: true
plugins:
  - mkdocs-jupyter: {include: ["examples/*.py"], execute: false, cache: false}
  - mkdocstrings: {handlers: {python: {paths: [.]}}}
markdown_extensions:
  - attr_list
  - admonition
  - pymdownx.details
  - pymdownx.blocks.html
  - pymdownx.superfences
  - pymdownx.arithmatex: {generic: true}
validation:
  nav: {omitted_files: warn, not_found: warn}
  links: {not_found: warn, anchors: warn, unrecognized_links: warn}
hooks: [stages.py]
"""

PACKAGE = '''"""A small package."""


def answer() -> int:
    """Return the answer."""
    return 41
'''

GOOD = """# %% [markdown]
# # A claim
#
# It holds: see [`answer`][initguide.answer] and [the start](../index.md). $\\sigma^2 = 2/n$
#
# !!! note
#
#     Boxes work.

# %%
import time

import matplotlib.pyplot as plt

import initguide

print("answer", initguide.answer())
print("ran", time.time_ns())

# %%
fig, ax = plt.subplots()
ax.plot([1, 2], [3, initguide.answer()])
ax.set_title("a title")

# %% [markdown]
# <!-- figure: A line goes up. -->
#
# ## Interpretation
#
# Lines go up.
"""

RAISES = """# %% [markdown]
# # Raises

# %%
def half(value):
    return 1 / value


# %%
print("fine")
half(0)
"""

UNCAPTIONED = """# %% [markdown]
# # No caption

# %%
import matplotlib.pyplot as plt

plt.plot([1, 2], label="a line that nobody can read without moving the code to the left")

# %% [markdown]
# <!-- table: Of nothing. -->
#
# [nowhere](missing.md)
"""


FOLDED = """# %% [markdown]
# # Folded
#
# Its summary.

# %% The code
value = 1

print("value", value)
"""


class Site:
    """A small site in a folder of its own, with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(
            sites.ROOT / "scripts/site",
            folder / "scripts/site",
            ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
        )
        self.write("mkdocs.yml", CONFIG)
        self.write("stages.py", sites.hook("pages", folder=folder / "scripts/site"))
        self.write("docs/index.md", "# Start\n\n[a claim](examples/good.py)\n\n::: initguide\n")
        self.write("docs/examples/good.py", GOOD)
        self.write("initguide/__init__.py", PACKAGE)

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    def built(self, path: str) -> str:
        return (self.folder / "site" / path).read_text(encoding="utf-8")

    def build(self) -> tuple[int, str]:
        environment = {
            **os.environ,
            "INITGUIDE_CACHE": str(self.folder / "cache"),
            "NO_MKDOCS_2_WARNING": "1",
            "PYTHONPATH": str(self.folder),
        }
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    def ran(self) -> str:
        found = re.search(r"ran (\d+)", self.built("examples/good/index.html"))
        assert found, "the page does not show what the cell printed"
        return found[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("small"))
    code, log = site.build()
    assert code == 0, log
    return site


def test_a_page_goes_through_the_ordinary_markdown(site: Site) -> None:
    html = site.built("examples/good/index.html")
    assert '<span class="arithmatex">' in html
    assert 'class="admonition note"' in html
    assert 'href="../../#initguide.answer"' in html
    assert re.search(r'<a href="\.\./\.\./?">the start</a>', html)
    assert "answer 41" in html
    assert len(html.encode()) < 150_000


def test_a_figure_is_two_files_that_the_page_shows(site: Site) -> None:
    html = site.built("examples/good/index.html")
    assert html.count("<img") == 2
    assert re.search(r"<figcaption>\s*<p>A line goes up.</p>\s*</figcaption>", html)
    assert html.count('alt="A line goes up."') == 2
    assert "&lt;!--" not in html
    for source in re.findall(r'<img[^>]*src="([^"#]+)', html):
        assert "<svg" in site.built(f"examples/good/{source}")
    assert "Text(" not in html, "an Artist's repr is shown"


def test_what_a_plot_returns_is_not_printed_below_its_figure() -> None:
    axes = Figure().subplots(2, 2)
    for drawn in (None, axes[0, 0], [axes[0, 0]], axes):
        assert execute._is_drawn(drawn)
    for said in (0, [], [0], np.zeros(2), np.zeros(0), "axes"):
        assert not execute._is_drawn(said)


def test_both_downloads_lie_next_to_the_page(site: Site) -> None:
    html = site.built("examples/good/index.html")
    for suffix in ("py", "ipynb"):
        assert f'href="good.{suffix}"' in html
    script = site.built("examples/good/good.py")
    assert script.startswith(
        "# %% [markdown]\n# # A claim\n#\n# It holds: see `answer` and the start."
    )
    assert GOOD.split("# %%\n")[1].rstrip() in script
    assert script.endswith("\nplt.show()\n")
    notebook = json.loads(site.built("examples/good/good.ipynb"))
    printed, drawn = (cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert "answer 41" in printed[0]["text"]
    assert "<svg" in drawn[0]["data"]["image/svg+xml"]
    prose = "".join(
        "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"
    )
    assert "see `answer` and the start." in prose
    assert "*A line goes up.*" in prose


def test_the_notebook_is_valid(site: Site) -> None:
    import nbformat

    nbformat.validate(json.loads(site.built("examples/good/good.ipynb")))


def test_a_fold_right_below_the_summary_keeps_all_of_its_code(site: Site) -> None:
    site.write("docs/examples/folded.py", FOLDED)
    code, log = site.build()
    assert code == 0, log
    summary, fold = site.built("examples/folded/index.html").split("<details", 1)
    assert summary.index("Its summary.") < summary.index("Download:")
    inside = re.sub("<[^>]+>", "", fold.partition("</details>")[0])
    assert re.search(r'The code\s+value = 1\s+print\("value", value\)', inside)
    assert "???" not in site.built("examples/folded/folded.py")
    site.remove("docs/examples/folded.py")


def test_only_code_and_the_package_make_it_run_again(site: Site) -> None:
    before = site.ran()
    figure = site.built("assets/figures/examples-good-1.light.svg")

    site.write("docs/examples/good.py", GOOD.replace("Lines go up.", "Lines rise."))
    assert site.build()[0] == 0
    assert "Lines rise." in site.built("examples/good/index.html")
    assert site.ran() == before

    site.write("initguide/__init__.py", PACKAGE.replace("41", "42"))
    assert site.build()[0] == 0
    assert "answer 42" in site.built("examples/good/index.html")
    assert site.ran() != before
    assert site.built("assets/figures/examples-good-1.light.svg") != figure


def test_every_fault_is_named_in_one_build(site: Site) -> None:
    site.write("docs/examples/raises.py", RAISES)
    site.write("docs/examples/uncaptioned.py", UNCAPTIONED)
    site.write("docs/examples/prose.py", "print('no cells')\n")
    code, log = site.build()
    assert code != 0
    assert "docs/examples/raises.py:6: ZeroDivisionError: division by zero" in log
    assert "return 1 / value" in log
    assert "docs/examples/uncaptioned.py:5: a figure needs a comment `<!-- figure: … -->`" in log
    assert "docs/examples/uncaptioned.py:7: a line of code must have at most 80" in log
    assert "docs/examples/uncaptioned.py:10: a table caption must stand right below" in log
    assert "'examples/uncaptioned.py' contains a link 'missing.md'" in log
    assert "docs/examples/prose.py:1: an example must open with" in log
    assert "good.py" not in log


def test_a_titled_cell_is_folded_and_no_line_moves():
    script = "# %% [markdown]\n# Text\n\n# %% The code\nx = 1\n\ny = 2\n\n# %%\nprint(x)\n"
    assert notebooks.markdown(script).splitlines()[1:] == [
        "Text",
        '??? code "The code"',
        "    ```python {cell}",
        "    x = 1",
        "",
        "    y = 2",
        "    ```",
        "```python {cell}",
        "print(x)",
        "```",
    ]
