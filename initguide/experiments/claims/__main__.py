"""Run the experiments of all claims, so that their rows are stored: `python -m` this package."""

import os
from concurrent.futures import ProcessPoolExecutor

from initguide.experiments.claims import CLAIMS, evaluate


def _run(index: int) -> None:
    # The index, because the functions of a claim cannot be pickled.
    evaluate(CLAIMS[index])


if __name__ == "__main__":
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(_run, range(len(CLAIMS))):
            pass
