"""The main job on recordings of real launches: what a gate prints, and the exit code that it would give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent

COMMAND = (
    "pytest",
    "--sgdiff-replay=examples/recordings",
    "--sgdiff-baselines=examples/baselines",
    "examples/cases/demo.yaml",
)

MEANING = {
    0: "every case passed",
    1: "a case regressed, or a launch cannot be trusted: the gate holds the change back",
    2: "the run was interrupted",
    4: "an option is wrong",
}

GATE_EXIT = 1
"""What the bundled recordings deserve: one engine in them really is slower."""


def main() -> int:
    print(f"$ {' '.join(COMMAND)}\n", flush=True)
    done = subprocess.run([sys.executable, "-m", *COMMAND], cwd=EXAMPLES.parent, check=False)
    print(f"\nA gate would exit with {done.returncode}: {MEANING.get(done.returncode, 'pytest could not run')}.")
    if done.returncode != GATE_EXIT:
        print(f"These recordings should have given {GATE_EXIT}: something is wrong with this installation.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
