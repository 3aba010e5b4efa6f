"""A project that measures the real engine, on the CPU or on a GPU, run as a user runs it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A pytest run that has ended: its exit code, its output, and the one case of its JSON report, if there is any."""

    returncode: int
    output: str = field(repr=False)
    case: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project with one case file, as a user has it. `gpus` is what `--sgdiff-gpus` gets, if anything."""

    folder: pathlib.Path
    engine: str
    gpus: str

    def write_case(self, text: str) -> None:
        """Write `cases/tiny.yaml`."""
        schema = ROOT / "pytest_sgdiff" / "case.schema.json"
        (self.folder / "cases").mkdir(exist_ok=True)
        (self.folder / "cases" / "tiny.yaml").write_text(f"# yaml-language-server: $schema={schema}\n{text}")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start pytest in the project, by its command line."""
        argv = [sys.executable, "-m", "pytest", f"--sgdiff-engine-cmd={self.engine}"]
        argv += [f"--sgdiff-gpus={self.gpus}"] if self.gpus else []
        argv += [f"--sgdiff-report={self.folder / 'report.json'}", "-p", "no:randomly", *arguments]
        # In CI, baselines would go to a folder of candidates.
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        return subprocess.Popen(
            argv, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def pytest(self, *arguments: str) -> Ran:
        """Run pytest in the project to its end."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=3600)
        except BaseException:
            # Not killed, so that it ends its engine.
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
        print(output)
        cases = json.loads(report.read_text())["cases"] if report.exists() else []
        return Ran(returncode=process.returncode, output=output, case=cases[0] if cases else None)

    def baselines(self) -> dict[pathlib.Path, bytes]:
        """The baseline files and what is in them."""
        return {path: path.read_bytes() for path in sorted((self.folder / "baselines").rglob("*.json"))}

    def copy_to(self, folder: pathlib.Path) -> Project:
        """A copy of the project, baselines and all."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)
