"""Every code block in pages, READMEs and docstrings runs, prints its `#>` lines, and is clean."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import python_blocks
from pytest_examples import CodeExample, EvalExample, find_examples

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "initguide" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
MODULES = sorted(ROOT.glob("initguide/**/*.py"))
# Narrower than the code's 100, so that a page's blocks fit beside its navigation.
WIDTH, PAGE_WIDTH = 88, 80


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def is_skipped(example: CodeExample) -> bool:
    return example.prefix_settings().get("test") == "skip"


def examples(path: Path) -> list[CodeExample]:
    """Return the blocks that pytest-examples finds, after a check that it finds all of them."""
    found = list(find_examples(path))
    missed = {block.line for block in python_blocks(path)} ^ {e.start_line for e in found}
    assert not missed, f"{path}: pytest-examples and our own count differ at lines {sorted(missed)}"
    return found


def check(eval_example: EvalExample, blocks: list[CodeExample], width: int = WIDTH) -> None:
    """Run blocks in order in one namespace; each must print its `#>` lines and be formatted."""
    eval_example.set_config(line_length=width, target_version="py311")
    namespace = {}
    for block in blocks:
        if is_skipped(block):
            continue
        if eval_example.update_examples:
            eval_example.format_black(block)
            namespace |= eval_example.run_print_update(block, module_globals=namespace)
        else:
            eval_example.lint_black(block)
            namespace |= eval_example.run_print_check(block, module_globals=namespace)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


def lint(path: Path, blocks: list[CodeExample]) -> str:
    """Return ruff's complaints about all blocks of a page, with the line numbers of the page.

    Block by block it would find the imports of the first unused and those of the last missing.
    """
    # Zeros replace the prose, because blank lines would look like bad spacing after imports.
    lines = ["0"] * len(path.read_text(encoding="utf-8").splitlines())
    for block in blocks:
        lines[block.start_line - 1 : block.end_line] = ["", *block.source.splitlines(), ""]
    ruff = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format=concise"]
    # The rules for docs hold for README and docstrings too.
    options = ["--ignore=E501", f"--stdin-filename=docs/{name(path)}.py", "-"]
    source = "\n".join(lines) + "\n"
    run = subprocess.run(
        [*ruff, *options], input=source, capture_output=True, text=True, cwd=ROOT, check=False
    )
    return (run.stdout + run.stderr).replace(f"docs/{name(path)}.py:", f"{name(path)}:")


@pytest.fixture(autouse=True)
def _keep_main(monkeypatch):
    # pytest-examples runs each block as the module __main__ and leaves it in place.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page(page, eval_example):
    width = PAGE_WIDTH if name(page).startswith("docs/") else WIDTH
    check(eval_example, examples(page), width)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_is_clean(page):
    assert lint(page, examples(page)) == ""


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_docstrings(module, eval_example):
    for example in examples(module):
        # A docstring's example stands alone, as its reader finds it.
        check(eval_example, [example])
        assert lint(module, [example]) == ""


@pytest.mark.parametrize("path", [*PAGES, *MODULES], ids=name)
def test_a_skip_has_a_reason_beside_it(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    for example in filter(is_skipped, examples(path)):
        above = next(filter(None, map(str.strip, reversed(lines[: example.start_line - 1]))), "")
        assert re.fullmatch(r"<!-- not run: \S.{9,} -->", above), (
            f"{path}:{example.start_line}: a skipped block must have '<!-- not run: reason -->' "
            f"on the line above; got {above!r}"
        )


@pytest.mark.parametrize("page", PAGES[1:], ids=name)
def test_the_site_runs_the_same_blocks(page, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts" / "site")
    import fences

    steps = fences.steps(fences.parse(page.read_text(encoding="utf-8")))
    built = [(step.line - 1, step.source) for step in steps if step.kind == "code"]
    tested = [(e.start_line, e.source) for e in examples(page) if not is_skipped(e)]
    assert built == tested


# The tests above must be able to fail: each of these plants what one of them is there to find.

MISSED = {
    "a space in the braces": "``` { .python }\nx = 1\n```\n",
    "tildes": "~~~python\nx = 1\n~~~\n",
    "a longer fence": "````python\nx = 1\n````\n",
    "after a longer fence": "````text\nx\n```\n````\n\n```python\nx = 1\n```\n",
    "capitals": "```Ipython3\nx = 1\n```\n",
}


@pytest.mark.parametrize("text", MISSED.values(), ids=MISSED)
def test_the_guard_sees_what_pytest_examples_misses(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match=r"page\.md: pytest-examples and our own count differ"):
        examples(page)


def test_the_guard_sees_a_block_after_a_triple_quoted_string(tmp_path):
    module = tmp_path / "module.py"
    opening = 'LAW = """\nw = 1\n"""\n\n\ndef f():\n'
    module.write_text(f'{opening}    """Double.\n\n    ```python\n    x = 1\n    ```\n    """\n')
    with pytest.raises(AssertionError, match=r"differ at lines \[9\]"):
        examples(module)


def test_the_guard_refuses_an_open_fence(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text\n\n```python\nx = 1\n")
    with pytest.raises(ValueError, match="line 3 opens one that is not"):
        examples(page)


def test_blocks_in_tabs_are_found_and_share_names(tmp_path, eval_example):
    page = tmp_path / "page.md"
    page.write_text(
        '=== "NumPy"\n\n    ```python\n    x = 1\n    ```\n\n'
        '=== "PyTorch"\n\n    ```python\n    print(x + 1)\n    #> 2\n    ```\n'
    )
    blocks = examples(page)
    assert len(blocks) == 2
    check(eval_example, blocks)
    assert lint(page, blocks) == ""


def test_a_block_that_raises_names_its_page_and_line(tmp_path, eval_example):
    page = tmp_path / "page.md"
    page.write_text("Text\n\n```python\nx = 0\nprint(1 / x)\n#> 1\n```\n")
    with pytest.raises(ZeroDivisionError) as error:
        check(eval_example, examples(page))
    assert error.value.__notes__ == [f"{page}:5: print(1 / x)"]


PLANTED = {
    "a wrong output": ("print(1 + 1)\n#> 3\n", "Print output changed code"),
    "a missing output": ("print(1 + 1)\n", "Print output changed code"),
    "bad format": ("x = [1,2]\n", "black failed"),
}


@pytest.mark.parametrize(("source", "message"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_found(source, message, tmp_path, eval_example):
    page = tmp_path / "page.md"
    page.write_text(f"```python\n{source}```\n")
    with pytest.raises(pytest.fail.Exception, match=message):
        check(eval_example, examples(page))


def test_lint_names_the_pages_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Text\n\n```python\nimport math\nimport os\n```\n\n```python\nmath.pi + y\n```\n"
    )
    complaints = lint(page, examples(page)).splitlines()
    assert [line.split(" ")[:2] for line in complaints] == [
        ["page.md:5:8:", "F401"],
        ["page.md:9:11:", "F821"],
    ]
