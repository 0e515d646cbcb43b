"""Complete docstrings: those of twins, and the type of what a function returns.

Twins are functions that say only how they differ from another one.

A method is documented in full once, at its tensor function. A twin links to that function in its
first line, `[xavier_normal_][initguide.xavier_normal_]`, and describes only what differs. The API
pages also show the rest: the arguments by name, the errors of those arguments, and the source.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import griffe

_TITLES = ("Args", "Returns", "Raises", "Source", "Examples")
_LINK = re.compile(r"\[\w+\]\[initguide\.(\w+)\]")

Parts = dict[str, str]


class Twins(griffe.Extension):
    """Complete the package's public functions when it has been read from its sources."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Complete the docstring of each twin, originals before their twins."""
        public = {
            name: member.final_target
            for name, member in pkg.members.items()
            if isinstance(member, griffe.Alias) and member.target_path.startswith(f"{pkg.name}.")
        }
        functions = {
            n: f for n, f in public.items() if isinstance(f, griffe.Function) and f.docstring
        }
        done: dict[str, Parts] = {}
        for name in functions:
            _complete(name, functions, done)
        for function in _functions(pkg):
            _name_the_type(function)


def _functions(owner: griffe.Module | griffe.Class) -> Iterator[griffe.Function]:
    for member in owner.members.values():
        if isinstance(member, griffe.Function):
            yield member
        elif isinstance(member, griffe.Module | griffe.Class):
            yield from _functions(member)


def _name_the_type(function: griffe.Function) -> None:
    """Begin the text on what is returned with the type, if griffe would take other words for it.

    It takes all words before the first colon for a type: "One row for each layer: `rms`".
    """
    docstring = function.docstring
    if docstring is None or function.returns is None:
        return
    parts = split(docstring.value)
    text = parts["Returns"].lstrip()
    if ":" in text and not text.startswith(f"{function.returns}:"):
        parts["Returns"] = f"    {function.returns}: {text}"
        docstring.value = join(parts)


def _complete(name: str, functions: dict[str, griffe.Function], done: dict[str, Parts]) -> Parts:
    """Return the parts of a function's docstring, after it has been completed."""
    if name in done:
        return done[name]
    function = functions[name]
    docstring = function.docstring
    assert docstring is not None
    parts = done[name] = split(docstring.value)
    links = [link for link in _LINK.findall(parts["text"]) if link in functions]
    if not links or f".{links[0]}]" not in parts["text"].splitlines()[0]:
        return parts
    parameters = [parameter.name for parameter in function.parameters]
    originals = [_complete(link, functions, done) for link in links]
    parts = done[name] = complete(parts, parameters, originals)
    described = {_name(item) for item in _items(parts["Args"])}
    if missing := [parameter for parameter in parameters if parameter not in described]:
        raise ValueError(
            f"{function.path}, or a function that it links to, must describe every parameter; "
            f"got no description of {missing}"
        )
    docstring.value = join(parts)
    return parts


def split(docstring: str) -> Parts:
    """Return a docstring's text and the bodies of its sections, by title; empty if missing."""
    text, *rest = re.split(rf"^({'|'.join(_TITLES)}):\n", docstring, flags=re.MULTILINE)
    return (
        dict.fromkeys(_TITLES, "") | {"text": text} | dict(zip(rest[::2], rest[1::2], strict=True))
    )


def join(parts: Parts) -> str:
    """Return the docstring that `split` takes apart."""
    sections = [f"{title}:\n{parts[title].rstrip()}" for title in _TITLES if parts[title]]
    return "\n\n".join([parts["text"].rstrip(), *sections])


def complete(parts: Parts, parameters: Sequence[str], originals: Iterable[Parts]) -> Parts:
    """Return the parts of a twin, completed from its originals; the first that has a part counts.

    An error comes with the description of the arguments that it names. If the twin describes an
    argument itself, only the TypeErrors come, because other values may be right for the twin.
    """
    own = dict(parts)
    described = {_name(item): item for item in _items(parts["Args"])}
    raised, kept = _items(parts["Raises"]), set(described)
    for original in originals:
        inherited = {_name(item): item for item in _items(original["Args"])}
        taken = (inherited.keys() & set(parameters)) - described.keys()
        for item in _items(original["Raises"]):
            known = taken | kept if _name(item) == "TypeError" else taken
            if item not in raised and _names(item) & inherited.keys() <= known:
                raised.append(item)
        if not own["Returns"] and _names(original["Returns"]) & inherited.keys() <= set(parameters):
            own["Returns"] = original["Returns"]
        own["Source"] = own["Source"] or original["Source"]
        described = inherited | described
    own["Args"] = "\n".join(described[name] for name in parameters if name in described)
    # TypeErrors first, as everywhere.
    own["Raises"] = "\n".join(sorted(raised, key=_name))
    return own


def _items(body: str) -> list[str]:
    """Return the items of a section, each with its indented continuation lines."""
    return [
        item.rstrip() for item in re.split(r"^(?=    \S)", body, flags=re.MULTILINE) if item.strip()
    ]


def _name(item: str) -> str:
    return item.partition(":")[0].strip().lstrip("*")


def _names(text: str) -> set[str]:
    """Return the words of a text that stand in backticks."""
    return set(re.findall(r"`(\w+)`", text))
