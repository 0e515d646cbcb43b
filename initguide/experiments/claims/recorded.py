"""Rows that are kept: one run serves an example, the table of claims and the tests."""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def recorded(run: Callable[P, T]) -> Callable[P, T]:
    """Keep what an experiment returns in the folder that `INITGUIDE_RECORDS` names, if it is set.

    Whoever sets it must name another folder for other sources or other versions of the libraries:
    an entry's key knows the function and its arguments, not what the function calls.
    """
    signature = inspect.signature(run)

    @wraps(run)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = os.environ.get("INITGUIDE_RECORDS")
        if not folder:
            return run(*args, **kwargs)
        # It comes with scikit-learn, whose digits the experiments train on.
        from joblib import Memory

        # A default that is written out, or a range instead of a list, is the same experiment.
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        arguments = {
            name: tuple(value) if isinstance(value, (range, list)) else value
            for name, value in given.arguments.items()
        }
        memory: Any = Memory(folder, verbose=0).cache(run)
        return memory(**arguments)

    return kept
