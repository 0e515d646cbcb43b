"""Change one place of the package at a time, and see whether the tests near it notice.

The changes are those of cosmic-ray: another operator, comparison, number or condition. The places
are drawn at random, each with one of its changes. Annotations and the experiments of papers, which
take minutes, are left out. The tests near `initguide/model/plan.py` are those in `tests/model`,
those that are called `test_plan.py`, those that NEAR adds, and the test of all records. A change is
killed if a test fails, or if the tests do not end. The files are changed in a copy of the
repository.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast  # pyright: ignore[reportMissingImports]
from cosmic_ray.mutating import mutate_code  # pyright: ignore[reportMissingImports]
from cosmic_ray.plugins import get_operator, operator_names  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).resolve().parents[1]
KINDS = re.compile("Binary|Unary|Comparison|Number|True|AndWith|OrWith|AddNot")
OPERATORS = [get_operator(name)() for name in operator_names() if KINDS.search(name)]
# Tests that start processes, and further tests near the files of some folders and names.
SLOW = "test_ranks.py"
NEAR = {
    ".": ["test_purity.py", "test_errors.py", "test_copies.py", "model", "lsuv/test_unchanged.py"],
    "__main__": ["test_command_line.py"],
    "_isolation": ["graph/test_uses.py"],
    "initialize": ["recipes/test_method_recipes.py"],
    "_tree": ["diagnostics/test_measure_inputs.py"],
    "_format": ["diagnostics/test_report.py"],
    "_sharding": ["model/test_ranks.py"],
    "methods": ["test_drop_in.py"],
    "distributed": ["model/test_ranks.py"],
    "scaling": ["model/test_ranks.py"],
    "state_space": ["graph/test_param_roles.py"],
    "stream_tables": ["recipes/test_tied_tables.py"],
    "bypass": ["recipes/test_deliberate.py"],
    "implicit": ["graph/test_constants.py"],
    "moments": ["test_gains.py", "test_random.py", "test_propagation.py"],
    "activations": ["test_gains.py", "graph"],
    "papers": ["test_inventory.py"],
}
LIMIT = 240


def changes(paths: list[Path], rng: random.Random) -> Iterator[tuple[Path, int, str]]:
    """Yield changes in random order: the file, the line, and the changed source."""
    nodes = {path: list(ast_nodes(get_ast(path.read_text()))) for path in paths}
    places = [(path, index) for path in paths for index in range(len(nodes[path]))]
    rng.shuffle(places)
    for path, index in places:
        node, source = nodes[path][index], path.read_text()
        fitting = [(each, n) for each in OPERATORS for n in range(_count(each, node))]
        if fitting:
            operator, number = rng.choice(fitting)
            earlier = sum(_count(operator, each) for each in nodes[path][:index])
            changed = mutate_code(source, operator, earlier + number)
            if _code(changed) not in ("", _code(source)):
                yield path, node.start_pos[0], changed


def _count(operator: Any, node: Any) -> int:
    return len(list(operator.mutation_positions(node)))


def _code(source: str) -> str:
    """Return the code without its annotations, or nothing if it is not valid."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        for name in {"annotation", "returns"} & {*node._fields}:
            setattr(node, name, None)
    return ast.dump(tree)


def near(path: Path) -> list[str]:
    """Return the tests near a file of the package, the nearest first."""
    tests, (*folders, _) = ROOT / "tests", path.relative_to(ROOT / "initguide").parts
    found = [*tests.rglob(f"test_{path.stem.strip('_')}.py")]
    keys = (path.stem, *folders[:1]) if folders else (path.stem, ".")
    more = [tests / name for key in keys for name in NEAR.get(key, [])]
    for each in (*more, *(tests / folder for folder in folders[:1])):
        found += sorted(each.glob("test_*.py")) if each.is_dir() else [each]
    found.append(tests / "test_records.py")
    kept = [test for test in found if test.name != SLOW or test in more]
    return [str(test.relative_to(ROOT)) for test in dict.fromkeys(kept)]


def is_killed(copy: Path, tests: list[str]) -> bool:
    """Return whether a test fails in the copy, or does not end."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    try:
        ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return True
    # Code 2 is an error in an import. Others mean that no test ran.
    if ran.returncode > 2:
        raise RuntimeError(ran.stdout.decode() + ran.stderr.decode())
    return ran.returncode != 0


def main() -> None:
    """Test a sample of changes, and print those that no test notices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--count", type=int, default=100, help="the size of the sample")
    options = parser.parse_args()
    paths = [p for p in sorted((ROOT / "initguide").rglob("*.py")) if p.parent.name != "claims"]
    sample = changes(paths, random.Random(options.seed))
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "node_modules"))
        for _ in range(options.count):
            path, line, changed = next(sample)
            source, target = path.read_text(), copy / path.relative_to(ROOT)
            target.write_text(changed)
            is_noticed = is_killed(copy, near(path))
            target.write_text(source)
            killed += is_noticed
            before, after = (text.splitlines()[line - 1].strip() for text in (source, changed))
            place = f"{path.relative_to(ROOT)}:{line}"
            print("killed" if is_noticed else "SURVIVED", place, before, "->", after, flush=True)
    print(f"killed {killed} of {options.count}")


if __name__ == "__main__":
    main()
