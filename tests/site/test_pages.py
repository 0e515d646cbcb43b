"""The guide's half of the site: pages run, and each break planted in a small copy is found."""

import math
import re
import shutil
from pathlib import Path

import pytest
import records
import sites

from initguide.experiments.claims import Check, CheckResult

FIGURE = "fig, ax = plt.subplots()\nax.plot([1, 2])"


def fence(code: str, info: str = "python") -> str:
    return f"```{info}\n{code}\n```\n"


PACKAGE = '''
"""A small package."""

from pathlib import Path

VALUE = 1


def fail(x):
    """Fail. See [nothing][initguide.gone]."""
    raise ValueError(f"x must be 2; got {x}")


def count(name):
    """Note on disk that a page has run."""
    with Path(name).open("a") as file:
        file.write("ran\\n")
'''

BROKEN = {
    "initguide/__init__.py": PACKAGE,
    "docs/index.md": "# Home\n\nText.\n\n[x](nope.md), [y](guide/raises.md#nope), [z](#nope)\n",
    "docs/references.md": "# References\n\n[x][initguide.nope]\n\nSee [`nope_`][].\n",
    "docs/api.md": "# API\n\n::: initguide.fail\n",
    "docs/guide/raises.md": '# Raises\n\n=== "A tab"\n\n    ```python\n    import initguide\n\n'
    "    initguide.fail(\n        1,\n    )\n    ```\n",
    "docs/guide/syntax.md": "# Syntax\n\n" + fence("x = 1\nx = = 2"),
    "docs/guide/dies.md": "# Dies\n\n" + fence("import os\n\nos._exit(3)"),
    "docs/guide/prose.md": "# Prose\n\nThis is\n{{ undefined }}.\n",
    "docs/guide/warns.md": "# Warns\n\n" + fence("import warnings\n\nwarnings.warn('careful')"),
    "docs/guide/printed.md": "# Printed\n\n"
    + fence("print(1)\n#> 2\nprint(3)\nx = 4\n#> 4\nfor i in range(2):\n    print(i)\n    #> 0"),
    "docs/guide/figures.md": "# Figures\n\n"
    + fence(f"import matplotlib.pyplot as plt\n\n{FIGURE}")
    + "\nText between.\n\n<!-- figure: Too late. -->\n\n"
    + fence("x = 1")
    + "<!-- figure: Of nothing. -->\n",
    "docs/guide/tables.md": "# Tables\n\n"
    + fence("[{'a': 1}]")
    + "\n"
    + fence("x = 1")
    + "<!-- table: Of nothing. -->\n",
    "docs/guide/two.md": "# Two\n\n"
    + fence("import matplotlib.pyplot as plt\n\nplt.figure()\nplt.figure()")
    + "<!-- figure: Which? -->\n",
    "docs/guide/cut.md": "# Cut\n\n"
    + fence(f"import matplotlib.pyplot as plt\n\n{FIGURE}\nax.set_ylabel('a label ' * 10)")
    + "<!-- figure: A label longer than its axis. -->\n",
    "docs/guide/facts.md": "# Facts\n\n<!-- generated: fact sheet -->\n",
}

