"""A project to run pytest in: cases, a pool of GPUs as NVML would show it, and the stand-in engine on the PATH.

The stand-in is for what pytest does around an engine. What the product says of a real engine is tested in
`tests/engine/`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pkgutil
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

# A run within the test's process drops what it was the first to import, and NumPy cannot be loaded twice.
import numpy  # noqa: F401
import pytest

import pytest_sgdiff

FAKE_BIN = Path(__file__).parents[1] / "fake_bin"
PLUGINS = ("-p", "pytest_sgdiff.plugin", "-p", "xdist.plugin")

# What a test with pytester imports, it takes out again: half of our modules would then know other classes than the
# rest, and numpy does not bear it. So everything is imported before.
for name in (
    *("jinja2", "pynvml", "scipy.optimize", "scipy.special", "scipy.stats", "yaml"),
    *("PIL.Image", "scipy.ndimage", "scipy.spatial", "skimage.metrics._structural_similarity"),
):
    importlib.import_module(name)
for module in pkgutil.walk_packages(pytest_sgdiff.__path__, "pytest_sgdiff."):
    importlib.import_module(module.name)

CASE = """
defaults:
  env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}
cases:
  tiny:
    summary: the smallest case
    marks: [nightly]
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    args: {prompt: a cat, width: 832, height: 480, num-frames: 17, num-inference-steps: 20, seed: 42}
    launches: {baseline: 5, checkpoints: [1, 3, 5]}
    timeout: 60s
"""


class Project:
    """A pytest root with cases, run as a user would. `kept` is where that is kept which runs left."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
        self._pytester, self._monkeypatch, self._kept = pytester, monkeypatch, kept
        self.root = pytester.path
        monkeypatch.setenv("PATH", f"{FAKE_BIN}:{Path(sys.executable).parent}:/usr/bin:/bin")
        monkeypatch.setenv("SGDIFF_LOCK_DIR", str(self.root / "locks"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.root / ".cache"))
        monkeypatch.delenv("CI", raising=False)
        for variable in (
            *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"),
            *("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"),
        ):
            monkeypatch.delenv(variable, raising=False)
        # Only what is named is loaded: other plugins of the environment have their own test.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("COLUMNS", "200")
        (self.root / "pytest.ini").write_text("[pytest]\n")
        self.gpus(4)

    def gpus(self, count: int, *, name: str = "NVIDIA H200", first: str | None = None) -> None:
        """Let the machine have so many idle GPUs, of which the first may be another product."""
        gpus = [
            {
                "facts": {
                    "uuid": f"GPU-00000000-0000-4000-8000-{number:012d}",
                    "nvml_index": number,
                    "name": name if number or first is None else first,
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

    def busy(self, *, only: int | None = None) -> None:
        """Let a process that is none of ours run on every GPU of the machine, or on one."""
        path = self.root / "nvml.json"
        document = json.loads(path.read_text())
        for gpu in document["gpus"] if only is None else [document["gpus"][only]]:
            gpu["processes"] = [{"pid": 419, "name": "python3", "used_mb": 1002}]
        path.write_text(json.dumps(document))

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

    def help(self, *flags: str, version: str) -> Path:
        """Let the engine call itself `version` and its help show, beside the flags that every launch here needs, those
        of `flags`, as argparse writes them (`--width WIDTH`). Returns the file that counts how often it was asked."""
        needed = (
            *("--model-path MODEL_PATH", "--prompt PROMPT", "--width WIDTH", "--height HEIGHT", "--seed SEED"),
            *("--num-frames NUM_FRAMES", "--num-inference-steps NUM_INFERENCE_STEPS", "--num-gpus NUM_GPUS"),
            *("--perf-dump-path PATH", "--output-path PATH", "--master-port PORT", "--scheduler-port PORT"),
            *("--port PORT", "--strict-ports [STRICT_PORTS]", "--warmup-mode {off,request,server}"),
            "--disable-conditioning-cache",
        )
        lines = ["usage: sglang [-h] ...", "", "options:", "  -h, --help            show this help message and exit"]
        path = self.write("help.txt", "\n".join([*lines, *(f"  {flag}" for flag in (*needed, *flags))]))
        self.setenv("SGDIFF_FAKE_HELP", str(path))
        self.setenv("SGDIFF_FAKE_VERSION", "0.5.23")
        self.setenv("SGDIFF_FAKE_CALLED", version)
        return path.with_name("help.txt.asked")

    def write(self, path: str, text: str) -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest with the plugin and xdist loaded: in this process, which spares a second of imports. Workers, if
        any, are processes of their own."""
        # Some releases of pytest warn that the plugin, which the outer run has imported, cannot be rewritten.
        quiet = "-Wignore::pytest.PytestAssertRewriteWarning"
        return self._pytester.runpytest_inprocess(*PLUGINS, quiet, *arguments)

    def run_apart(self, *arguments: str) -> pytest.RunResult:
        """The same in a process of its own, with pipes for its output, and with what this process settled before, such
        as where temporary files go, still open."""
        return self._pytester.runpytest_subprocess(*PLUGINS, *arguments, timeout=120)

    def record(self, *arguments: str) -> pytest.RunResult:
        """Record baselines of what the engine does now."""
        result = self.run("--sgdiff-gpus=4", "--sgdiff-update", *arguments)
        assert result.ret == 0, result.stdout.str()
        return result

    def baseline(self, *arguments: str) -> None:
        """Have what `record` leaves below the root, recorded by the first test that asks for the same of the same.

        The stand-in is deterministic: for tests of what comes after a recording.
        """
        self.kept("--sgdiff-gpus=4", "--sgdiff-update", *arguments)

    def kept(self, *arguments: str) -> None:
        """Have what a run that passes leaves below the root, run by the first test that asks for the same of the same
        files, with the same variables."""
        variables = sorted(
            (name, value.replace(str(self.root), ""))
            for name, value in os.environ.items()
            if not name.startswith("PYTEST_")
        )
        given = hashlib.sha256(repr((arguments, variables)).encode())
        for path in self._files():
            given.update(repr((str(path), (self.root / path).read_bytes())).encode())
        kept = self._kept / given.hexdigest()
        if not kept.exists():
            before = set(self._files())
            result = self.run(*arguments)
            assert result.ret == 0, result.stdout.str()
            made = kept.with_name(f"{kept.name}-{os.getpid()}")
            for path in set(self._files()) - before:
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / path, made / path)
            try:
                made.rename(kept)
            except OSError:  # another worker's test was first
                shutil.rmtree(made)
        shutil.copytree(kept, self.root, dirs_exist_ok=True)

    def _files(self) -> Iterator[Path]:
        """What a run reads and leaves, from the root; not what pytest and pytester have for themselves."""
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root)
            own = name.parts[0] in ("locks", "stdout", "stderr") or name.parts[0].startswith((".", "runpytest"))
            if path.is_file() and not own and "__pycache__" not in name.parts:
                yield name


@pytest.fixture(scope="session")
def kept_baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers share."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "kept-baselines"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kept_baselines: Path) -> Project:
    """A project with one case, `cases/tiny.yaml::tiny`."""
    made = Project(pytester, monkeypatch, kept_baselines)
    made.write("cases/tiny.yaml", CASE)
    return made
