"""Records do not change: caches hold them, and a caller may keep them."""

import importlib
import inspect
import pkgutil
from dataclasses import is_dataclass

import pytest

import initguide as init

# What a run or a trace fills step by step.
GROWING = {"Flows", "GraphFacts", "History", "Layer", "ModelGraph", "Recording", "Trace"}
NAMES = [each.name for each in pkgutil.walk_packages(init.__path__, "initguide.")]


# The experiments of papers take long to import.
@pytest.mark.parametrize("name", [n for n in NAMES if ".claims" not in n and "__main__" not in n])
def test_a_record_is_frozen_unless_a_run_fills_it(name):
    module = importlib.import_module(name)
    for own, kind in inspect.getmembers(module, inspect.isclass):
        if is_dataclass(kind) and kind.__module__ == name:
            assert kind.__dataclass_params__.frozen == (own not in GROWING), own
