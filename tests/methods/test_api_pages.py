"""The API pages show every argument, error, source and example, of the twins too."""

import inspect
import re
import sys
from pathlib import Path

import griffe
import pytest

import initguide as init

ROOT = Path(__file__).resolve().parents[2]
STUB = (ROOT / "initguide" / "__init__.pyi").read_text(encoding="utf-8")
FUNCTIONS = [
    name
    for name in re.findall(r"^from \.(?:methods|layers)\.\w+ import (\w+) as", STUB, re.MULTILINE)
    if inspect.isfunction(getattr(init, name))
]


def read(folder, package="initguide"):
    """Read a package as the site does: from its sources, with the extension."""
    path = str(ROOT / "scripts" / "site")
    sys.path.insert(0, path)
    try:
        extensions = griffe.load_extensions("griffe_twins")
    finally:
        sys.path.remove(path)
    options = {
        "allow_inspection": False,
        "try_relative_path": False,
        "docstring_parser": griffe.Parser("google"),
    }
    return griffe.load(package, search_paths=[folder], extensions=extensions, **options)


@pytest.fixture(scope="module")
def package():
    return read(ROOT)


def sections(function):
    """Return a docstring's parsed sections, by kind; an admonition by its title."""
    found = {}
    for section in function.docstring.parsed:
        kind = section.kind.value
        found[section.title if kind == "admonition" else kind] = section.value
    return found


def test_methods_and_layers_are_listed():
    names = {name for method in init.METHODS for name in method.names}
    assert names | {"convolution_", "recurrent_", "per_gate", "forget_bias_"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_error_source_and_example_is_there(package, name):
    function = package[name].final_target
    shown = sections(function)
    assert shown.keys() >= {"text", "parameters", "returns", "raises", "Source", "examples"}
    described = {entry.name.lstrip("*"): entry.description for entry in shown["parameters"]}
    assert list(described) == list(inspect.signature(getattr(init, name)).parameters)
    assert all(described.values())
    for entry in (*shown["returns"], *shown["raises"]):
        assert entry.description
    for entry in shown["parameters"]:
        assert entry.annotation is not None, f"{name}: {entry.name} must have a type"
    assert "#>" in function.docstring.value


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_name_arguments_that_the_function_has(package, name):
    function = package[name].final_target
    parameters = set(inspect.signature(getattr(init, name)).parameters)
    known = {p for other in FUNCTIONS for p in inspect.signature(getattr(init, other)).parameters}
    for entry in sections(function)["raises"]:
        assert set(re.findall(r"`(\w+)`", entry.description)) & known <= parameters


def test_what_a_function_returns_begins_with_its_type_and_no_other_words(package):
    """The pages take the words before a colon for a type: "One row for each layer: `rms`"."""
    names = re.findall(
        r"^ *::: initguide\.([\w.]+)",
        "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "api").rglob("*.md")),
        re.MULTILINE,
    )
    options = {"returns_multiple_items": False, "returns_named_value": False}
    returned = {}
    for function in map(package.__getitem__, names):
        function = function.final_target if function.is_alias else function
        if function.is_function:
            for section in griffe.parse_google(function.docstring, **options):
                if section.kind.value == "returns":
                    returned[function.path] = (
                        str(section.value[0].annotation),
                        str(function.returns),
                    )
    assert len(returned) > 60
    assert {path: pair for path, pair in returned.items() if pair[0] != pair[1]} == {}


TWINS = [
    name
    for name in FUNCTIONS
    if "][initguide." in inspect.getdoc(getattr(init, name)).split("\n")[0]
]


@pytest.mark.parametrize("name", TWINS)
def test_help_says_where_the_full_text_is(name):
    first, *_ = inspect.getdoc(getattr(init, name)).splitlines()
    shown, target = re.search(r"\[(\w+)\]\[initguide\.(\w+)\]", first).groups()
    assert shown == target
    assert inspect.isfunction(getattr(init, target))


def test_all_numpy_functions_are_twins():
    assert {method.names[1] for method in init.METHODS} <= set(TWINS)


ORIGINAL = '''
def fill_(tensor: list, gain: float = 1.0, generator: int | None = None) -> list:
    """Fill a weight.

    $$w = 1$$

    Args:
        tensor: A weight,
            of any shape.
        gain: A number.
        generator: The source of randomness.

    Returns:
        `tensor`, changed in place.

    Raises:
        ValueError: `gain` is negative.
        ValueError: `tensor` is empty.
        TypeError: `tensor` is not a tensor.

    Source:
        A. Author (2000), *Title*.

    Examples:
        ```python
        print(1)
        #> 1
        ```
    """
'''


def completed(tmp_path, twin):
    """Return the docstring of a twin of `fill_`, as the extension leaves it."""
    folder = tmp_path / "initguide"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "__init__.pyi").write_text(
        "from .a import fill_ as fill_\nfrom .a import twin as twin\n"
    )
    (folder / "a.py").write_text(ORIGINAL + "\n\n" + twin)
    return read(tmp_path)["twin"].final_target.docstring.value


def test_a_twin_gets_what_it_does_not_say(tmp_path):
    twin = '''
def twin(tensor, gain=2.0, generator=None):
    """As [fill_][initguide.fill_], but better.

    Args:
        tensor: A matrix.

    Raises:
        ValueError: `tensor` is no matrix.

    Examples:
        ```python
        print(2)
        #> 2
        ```
    """
'''
    assert completed(tmp_path, twin) == inspect.cleandoc(
        """As [fill_][initguide.fill_], but better.

        Args:
            tensor: A matrix.
            gain: A number.
            generator: The source of randomness.

        Returns:
            `tensor`, changed in place.

        Raises:
            TypeError: `tensor` is not a tensor.
            ValueError: `tensor` is no matrix.
            ValueError: `gain` is negative.

        Source:
            A. Author (2000), *Title*.

        Examples:
            ```python
            print(2)
            #> 2
            ```
        """
    )


def test_a_twin_gets_nothing_about_arguments_that_it_lacks(tmp_path):
    twin = 'def twin(gain=2.0):\n    """As [fill_][initguide.fill_]."""\n'
    text = completed(tmp_path, twin)
    assert "Args:\n    gain: A number.\n" in text
    assert "Raises:\n    ValueError: `gain` is negative.\n" in text
    assert "tensor" not in text


def test_a_twin_that_leaves_an_argument_out_fails_the_build(tmp_path):
    twin = 'def twin(tensor, scale=1.0):\n    """As [fill_][initguide.fill_]."""\n'
    with pytest.raises(
        ValueError, match=r"a\.twin.* must describe .* got no description of \['scale'\]"
    ):
        completed(tmp_path, twin)


def test_a_function_that_links_to_another_below_its_first_line_is_no_twin(tmp_path):
    twin = 'def twin(x):\n    """Do something else.\n\n    See [fill_][initguide.fill_].\n    """\n'
    assert completed(tmp_path, twin).endswith("See [fill_][initguide.fill_].")
