"""Run all claims' experiments, so that what they give is kept: `python -m` this package."""

import os
from concurrent.futures import ProcessPoolExecutor

from initguide.experiments.claims import CLAIMS, judge


def _run(index: int) -> None:
    # By its number: a claim's functions cannot travel between processes.
    judge(CLAIMS[index])


if __name__ == "__main__":
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(_run, range(len(CLAIMS))):
            pass
