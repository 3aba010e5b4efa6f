"""A project that measures the real engine, on the CPU or on a GPU, run as a user runs it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent


def write_picture(path: pathlib.Path, *, size: int = 128) -> None:
    """A PNG with a gradient: the picture that an editing model is given."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(size) for value in (x * 255 // size, y * 255 // size, 128))
        for y in range(size)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


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
