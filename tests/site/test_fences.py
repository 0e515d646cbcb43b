"""What the site's modules make of a page's parts, each by itself."""

from pathlib import Path

import pytest
import sites
from pytest_examples import CodeExample
from pytest_examples.config import ExamplesConfig
from pytest_examples.run_code import run_code

pytestmark = pytest.mark.usefixtures("_on_the_path")


@pytest.fixture
def _on_the_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(sites.ROOT / "scripts" / "site")


def printing(source: str) -> tuple[object, list[tuple[int, str]]]:
    """Run a fence; return it as a step of a page, and what it printed."""
    import execute
    import steps

    calls: list[tuple[int, str]] = []
    with execute._prints("page", calls):
        exec(compile(source, "page", "exec"), {})
    return steps.Step("code", source, 10), calls


def updated(source: str, folder: Path) -> str:
    """Return the source with its outputs as pytest-examples writes them."""
    example = CodeExample.create(source)
    file = folder / "example.py"
    file.write_text(source, encoding="utf-8")
    options = dict.fromkeys(["loader", "print_callback", "include_print", "module_globals", "call"])
    ran, _ = run_code(
        example=example,
        python_file=file,
        config=ExamplesConfig(line_length=100),
        enable_print_mock=True,
        **options,
    )
    return ran.updated_print_statements(example) or source


PRINTING = [
    "print(1, 2.5, 'x', sep=', ')\n",
    "print(\n    'a call',\n    'over lines',\n)\nx = 1\n",
    "double = lambda x: 2 * x\nprint(double(2))\n",
    "for i in range(3):\n    print(i)\n",
    "def show(x):\n    print(x)\n\n\nshow(1)\nprint('end')\n",
    "if True:\n    print('yes')\nelse:\n    print('no')\n",
    "print('two\\nlines')\n",
    "print({'name': 'a long value ' * 4, 'other': ['a long value ' * 2, (1, 2)]})\n",
    "import numpy as np\n\nprint(np.eye(3))\nprint(np.ones(2))\n",
]


@pytest.mark.parametrize("source", PRINTING)
def test_what_pytest_examples_writes_is_right(source: str, tmp_path: Path):
    import printed

    written = updated(source, tmp_path)
    assert written != source
    assert printed.check(*printing(written)) == []


@pytest.mark.parametrize("source", PRINTING)
def test_every_other_output_is_wrong(source: str, tmp_path: Path):
    import printed

    written = updated(source, tmp_path)
    step, calls = printing(written)
    assert printed.check(step, [(line, text.replace("\n", "!\n")) for line, text in calls])
    assert printed.check(step, calls[1:])
    assert printed.check(*printing(source))


def roles(markdown: str) -> list[tuple[str, str, int]]:
    import fences

    return [(step.kind, step.source, step.line) for step in fences.steps(fences.parse(markdown))]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("```python\nx = 1\n```\n", [("code", "x = 1\n", 2)]),
        ("a\n\n~~~~ py\nx = 1\n~~~\n~~~~\n", [("code", "x = 1\n~~~\n", 4)]),
        ('=== "Tab"\n\n    ```python\n    x = 1\n    ```\n', [("code", "x = 1\n", 4)]),
        ('``` { .python title="x" }\nx = 1\n```', [("code", "x = 1\n", 2)]),
        ("````markdown\n```python\nx = 1\n```\n````\n", []),
        ('```python {test="skip"}\nx = 1\n```\n', []),
        ("```pycon\n>>> x\n```\n```bash\nls\n```\n", []),
        ("One\ntwo {{ x }}.", [("expression", "x", 2)]),
        ('{{ f"{x:.2f}" }} {{ {"a": 1}["a"] }}', None),
        (r"`{{ x }}` ``{{ ` }}`` $a{{ x }}$ $$\frac{{a}}{{b}}$$ \{{ x }}", []),
        ("\\$5 {{ x }} and $6 {{ y }}\n\nor $7", None),
        ("<!-- figure: Of {{ x }}\n  and {{ y }}. -->", None),
        ("    <!-- generated: facts He normal -->", [("generated", "facts He normal", 1)]),
    ],
)
def test_steps_of_a_page(markdown: str, expected: list[tuple[str, str, int]] | None):
    found = roles(markdown)
    if expected is None:
        assert [kind for kind, _, _ in found] == ["expression", "expression"]
    else:
        assert found == expected


