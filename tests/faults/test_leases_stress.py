"""Thousands of leases from many processes that are killed at random: never two owners, no leak, no deadlock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_two_thousand_leases_of_two_runs_survive_random_kills(tmp_path: Path) -> None:
    """Two runs side by side on eight GPUs, one of them with a budget of four; four workers each."""
    script = Path(__file__).with_name("lease_stress.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "8", "2", "2000", "60", "20261124"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["violations"] == 0
    assert told["leases"] >= 2000
    assert told["fewest"] >= 50
    assert told["kills"] >= 50
    assert told["killed_holding"] >= 5
    assert told["left"] == {"queue": [], "lease": [], "launch": []}
    assert told["recovered_s"] < 5
