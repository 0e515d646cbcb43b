"""Stored rows: the example, the table of claims and the tests share one run."""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def recorded(run: Callable[P, T]) -> Callable[P, T]:
    """Store the rows of an experiment in the folder `INITGUIDE_RECORDS`, if that variable is set.

    The key of an entry depends on the function and its arguments, but not on the functions that it
    calls. So other sources or other library versions need another folder.
    """
    signature = inspect.signature(run)

    @wraps(run)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = os.environ.get("INITGUIDE_RECORDS")
        if not folder:
            return run(*args, **kwargs)
        # joblib is installed with scikit-learn, which the experiments need for the digits.
        from joblib import Memory

        # Defaults may be written out, and seeds may be a range: the experiment is the same.
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        arguments = {
            name: tuple(value) if isinstance(value, (range, list)) else value
            for name, value in given.arguments.items()
        }
        memory: Any = Memory(folder, verbose=0).cache(run)
        return memory(**arguments)

    return kept