def test_a_page_without_steps_is_left_as_it_is():
    import fences

    page = "# Title\n\n$x$ `{{ y }}`\n\n```text\nz\n```\n\n<!-- a comment -->\n| a |\n"
    assert fences.weave(fences.parse(page), [], "page", "./") == (page, {}, [])


def test_a_page_whose_code_the_tests_run_is_shown_and_needs_no_run():
    import fences

    page = '---\ncode: tested\n---\n# Title\n\n```python {test="skip"}\nx\n```\n'
    parts = fences.without_steps(fences.parse(page.replace(' {test="skip"}', "")))
    assert fences.steps(parts) == []
    assert fences.weave(parts, [], "page", "./").markdown == page.replace(' {test="skip"}', "")
    with pytest.raises(ValueError, match="must need no run; line 4 needs one"):
        fences.without_steps(fences.parse("# Title\n\nText\n{{ x }}\n"))


def test_what_a_failed_run_did_not_reach_is_left_out_without_complaint():
    import fences

    page = "```python\nx\n```\n<!-- figure: One. -->\n\nValue {{ x }}\n\n```python\ny\n```\n"
    woven = fences.weave(fences.parse(page), [], "page", "./")
    assert woven.problems == []
    assert woven.markdown == "```python\nx\n```\n\n\nValue \n\n```python\ny\n```\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0.12345, "0.123"),
        (0.5, "0.500"),
        (123.4, "123"),
        (12345.6, "12,346"),
        (12345, "12,345"),
        (-1.0, "-1.00"),
        (1.5e-7, "1.50e-07"),
        (2e9, "2.00e+09"),
        (0.0, "0"),
        (float("nan"), "nan"),
        (True, "True"),
        ("a|b", r"a\|b"),
        ("<\u00a01 \n of", "<\u00a01 of"),
        ("8.2e-09 to 0.2", "8.2e-09\u00a0to\u00a00.2"),
        ("1 to all", "1 to all"),
    ],
)
def test_values_in_tables_and_prose(value: object, text: str):
    import tables

    assert tables.cell(value) == text


def test_columns_of_numbers_stand_at_the_right():
    import tables

    rows = [{"name": "He", "std_w": 0.5}, {"name": "Xavier", "std_w": None, "more": "x"}]
    assert tables.markdown(rows).splitlines() == [
        "| name | std w | more |",
        "| :-- | --: | :-- |",
        "| He | 0.500 | — |",
        "| Xavier | — | x |",
    ]


def test_records_become_links_relative_to_the_page():
    import records

    from initguide.methods.registry import METHODS
    from initguide.papers import PAPERS

    overview = records.block("overview", "guide/methods/index.md")
    assert overview.count("\n") == 1 + len(METHODS)
    assert all(f"| [{method.title}](" in overview for method in METHODS)
    he = next(method for method in METHODS if method.paper.key == "he2015")
    facts = records.block(f"facts {he.title}", "guide/exercises.md")
    assert "[He et al., 2015](../references.md#he2015)" in facts
    assert f"[`{he.names[0]}`][initguide.{he.names[0]}]" in facts
    bibliography = records.block("bibliography", "references.md")
    assert all(f"{{ #{key} }}" in bibliography for key in PAPERS)
    with pytest.raises(ValueError, match=r"must name one of .*; got 'Nothing'"):
        records.block("facts Nothing", "index.md")


# What a page must not show -----------------------------------------------------------------------

UNMEANT = [
    "print(1 > 2)\n#> False\n",
    "for x in (1, 2):\n    print('small:', x < 2)\n    #> small: True\n    #> small: False\n",
    "print([1 > 0, 1 > 2])\n#> [True, False]\n",
]


@pytest.mark.parametrize("source", UNMEANT)
def test_a_printed_false_must_be_meant(source: str):
    import printed

    (problem,) = printed.check(*printing(source))
    assert "a printed False must be meant" in problem.message
    line = next(n for n, text in enumerate(source.splitlines()) if "print" in text)
    assert problem.line == 10 + line
    above = source.replace("    print", "    # False: why\n    print")
    above = above if above != source else f"# False: why\n{source}"
    assert printed.check(*printing(above)) == []


