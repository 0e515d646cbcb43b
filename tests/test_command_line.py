"""The command line: exit codes, formats, errors of one line, and a first line that comes early."""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from initguide.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
MODELS = """
import torch
from torch import nn
import initguide as init


def drawn():
    model = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))
    init.initialize_(model, "kaiming", seed=0)
    return model


def skipped():
    return nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))


def failing():
    raise RuntimeError("no weights here")


class Built(nn.Linear):
    def __init__(self):
        super().__init__(64, 300)
        init.initialize_(self, "xavier", seed=1)


def batch():
    return torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
"""


class Done(NamedTuple):
    """The exit code of a command, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a folder that holds the module `things`."""
    (tmp_path / "things.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run_(*arguments):
        sys.modules.pop("things", None)
        importlib.invalidate_caches()
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = stopped.code
        return Done(code, *capsys.readouterr())

    yield run_
    sys.modules.pop("things", None)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["audit", "things:drawn", "--recipe", "kaiming"], 0, "nothing found wrong"),
        (["audit", "things:skipped", "--recipe", "kaiming"], 1, "torch default"),
        (["audit", "things:Built", "--recipe", "xavier"], 0, "nothing found wrong"),
        (["plan", "things:skipped"], 0, "kaiming_normal_"),
        (["measure", "things:drawn", "--batch", "things:batch"], 0, "nothing found wrong"),
    ],
)
def test_a_command_prints_its_report_and_exits_with_a_code(run, arguments, code, words):
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["audit", "things:failing"], "error: RuntimeError: no weights here"),
        (["audit", "things"], "factory must be module:function; got 'things'"),
        (["audit", "things:absent"], "factory must name a function of things; got 'absent'"),
        (["audit", "nothing_there:f"], "error: ModuleNotFoundError: No module named"),
        (["audit", "things:drawn", "--recipe", "llama"], "recipe must be"),
        (["audit", "things:drawn", "--recipe", "megatron"], "needs a weight with the role"),
        (["audit", "things:drawn", "--option", "n_layers=many"], "an option is name=number"),
        (["audit", "things:drawn", "--option", "mup=2"], "recipe 'auto' has no options"),
        (["measure", "things:drawn"], "measure needs a batch: pass --batch"),
        (["audit", "things:drawn", "--values"], "--values needs a file to save to: pass --save"),
        (["audit", "things:drawn", "--compare", "none.json"], "got none at 'none.json'"),
        (["audit", "things:batch"], "model must be an nn.Module"),
    ],
)
def test_a_wrong_command_exits_with_two_and_one_line(run, arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_baseline_is_saved_and_compared(run):
    audit = ["--recipe", "kaiming", "--save", "weights.json"]
    assert run("audit", "things:drawn", *audit, "--values").returncode == 0
    compare = ["--recipe", "kaiming", "--compare", "weights.json"]
    same = run("audit", "things:drawn", *compare)
    assert same.returncode == 0
    assert "compared with 'weights.json': 4 parameters" in same.stdout
    # The baseline knows the findings of the recipe, so that they are no change.
    assert run("audit", "things:skipped", *audit).returncode == 1
    assert run("audit", "things:skipped", *compare).returncode == 0
    changed = run("audit", "things:drawn", *compare, "--format", "json")
    assert changed.returncode == 1
    assert {row["what"] for row in json.loads(changed.stdout)["rows"]} >= {"finding"}
    Path("weights.json").write_text('{"parameters": {"x": {}}}', encoding="utf-8")
    assert run("audit", "things:drawn", *compare).returncode == 2
    assert run("audit", "things:drawn", "--compare", "absent.json").returncode == 2


def test_the_formats_hold_the_same_findings(run):
    command = ["audit", "things:skipped", "--recipe", "kaiming", "--format"]
    report = json.loads(run(*command, "json").stdout)
    assert not report["ok"]
    assert "torch default" in {each["kind"] for each in report["findings"]}
    assert "| parameter |" in run(*command, "markdown").stdout


def started(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_help_is_quick_and_comes_without_torch():
    start = time.perf_counter()
    done = started("-m", "initguide", "--help")
    assert time.perf_counter() - start < 3
    assert "exit codes: 0 nothing was found" in done.stdout
    code = "import sys, initguide.__main__; print('torch' in sys.modules)"
    assert started("-c", code).stdout.strip() == "False"


def test_the_search_path_is_as_before(run):
    before = list(sys.path)
    run("plan", "things:skipped")
    run("plan", "things:failing")
    assert sys.path == before
