"""A small sample of each output of a launch, whatever the files are: in bounded memory and time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest_sgdiff
from pytest_sgdiff.data import OutputFile, OutputSample
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files.wire import from_plain
from pytest_sgdiff.quality import limits

_MESHES: Final = {".obj": "obj", ".glb": "glb"}
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def samples(folder: str, outputs: Sequence[OutputFile], *, seconds: float = limits.SECONDS) -> tuple[OutputSample, ...]:
    """A sample of each picture, video and mesh among the outputs that lie in `folder`, in their order.

    Files of other kinds, as sound or tables, have none; where all are of other kinds, the first one says so. Of more
    than FILES_AT_MOST the rest are said to be left out.
    """
    forms = [(file, form) for file in outputs if (form := form_of(os.path.join(folder, file.name)))]
    if outputs and not forms:
        return (OutputSample(name=outputs[0].name, flaw="format"),)
    found = [
        replace(_sample(form, os.path.join(folder, file.name), seconds), name=file.name)
        for file, form in forms[: limits.FILES_AT_MOST]
    ]
    found += [OutputSample(name=file.name, flaw="left-out") for file, _ in forms[limits.FILES_AT_MOST :][:1]]
    return tuple(found)


def form_of(path: str) -> str | None:
    """`png`, `jpeg`, `webp`, `mp4`, `obj` or `glb`: what SGLang writes, by how the file begins; None for others."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:4] == b"glTF":
        return "glb"
    # A text without a mark: its name says what it is.
    return "obj" if _MESHES.get(Path(path).suffix.lower()) == "obj" else None


def _sample(form: str, path: str, seconds: float) -> OutputSample:
    environment = {**os.environ, **_ONE_THREAD}
    package = str(Path(pytest_sgdiff.__file__).parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH", ""))))
    argv = [sys.executable, "-m", "pytest_sgdiff.quality.child", form, os.path.abspath(path)]
    try:
        # In a folder where nobody else's modules lie.
        ran = subprocess.run(argv, cwd="/", env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return OutputSample(flaw="too-slow", said=f"{seconds:g} s")
    except OSError as error:
        return OutputSample(flaw="unreadable", said=error.strerror or str(error))
    return _read(ran.stdout) or OutputSample(flaw="too-large" if _no_memory(ran) else "unreadable", said=_last(ran))


def _no_memory(ran: subprocess.CompletedProcess[bytes]) -> bool:
    """Whether the process ended since it got no more memory: killed by the kernel, or a library gave up."""
    return -ran.returncode in (signal.SIGKILL, signal.SIGABRT) or b"MemoryError" in ran.stderr


def _last(ran: subprocess.CompletedProcess[bytes]) -> str:
    lines = ran.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else f"its reader ended with {ran.returncode}"


def _read(printed: bytes) -> OutputSample | None:
    try:
        return from_plain(OutputSample, json.loads(printed))
    except (ValueError, WireError):
        return None
