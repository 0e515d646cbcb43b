"""What all tests share: one thread, no windows, closed figures, errors that name their page."""

import os

# Before torch, matplotlib and JAX are imported: the machine's cores and screen must not matter.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# A test runs a program of JAX once or twice, so most of its time would go into its optimization.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import gc
import sys
import traceback

import cache
import claims

# Of the claims that a build has run, none runs again unless a file that it loaded has changed.
os.environ["INITGUIDE_RECORDS"] = str(claims.records(cache.hashes()))

import pytest
import pytest_examples.run_code
from browsing import address as address
from browsing import browser as browser
from browsing import chromium as chromium
from browsing import pages as pages
from browsing import playwright as playwright
from browsing import site as site
from pytest_examples import CodeExample


def note_the_page(error: Exception, module_path: str, example: CodeExample) -> None:
    """Add the page, line and source line of an example's error to its message.

    pytest-examples 0.0.18 forges a frame instead, and on Python 3.11 passes it `co_lnotab` where
    `co_linetable` belongs, so that an example that raises takes pytest down with it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    for frame in frames:
        if frame.filename == module_path:
            line = (frame.lineno or 0) + example.start_line
            error.add_note(f"{example.path}:{line}: {frame.line}")


pytest_examples.run_code.create_example_traceback = note_the_page


# Files whose tests take longest. They start first, so that no worker ends alone with one of them.
LONG = (
    "test_breaks.py",
    "test_models.py",
    "test_ranks.py",
    "test_browser.py",
    "test_publishing.py",
    "test_docs.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish():
    # The modules and the tests stay until the end. The garbage collector took a tenth of the time,
    # because it looked at them again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
