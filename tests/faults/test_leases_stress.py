"""Leases from many processes that are killed at random: never two owners, no leak, no deadlock, nobody starved.

How fast that goes is measured by `benchmarks/lease_stress.py`; here a slow machine only takes longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults


def test_the_leases_of_two_runs_survive_random_kills(tmp_path: Path) -> None:
    """Two runs side by side on eight GPUs, one of them with a budget of four; four workers each. That every worker gets
    its leases ends the program: nobody starves."""
    script = Path(__file__).with_name("lease_stress.py")
    work = {"workers": 8, "runs": 2, "each": 25, "kills": 40, "seed": 20261124}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), json.dumps(work)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["violations"] == 0
    assert told["fewest"] >= 25
    assert told["left"] == {"queue": [], "lease": [], "launch": []}