@pytest.mark.parametrize(("value", "count"), [(float("nan"), 1), (float("inf"), 0), ("banana", 0)])
def test_a_table_must_not_show_nan(value: object, count: int):
    import fences
    import steps
    import tables

    page = "# Title\n\n```python\nrows\n```\n<!-- table: Rows. -->\n"
    table = tables.markdown([{"start": "He", "loss": 0.5}, {"start": "std 1.0", "loss": value}])
    woven = fences.weave(fences.parse(page), [steps.Output("", None, table)], "page", "./")
    assert [(p.line, "got the row | std 1.0 | nan |" in p.message) for p in woven.problems] == [
        (6, True)
    ] * count


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (f"x = '{'a' * 75}'", 1),
        (f"x = '{'a' * 74}'", 0),
        (f"    print('{'a' * 60}')\n    #> {'a' * 90}", 0),
        (f"    x = '{'a' * 73}'", 1),
    ],
)
def test_a_line_of_code_must_not_be_too_wide(line: str, count: int):
    import fences
    import steps

    page = f"# Title\n\n```python\nif True:\n{line}\n```\n"
    woven = fences.weave(fences.parse(page), [steps.Output()], "page", "./")
    assert [(p.line, p.message) for p in woven.problems] == [
        (5, "a line of code must have at most 80 characters")
    ] * count


@pytest.mark.parametrize(
    ("image", "count"),
    [
        ("![](a.png)", 1),
        ("![ ][a]", 1),
        ('<img src="a.png">', 1),
        ('<img class="alt" alt="" src="a.png">', 1),
        ("![A circle](a.png)", 0),
        ('<img src="a.png" alt="A circle">', 0),
        ("`![](a.png)`", 0),
    ],
)
def test_an_image_needs_words(image: str, count: int):
    import fences

    page = f"# Title\n\nText\n{image} and {{{{ 1 }}}}.\n"
    woven = fences.weave(fences.parse(page), [], "page", "./")
    assert [p.line for p in woven.problems if "an image must have a text" in p.message] == [
        4
    ] * count
    assert image in woven.markdown


@pytest.mark.parametrize("kind", ["figure", "table"])
def test_a_caption_must_not_be_empty(kind: str):
    import fences

    parts = fences.parse(f"# Title\n\n```python\nrows\n```\n<!-- {kind}: -->\n")
    woven = fences.weave(parts, [], "page", "./")
    assert (6, f"a {kind} caption must not be empty") in woven.problems


# The decision table ------------------------------------------------------------------------------


def test_the_decision_table_is_what_the_recipe_does(monkeypatch: pytest.MonkeyPatch):
    import records

    from initguide.model.rule import Rule
    from initguide.recipes import registry

    table = records.block("decisions", "guide/summary.md")
    rows = {row.split(" | ")[0].strip("| "): row for row in table.splitlines()[2:]}
    # sqrt(2); the root of E[f(s z)²] = 1 for GELU; 1 / sqrt(E[tanh(z)²]); the same for sigmoid.
    for layer, method, std in (
        ("before ReLU", "He", "$1.41/"),
        ("before GELU", "LeCun", "$1.47/"),
        ("before SiLU", "LeCun", "$1.56/"),
        ("before tanh", "Xavier", "$1.59\\sqrt{2/"),
        ("before sigmoid (better: another activation)", "Xavier", "$1.85\\sqrt{2/"),
        ("output, or no activation follows", "LeCun", "$1/"),
        ("convolution before ReLU", "He", "$1.41/"),
        ("RNN, GRU, LSTM: from the state", "orthogonal", "for each gate"),
    ):
        assert f"| [{method}](methods/" in rows[layer]
        assert std in rows[layer]
    assert "log *T*" in rows["RNN, GRU, LSTM: from the input"]

    auto = registry.RECIPES["auto"]
    changed = Rule("*weight", "orthogonal_", before="tanh")
    monkeypatch.setitem(
        registry.RECIPES, "auto", lambda model, trace: [changed, *auto(model, trace)]
    )
    before_tanh = records.block("decisions", "guide/summary.md").splitlines()[5]
    assert before_tanh.startswith("| before tanh | [orthogonal](methods/orthogonal.md)")
