"""Print the python blocks of a Markdown file, one after the other: `snippet.py README.md`."""

import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def code(markdown: str) -> str:
    """Return the file's python blocks as one program."""
    return "\n".join(_BLOCK.findall(markdown))


if __name__ == "__main__":
    sys.stdout.write(code(Path(sys.argv[1]).read_text(encoding="utf-8")))
