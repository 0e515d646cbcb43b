"""The tests can fail: each of these faults, planted in the package, turns one of them red."""

import multiprocessing
import os
import sys
from pathlib import Path

import pytest
from faults import FAULTS, plant

ROOT = Path(__file__).resolve().parents[1]
# Everything slow that the tests import, except the package itself.
SLOW_IMPORTS = [
    *("torch", "scipy.stats", "hypothesis", "pytest_examples"),
    *("playwright.sync_api", "mkdocs.config.defaults"),
]
# Nothing is written, and what would take longer than most tests is left out: assertions are not
# rewritten, and memory is not searched for errors that nobody could catch.
OPTIONS = ["-x", "-q", "--assert=plain", f"--rootdir={ROOT}"]
OPTIONS += ["-p", "no:cacheprovider", "-p", "no:unraisableexception"]


def run_tests(fault: str, output: Path) -> None:
    """Plant a fault in this process and run the tests that must notice it."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    plant(fault)
    with output.open("w") as sys.stdout:
        code = pytest.main([*OPTIONS, str(ROOT / "tests" / FAULTS[fault].tests)])
    os._exit(code)


@pytest.fixture(scope="module")
def processes():
    """Return a source of processes that have imported the slow libraries, but not the package."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SLOW_IMPORTS)
    return context


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_noticed(fault, tmp_path, processes):
    output = tmp_path / "output"
    run = processes.Process(target=run_tests, args=(fault, output))
    run.start()
    run.join()
    printed = output.read_text() if output.exists() else "the fault could not be planted"
    assert run.exitcode == 1, printed
    assert "1 failed" in printed
