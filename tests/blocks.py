"""Python blocks in pages and docstrings, found by a reading of our own.

It asks less of a block than pytest-examples does, so that test_docs can tell what that one missed:
fences of any length, of backticks or tildes, at any indent, with any spelling of the language.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"\s*(`{3,}|~{3,})\s*(.*)")
_PYTHON = re.compile(r"[{\s]*\.?(py|python3?|py3|pycon|ipython3?)\b", re.IGNORECASE)


class Block(NamedTuple):
    """A block: the line of its opening fence, what follows the fence's marks, and its lines."""

    line: int
    info: str
    lines: list[str]


def python_blocks(path: Path) -> list[Block]:
    """Return the blocks of a Markdown file, or those of a Python file's docstrings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return list(_python_blocks(text, 1))
    return [
        block
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for block in _python_blocks(str(node.value.value), node.lineno)
    ]


def _python_blocks(text: str, first: int) -> Iterator[Block]:
    block = fence = None
    for number, line in enumerate(text.splitlines(), first):
        found = _FENCE.match(line)
        if fence is None:
            if found:
                fence, block = found[1], Block(number, found[2], [])
        elif found and found[1].startswith(fence) and not found[2]:
            if _PYTHON.match(block.info):
                yield block
            block = fence = None
        else:
            block.lines.append(line)
    if block:
        raise ValueError(f"a fence must be closed; line {block.line} opens one that is not")
