"""On 1, 2 and 4 processes: bit for bit what one process gives."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("ranks.py")


def test_all_ranks_together_hold_what_one_process_would():
    run = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
