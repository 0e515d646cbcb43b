"""README's picture is the one that the code draws now."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "assets" / "picture.svg"


def coordinates(svg):
    paths = re.findall(r' d="([^"]*)"', svg)
    return [float(number) for path in paths for number in re.findall(r"-?[\d.]+", path)]


def test_the_picture_is_up_to_date():
    code = "import picture; print(picture.picture())"
    drawn = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "scripts",
        env={"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # Another processor may round otherwise, by less than anybody sees.
    expected = coordinates(PICTURE.read_text(encoding="utf-8"))
    assert len(expected) > 1000
    assert coordinates(drawn) == pytest.approx(expected, abs=0.2), "run `make picture`"
