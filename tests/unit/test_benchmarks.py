"""The programs that measure what is claimed. They are run by hand, so a test shows at least that each one loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"

LOAD_ALL = """
import importlib, pathlib, sys
sys.path[:0] = [sys.argv[1], str(pathlib.Path(sys.argv[1]).parent)]
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    importlib.import_module(path.stem)
    print(path.stem)
"""


def test_every_program_loads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, str(FOLDER)], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(path.stem for path in FOLDER.glob("*.py"))
