"""JavaScript modules in one file: each of many small ones would cost a reader one more request.

A module becomes a function that returns its exports, so names may recur from module to module. Of
the language's forms two are understood, at the start of a line: `import { a } from "./b.js";` and
`export` before a `const`, a `class` or a `function`. Any other is an error.
"""

import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import (\{ [\w, ]+ \}) from "\./(\w+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|class|function\*?) (\w+))", re.MULTILINE)
# Python's own, in a text of a module, are none.
_LEFT = re.compile(r"^(?:import (?:[{*\"']|\w+(?:,| from))|export ).*", re.MULTILINE)


def joined(entry: str, sources: Mapping[str, str]) -> str:
    """Return the module `entry` with all that it imports; `sources` are texts by their names."""
    functions: dict[str, str] = {}

    def within(name: str) -> str:
        """Return a module's text with its imports taken from the functions' results."""
        for _, imported in _IMPORT.findall(sources[name]):
            if imported not in functions:
                text = within(imported)
                exports = ", ".join(_EXPORT.findall(text))
                body = _EXPORT.sub("", text)
                functions[imported] = f"(() => {{\n{body}return {{ {exports} }};\n}})()"
        return _IMPORT.sub(r'const \1 = MODULES["\2"];', sources[name])

    text = within(entry)
    if left := _LEFT.findall("\n".join([_EXPORT.sub("", text), *functions.values()])):
        raise ValueError(f"{entry} must import and export by name; got {left[0]!r}")
    parts = [f'MODULES["{name}"] = {function};' for name, function in functions.items()]
    return "\n".join(["const MODULES = {};", *parts, text])
