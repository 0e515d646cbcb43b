"""What is kept holds for the files that its run loaded, and for no other state of them."""

import os
import time
from pathlib import Path

import cache
import pytest
import sites

RECORDED = sites.ROOT / "initguide/experiments/claims/recorded.py"
CLAIM = """
from pathlib import Path
from types import SimpleNamespace

from initguide.experiments.claims.recorded import recorded


@recorded
def run(seeds=range(5)):
    from initguide import HELPER

    with Path("ran").open("a") as file:
        file.write("claim NAME\\n")
    return [{"value": HELPER.VALUE}]


CLAIM = SimpleNamespace(run=run)
"""
PAGE = """# Title of NAME

```python
from pathlib import Path

from initguide import three
from initguide.experiments.claims import NAME

with Path("ran").open("a") as file:
    file.write("page NAME\\n")
rows = NAME.run()
```

It is {{ rows[0]["value"] }} of {{ three.VALUE }}.
"""


def claim(name: str, helper: str) -> str:
    return CLAIM.replace("NAME", name).replace("HELPER", helper)


FILES = {
    "initguide/__init__.py": "",
    "initguide/one.py": "VALUE = 1\n",
    "initguide/two.py": "VALUE = 2\n",
    "initguide/three.py": "VALUE = 3\n",
    "initguide/unused.py": "VALUE = 4\n",
    "initguide/experiments/__init__.py": "",
    "initguide/experiments/claims/__init__.py": "",
    "initguide/experiments/claims/claim.py": "def evaluate(claim):\n    claim.run(range(5))\n",
    "initguide/experiments/claims/recorded.py": RECORDED.read_text(encoding="utf-8"),
    "initguide/experiments/claims/first.py": claim("first", "one"),
    "initguide/experiments/claims/second.py": claim("second", "two"),
    "docs/index.md": PAGE.replace("NAME", "first"),
    "docs/other.md": PAGE.replace("NAME", "second"),
}


def rerun(root: Path, files: dict[str, str]) -> list[str]:
    """Write the files, build, and return what ran, in order of the names."""
    (root / "ran").write_text("")
    sites.write(root, files)
    code, log = sites.build(root)
    assert code == 0, log
    return sorted((root / "ran").read_text().splitlines())


def shown(root: Path, page: str) -> str:
    text = (root / "site" / page).read_text(encoding="utf-8")
    return next(line for line in text.splitlines() if "It is" in line)


def test_an_edit_runs_again_what_loads_the_file_and_nothing_else(tmp_path: Path):
    root = sites.make(tmp_path, FILES)
    everything = ["claim first", "claim second", "page first", "page second"]
    assert rerun(root, {}) == everything
    assert "It is 1 of 3" in shown(root, "index.html")
    assert rerun(root, {}) == []
    assert rerun(root, {"initguide/unused.py": "VALUE = 5\n"}) == []
    # A page's process takes a claim's rows from the records, and need not load what the claim did.
    assert rerun(root, {"initguide/one.py": "VALUE = 10\n"}) == ["claim first", "page first"]
    assert "It is 10 of 3" in shown(root, "index.html")
    assert rerun(root, {"initguide/three.py": "VALUE = 30\n"}) == ["page first", "page second"]
    assert "It is 10 of 30" in shown(root, "index.html")
    assert "It is 2 of 30" in shown(root, "other/index.html")
    edited = {"initguide/experiments/claims/second.py": claim("second", "two") + "# edited\n"}
    assert rerun(root, edited) == ["claim second", "page second"]
    # Back to an earlier state, which is not kept beside the new one.
    assert rerun(root, {"initguide/one.py": "VALUE = 1\n"}) == ["claim first", "page first"]
    assert "It is 1 of 30" in shown(root, "index.html")
    assert rerun(root, {"initguide/__init__.py": "# edited\n"}) == everything


def test_an_edit_during_a_run_is_not_missed(tmp_path: Path):
    edit = "Path('initguide/one.py').write_text('VALUE = 100\\n')\n"
    page = (
        "# Home\n\n```python\nfrom pathlib import Path\n\nfrom initguide import one\n\n"
        f"if one.VALUE == 1:\n    {edit}```\n\nIt is {{{{ one.VALUE }}}}.\n"
    )
    root = sites.make(tmp_path, {"initguide/one.py": "VALUE = 1\n", "docs/index.md": page})
    assert sites.build(root)[0] == 0
    assert sites.build(root)[0] == 0
    assert "It is 100." in shown(root, "index.html")


def test_cache_keys_tell_parts_apart_and_unused_entries_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert cache.key("ab", "c") == cache.key("ab", b"c") != cache.key("a", "bc")
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    cache._prune.cache_clear()
    old, used = tmp_path / "old", tmp_path / "used"
    for path in (old, used):
        path.write_bytes(b"\x80\x04N.")
        os.utime(path, (time.time() - 31 * 24 * 3600,) * 2)
    assert cache.load("used") is None
    cache.store("new", {"a": 1})
    assert cache.load("new") == {"a": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "used"]
