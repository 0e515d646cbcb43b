"""What of a block of code is its printed output: nobody wants to paste that."""

import ast
import textwrap


def lines(source: str) -> set[int]:
    """Return the numbers of the lines that show output, counted from 1.

    Output stands in comments `#> …`, or, when it is long, in a string of its own below the code
    that prints it: three quotes alone on a line, the text, three quotes.
    """
    shown = {n for n, line in enumerate(source.splitlines(), 1) if line.lstrip().startswith("#>")}
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:
        return shown
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            # A docstring comes first; output comes after what prints it.
            for statement in statements[1:] if isinstance(statements, list) else []:
                if _is_output(statement, source):
                    shown.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
    return shown


def without(source: str) -> str:
    """Return the code alone, as one would paste it."""
    shown = lines(source)
    kept = [line for n, line in enumerate(source.splitlines(), 1) if n not in shown]
    return "\n".join(kept).rstrip() + "\n"


def _is_output(statement: ast.stmt, source: str) -> bool:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return False
    first = source.splitlines()[statement.lineno - 1].strip()
    return isinstance(statement.value.value, str) and first == '"""'
