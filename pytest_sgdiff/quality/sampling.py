"""A small sample of each output of a launch, whatever the files are: in bounded memory and time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

import pytest_sgdiff
from pytest_sgdiff.data import OutputFile, OutputSample
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files.wire import from_plain
from pytest_sgdiff.quality import limits
from pytest_sgdiff.quality.reference import content_of

_MESHES: Final = {".obj": "obj", ".glb": "glb"}
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def samples(folder: str, outputs: Sequence[OutputFile], *, seconds: float = limits.SECONDS) -> tuple[OutputSample, ...]:
    """A sample of each picture, video and mesh among the outputs that lie in `folder`, in their order.

    Files of other kinds, as sound or tables, have none; where all are of other kinds, the first one says so. What goes
    beyond the limits of one launch (`limits.py`: files, bytes, time) says each that it is left out. One file may take
    so many `seconds`.
    """
    forms = [(file, form) for file in outputs if (form := form_of(os.path.join(folder, file.name)))]
    if outputs and not forms:
        return (OutputSample(name=outputs[0].name, flaw="format"),)
    known: dict[str, OutputSample] = {}
    kept: dict[str, int] = {}
    found: list[OutputSample] = []
    points = 0
    until = time.monotonic() + limits.SAMPLING_SECONDS
    with Reader(seconds) as reader:
        for number, (file, form) in enumerate(forms):
            path = os.path.join(folder, file.name)
            full = sum(kept.values()) >= limits.STORE_BYTES or points >= limits.MESHES_BYTES
            if full or number >= limits.FILES_AT_MOST or time.monotonic() > until:
                found.append(OutputSample(name=file.name, flaw="left-out"))
                continue
            # Requests that ask for the same mostly draw the same.
            digest = f"{form} {_digest(path)}"
            sample = known.setdefault(digest, known.get(digest) or reader.sample(form, path))
            content = content_of(sample)
            kept.setdefault(hashlib.sha256(content).hexdigest(), len(content))
            points += 0 if sample.mesh is None else len(content)
            found.append(replace(sample, name=file.name))
    return tuple(found)


def _digest(path: str) -> str:
    """The SHA-256 of what a file holds; of one that cannot be read its own path."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return path
    return digest.hexdigest()


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


class Reader:
    """Reads outputs in a process of its own, with bounded memory, one after another. What ends the process, or takes
    longer than so many `seconds`, has no sample, and the next one gets a new process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *ignored: object) -> None:
        self._end()

    def sample(self, form: str, path: str) -> OutputSample:
        """The sample of a file, or what is wrong with it."""
        try:
            found = self._asked(form, os.path.abspath(path))
        except TimeoutError:
            found = OutputSample(flaw="too-slow", said=f"{self._seconds:g} s")
        except OSError as error:
            found = OutputSample(flaw="unreadable", said=error.strerror or str(error))
        if found.flaw:
            # Whatever it has left there.
            self._end()
        return found

    def _asked(self, form: str, path: str) -> OutputSample:
        until = time.monotonic() + self._seconds
        process = self._started()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("it has pipes")
        with contextlib.suppress(BrokenPipeError):  # then it ends without an answer
            process.stdin.write(json.dumps([form, path]).encode() + b"\n")
            process.stdin.flush()
        answer = b""
        waiting = select.poll()
        waiting.register(process.stdout, select.POLLIN)
        while not answer.endswith(b"\n"):
            if not waiting.poll(max(0.0, 1000 * (until - time.monotonic()))):
                raise TimeoutError
            block = os.read(process.stdout.fileno(), 1 << 20)
            if not block:
                return self._ended(process)
            answer += block
        return _read(answer) or OutputSample(flaw="unreadable", said="its reader said something else")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            environment = {**os.environ, **_ONE_THREAD}
            package = str(Path(pytest_sgdiff.__file__).parent.parent)
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH", ""))))
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest_sgdiff.quality.child"],
                cwd="/",  # a folder where nobody else's modules lie
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> OutputSample:
        """What became of a file whose reader ended."""
        code = process.wait()
        said = b""
        if self._errors is not None:
            self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _ERRORS))
            said = self._errors.read()
        # Killed by the kernel, or a library gave up.
        no_memory = -code in (signal.SIGKILL, signal.SIGABRT) or b"MemoryError" in said
        lines = said.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1][:_SAID] if lines else f"its reader ended with {code}"
        return OutputSample(flaw="too-large" if no_memory else "unreadable", said=last)

    def _end(self) -> None:
        process, self._process = self._process, None
        errors, self._errors = self._errors, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if errors is not None:
            errors.close()


_ERRORS: Final = 1 << 16
"""Bytes of what a reader that failed printed that are looked at."""
_SAID: Final = 200


def _read(printed: bytes) -> OutputSample | None:
    try:
        return from_plain(OutputSample, json.loads(printed))
    except (ValueError, WireError):
        return None
