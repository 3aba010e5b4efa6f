"""The main job on recordings of real launches: what a gate prints, and the exit code that it would give."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent

COMMAND = (
    "pytest",
    "--sgdiff-replay=examples/recordings/h200",
    "--sgdiff-baselines=examples/baselines",
    "--sgdiff-assets=examples/assets",
    "examples/cases/demo.yaml",
)

MEANING = {
    0: "every case passed",
    1: "a case regressed, or a launch cannot be trusted: the gate holds the change back",
    2: "the run was interrupted",
    4: "an option is wrong",
}

GATE_EXIT = 1
COUNTS = "sgdiff: measured 13 of 18 · 5 pass · 4 regressed · 4 inconclusive · 1 no-baseline · 4 invalid"
"""What the bundled recordings deserve: four engines in them really are slower, or take more memory."""


def main() -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of a terminal that has no such signs
    print(f"$ {' '.join(COMMAND)}\n", flush=True)
    pytest = subprocess.Popen(
        [sys.executable, "-m", *COMMAND],
        cwd=EXAMPLES.parent,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert pytest.stdout is not None
    counted = False
    for line in pytest.stdout:
        print(line, end="", flush=True)
        counted = counted or COUNTS in line
    code = pytest.wait()
    print(f"\nA gate would exit with {code}: {MEANING.get(code, 'pytest could not run')}.")
    if code != GATE_EXIT or not counted:
        print(f"These recordings give {GATE_EXIT} and `{COUNTS}`: something is wrong with this installation.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
