"""Rows that are kept: one run serves an example, the table of claims and the tests."""

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

    @wraps(run)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = os.environ.get("INITGUIDE_RECORDS")
        if not folder:
            return run(*args, **kwargs)
        # It comes with scikit-learn, whose digits the experiments train on.
        from joblib import Memory

        kept_run: Any = Memory(folder, verbose=0).cache(run)
        return kept_run(*args, **kwargs)

    return kept