BREAKS = [
    # A fence that raises, and its relatives.
    "docs/guide/raises.md:8: ValueError: x must be 2; got 1\n    initguide.fail(",
    "docs/guide/syntax.md:5: SyntaxError: invalid syntax\n    x = = 2",
    "docs/guide/dies.md:4: the page's process died with exit code 3",
    "docs/guide/prose.md:4: NameError: name 'undefined' is not defined\n    {{ undefined }}.",
    "docs/guide/warns.md:6: UserWarning: careful\n    warnings.warn('careful')",
    # A wrong `#>`.
    "docs/guide/printed.md:5: the page says that this prints '2'; printed '1'\n    #> 2",
    "docs/guide/printed.md:6: what is printed must stand below as `#> …`; printed '3'",
    "docs/guide/printed.md:8: the page says that something is printed here; nothing was\n    #> 4",
    "docs/guide/printed.md:11: the page says that this prints '0'; printed "
    "\n    0\n    1\n\n    #> 0",
    # A figure or a table without its comment, and the other way round.
    "docs/guide/figures.md:4: a figure needs a comment `<!-- figure: … -->` right below its fence",
    "docs/guide/figures.md:12: a figure caption must stand right below the fence that gives one",
    "docs/guide/figures.md:17: a figure caption must stand right below the fence that gives one",
    "docs/guide/tables.md:4: a table needs a comment `<!-- table: … -->` right below its fence",
    "docs/guide/tables.md:10: a table caption must stand right below the fence that gives one",
    "docs/guide/cut.md:4: ValueError: a figure must hold all that it draws; got ",
    "docs/guide/two.md:4: ValueError: a fence must draw at most one figure; it drew 2",
    "docs/guide/facts.md:3: ValueError: a generated block must be 'facts TITLE', "
    "'names NAME ...' or one of 'overview', 'decisions', 'choices', 'bibliography', 'claims', "
    "'code bases', 'code base formulas', 'defaults overview', 'defaults', 'versions'; "
    "got 'fact sheet'",
    # A broken link, a broken anchor, a missing cross-reference.
    "docs/index.md:5: Doc file 'index.md' contains a link 'nope.md', but the target is not found",
    "docs/index.md:5: Doc file 'index.md' contains a link 'guide/raises.md#nope', but the doc "
    "'guide/raises.md' does not contain an anchor '#nope'",
    "docs/index.md:5: Doc file 'index.md' contains a link '#nope', but there is no such anchor",
    "docs/references.md:3: mkdocs_autorefs: references.md: Could not find cross-reference target "
    "'initguide.nope'",
    "docs/references.md:5: mkdocs_autorefs: references.md: Could not find cross-reference target "
    "'nope_'",
    "initguide/__init__.py:10: (initguide.fail) Could not find cross-reference target "
    "'initguide.gone'",
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the log of one build of a site in which everything is broken."""
    root = sites.make(tmp_path_factory.mktemp("broken"), BROKEN, modules=("pages", "places"))
    code, log = sites.build(root)
    assert (code, "in strict mode" in log) == (1, True), log
    return log


@pytest.mark.parametrize("message", BREAKS, ids=lambda message: message.split(": ")[0])
def test_a_break_is_found_with_page_and_line(log: str, message: str):
    assert message in log


def test_nothing_else_is_complained_about(log: str):
    assert len(re.findall(r"^(?:WARNING|ERROR) ", log, re.MULTILINE)) == len(BREAKS), log


WHOLE = {
    "initguide/__init__.py": PACKAGE,
    "docs/index.md": "# Home\n\n"
    + fence("import matplotlib.pyplot as plt\n\nimport initguide\n\ninitguide.count('index')")
    + "\nThe value is {{ initguide.VALUE / 8 }}, not `{{ VALUE }}` or $x^{{ 2 }}$.\n\n"
    + fence(FIGURE)
    + "<!-- figure: A line through {{ initguide.VALUE }}: $\\sigma < 1$. -->\n\n"
    + fence("[{'std_w': 0.5, 'note': None}]")
    + "<!-- table: One row. -->\n\n"
    + fence("exit(1)", 'python {test="skip"}'),
    "docs/guide/a.md": '# A\n\n=== "Tab"\n\n    ```python\n    import matplotlib.pyplot as plt\n\n'
    "    fig, ax = plt.subplots()\n    ax.hist([1, 2])\n    ```\n    <!-- figure: In a tab. -->\n",
    "docs/guide/b.md": "# B\n\n" + fence("import initguide\n\nprint(initguide.VALUE)\n#> 1"),
}


def figures_of(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "site/assets/figures").iterdir()}


def text_of(root: Path, page: str) -> str:
    return (root / "site" / page).read_text(encoding="utf-8")


def runs(root: Path) -> int:
    return len((root / "index").read_text().splitlines())


def test_pages_run_and_nothing_stale_is_shown(tmp_path: Path):
    root = sites.make(tmp_path, WHOLE)
    code, log = sites.build(root)
    assert code == 0, log
    home = text_of(root, "index.html")
    assert "The value is 0.125, not <code>{{ VALUE }}</code>" in home
    assert r"\(x^{{ 2 }}\)" in home
    assert 'alt="A line through 1: &#92;sigma &#60; 1."' in home
    assert '<figcaption>\n<p>A line through 1: <span class="arithmatex">' in home
    assert '<td style="text-align: right;">0.500</td>' in home
    assert "test=" not in home
    assert 'src="../../assets/figures/guide-a-1.dark.svg#only-dark"' in text_of(
        root, "guide/a/index.html"
    )
    first = figures_of(root)
    assert sorted(first) == [
        *("guide-a-1.dark.svg", "guide-a-1.light.svg"),
        *("index-1.dark.svg", "index-1.light.svg"),
    ]
    assert first["index-1.dark.svg"] != first["index-1.light.svg"]

    # From nothing, the same bytes again.
    shutil.rmtree(root / ".cache")
    shutil.rmtree(root / "site")
    assert sites.build(root)[0] == 0
    assert figures_of(root) == first
    assert runs(root) == 2

    # Prose may change, and nothing runs again: whoever imported torch now would fail.
    sites.write(root, {"absent/torch.py": "raise RuntimeError('torch was imported')"})
    edited = WHOLE["docs/index.md"].replace("The value", "New prose\n\nmoves the lines. The value")
    sites.write(root, {"docs/index.md": edited})
    assert sites.build(root)[0] == 0
    sites.write(root, {"absent/torch.py": ""})
    assert runs(root) == 2
    assert "moves the lines. The value is 0.125" in text_of(root, "index.html")
    assert figures_of(root) == first

    # The package changes, and what it decides changes or fails.
    sites.write(root, {"initguide/__init__.py": PACKAGE.replace("VALUE = 1", "VALUE = 2")})
    code, log = sites.build(root)
    assert code == 1
    assert "docs/guide/b.md:7: the page says that this prints '1'; printed '2'\n    #> 1" in log
    assert "The value is 0.250" in text_of(root, "index.html")
    assert runs(root) == 3
    # A run with a problem is never stored: the problem is found again.
    assert "docs/guide/b.md:7: the page says" in sites.build(root)[1]
    assert runs(root) == 3


def test_a_claims_picture_shows_mean_range_and_bound():
    check = Check("loss", lambda rows: [], "<", 1.0)
    picture = records._sparkline(CheckResult(check, 0.5, 0.0, 0.75, 5.0, True))
    # Of the width between the smallest number, 0, and the largest one, the bound.
    assert 'd="M57.0 1V11M3.0 6H43.5"' in picture
    assert 'cx="30.0"' in picture
    nothing = CheckResult(check, math.inf, 0.0, math.inf, math.nan, False)
    assert records._sparkline(nothing) == ""
