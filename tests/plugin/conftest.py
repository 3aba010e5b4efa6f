"""A project to run pytest in: cases, a pool of GPUs as NVML would show it, and the stand-in engine on the PATH.

The stand-in is for what pytest does around an engine. What the product says of a real engine is tested in
`tests/engine/`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# A run within the test's process drops what it was the first to import, and NumPy cannot be loaded twice.
import numpy  # noqa: F401
import pytest

FAKE_BIN = Path(__file__).parents[1] / "fake_bin"

CASE = """
defaults:
  env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}
cases:
  tiny:
    summary: the smallest case
    marks: [nightly]
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    args: {prompt: a cat, width: 832, height: 480, num-frames: 17, num-inference-steps: 20, seed: 42}
    launches: {baseline: 5, looks: [1, 3, 5]}
    timeout: 60s
"""


class Project:
    """A pytest root with cases, run in subprocesses as a user would."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester, self._monkeypatch = pytester, monkeypatch
        self.root = pytester.path
        monkeypatch.setenv("PATH", f"{FAKE_BIN}:{Path(sys.executable).parent}:/usr/bin:/bin")
        monkeypatch.setenv("SGDIFF_LOCK_DIR", str(self.root / "locks"))
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        # Only what is named is loaded: other plugins of the environment have their own test.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("COLUMNS", "200")
        (self.root / "pytest.ini").write_text("[pytest]\n")
        self.gpus(4)

    def gpus(self, count: int, *, name: str = "NVIDIA H200") -> None:
        """Let the machine have so many idle GPUs."""
        gpus = [
            {
                "facts": {
                    "uuid": f"GPU-00000000-0000-4000-8000-{number:012d}",
                    "nvml_index": number,
                    "name": name,
                    "memory_mb": 143771,
                    "pci": f"00000000:{number:02x}:00.0",
                    "power_limit_w": 700.0,
                    "sm_clock_max_mhz": 1980,
                    "mem_clock_max_mhz": 3201,
                    "persistence": True,
                },
                "state": {"used_mb": 0, "util_pct": 0, "sm_mhz": 1980, "temperature_c": 40, "reasons": 0},
                "processes": [],
            }
            for number in range(count)
        ]
        path = self.root / "nvml.json"
        path.write_text(json.dumps({"driver": "580.159.04", "cuda": "13.0", "gpus": gpus}))
        self._monkeypatch.setenv("SGDIFF_NVML_FILE", str(path))

    def no_gpus(self) -> None:
        """Let the machine have no NVIDIA driver."""
        path = self.root / "nvml.json"
        path.write_text(json.dumps({"error": "NVML Shared Library Not Found"}))
        self._monkeypatch.setenv("SGDIFF_NVML_FILE", str(path))

    def setenv(self, name: str, value: str) -> None:
        """Set a variable for the runs to come."""
        self._monkeypatch.setenv(name, value)

    def engine(self, scenario: str) -> None:
        """Choose how the stand-in engine behaves in the runs to come."""
        self._monkeypatch.setenv("SGDIFF_FAKE_SCENARIO", scenario)

    def write(self, path: str, text: str) -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest with the plugin and xdist loaded."""
        return self._pytester.runpytest_subprocess(
            "-p", "pytest_sgdiff.plugin", "-p", "xdist.plugin", *arguments, timeout=120
        )

    def baseline(self, *arguments: str) -> pytest.RunResult:
        """Record baselines of what the engine does now."""
        result = self.run("--sgdiff-gpus=4", "--sgdiff-update", *arguments)
        assert result.ret == 0, result.stdout.str()
        return result


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one case, `cases/tiny.yaml::tiny`."""
    made = Project(pytester, monkeypatch)
    made.write("cases/tiny.yaml", CASE)
    return made
