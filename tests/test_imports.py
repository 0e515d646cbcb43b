"""The order of the package's imports, its lazy `__init__` files, its file sizes, private names."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "initguide"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Each group may import from the groups before it, and from its own group without a circle.
ORDER = (
    ("_torch_internals", "_tree", "_format", "_checks", "_state", "_sharding", "papers"),
    ("_stand_ins", "_copies", "_contents", "_scopes", "_isolation", "_undoing"),
    ("activations", "fans", "gains", "random", "haar"),
    ("moments", "propagation"),
    ("methods", "layers"),
    ("graph",),
    ("model",),
    ("recipes",),
    ("initialize",),
    ("lsuv",),
    ("diagnostics", "testing"),
    ("plotting",),
    ("experiments", "frameworks"),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# Imports inside a function that run against the order, each with its reason.
ON_DEMAND = {
    ("diagnostics", "plotting"): "a report imports matplotlib only when it is drawn",
}
# Files below 40 lines, each with its reason.
SMALL = {
    "frameworks/defaults.py": "the list of all frameworks, which imports them",
    "methods/registry.py": "the list of all methods, which imports them",
    "recipes/registry.py": "the list of all recipes, which imports them",
}
# Files above 320 lines, each with its reason.
LARGE = {
    "diagnostics/mistakes.py": "one table, which three tools share",
    "papers.py": "one table, the bibliography",
}


def name_of(path: Path) -> str:
    """Return a module's name within the package; an `__init__` has its package's name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


NAMES = {name_of(path) for path in MODULES}


def imports(path: Path, source: str | None = None) -> Iterator[tuple[str, bool]]:
    """Yield each module of the package that a file imports, and whether inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8") if source is None else source)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = ["initguide", *path.relative_to(PACKAGE).parent.parts]
            base = ".".join(folder[: len(folder) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from initguide.model import plan` imports a module, or a name from the folder.
            found = [f"{module}.{alias.name}" for alias in node.names]
            found = [
                each if each.partition(".")[2] in NAMES else each.rpartition(".")[0]
                for each in found
            ]
        for each in found:
            if each.partition(".")[0] == "initguide" and each != "initguide":
                yield each.partition(".")[2], id(node) in inside


def against_the_order(path: Path, source: str | None = None) -> list[str]:
    """Return the imports of a file that a later group, or no group, holds."""
    own = name_of(path).partition(".")[0]
    found = []
    for name, inside in imports(path, source):
        other = name.partition(".")[0]
        allowed = inside and (own, other) in ON_DEMAND
        if other != own and not allowed and RANK[other] > RANK[own]:
            found.append(f"{own} imports {name}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path):
    if path != PACKAGE / "__init__.py":
        assert against_the_order(path) == []


def test_every_folder_and_file_has_a_place_in_the_order():
    names = {name_of(path).partition(".")[0] for path in MODULES} - {""}
    assert names - RANK.keys() == set()


def circle(edges: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_modules_and_folders_form_no_circle():
    modules: dict[str, set[str]] = {}
    folders: dict[str, set[str]] = {}
    for path in MODULES:
        own = name_of(path)
        found = {name for name, inside in imports(path) if not inside}
        modules[own] = found
        others = {name.partition(".")[0] for name in found} - {own.partition(".")[0]}
        folders.setdefault(own.partition(".")[0], set()).update(others)
    assert circle(modules) == []
    assert circle(folders) == []


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=name_of)
def test_an_init_file_imports_no_module(path):
    assert list(imports(path)) == []


def test_no_file_is_too_long_or_an_orphan():
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES
        if path.name != "__init__.py"
    }
    assert [name for name, count in lines.items() if count > 320 and name not in LARGE] == []
    assert [name for name, count in lines.items() if count < 40 and name not in SMALL] == []


# Private names of other packages.


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(source: str) -> list[str]:
    """Return the private names of other packages that a source uses."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if is_private(name):
                found.append(ast.unparse(node))
            case ast.ImportFrom(module=str(module)) if not module.startswith("initguide"):
                found += [alias.name for alias in node.names if is_private(alias.name)]
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                found += [name] if is_private(name) else []
    return found


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.name != "_torch_internals.py"], ids=name_of
)
def test_private_names_of_torch_stand_in_one_file(path):
    assert private_names(path.read_text(encoding="utf-8")) == []


# What these tests must find.


def test_a_planted_import_is_found():
    path = PACKAGE / "model" / "plan.py"
    upward = "from initguide.recipes.auto import auto\n"
    assert against_the_order(path, upward) == ["model imports recipes.auto"]
    assert against_the_order(path, "from ..recipes import auto\n") == ["model imports recipes.auto"]
    inside = f"def f():\n    {upward}"
    assert against_the_order(path, inside) == ["model imports recipes.auto"]
    report = PACKAGE / "diagnostics" / "report.py"
    plotting = "from initguide.plotting import report"
    assert against_the_order(report, f"def f():\n    {plotting}\n") == []
    assert against_the_order(report, plotting) == ["diagnostics imports plotting.report"]
    assert circle({"a": {"b"}, "b": {"a"}})
    assert list(imports(PACKAGE / "model" / "__init__.py", "from .plan import Plan")) == [
        ("model.plan", False)
    ]


def test_a_planted_private_name_is_found():
    assert private_names("nn.modules.conv._ConvNd") == ["nn.modules.conv._ConvNd"]
    assert private_names("from torch.nn.modules.conv import _ConvNd") == ["_ConvNd"]
    assert private_names("getattr(module, '_parameters')") == ["_parameters"]
    assert private_names("sys._getframe(1)") == ["sys._getframe"]
    own = "self._kind; from initguide._tree import _x; tensor.__dict__; getattr(x, 'weight')"
    assert private_names(own) == []
