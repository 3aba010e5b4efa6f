"""The process that reads one output: `python -m pytest_sgdiff.quality.child KIND FILE`.

A file may be anything: one that unpacks to more than the machine has, or never ends. So it is read in a process with
bounded memory and time, which prints the sample as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys

from pytest_sgdiff.data import OutputSample
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.quality import limits
from pytest_sgdiff.quality.pictures import DamagedError, TooLargeError, image, video

SAID_CHARS = 200


def sample(form: str, path: str) -> OutputSample:
    """The sample of a file, or what is wrong with it."""
    try:
        if form in ("obj", "glb"):
            from pytest_sgdiff.quality.meshes import mesh

            return mesh(path, "obj" if form == "obj" else "glb")
        return video(path) if form == "mp4" else image(path)
    except (TooLargeError, MemoryError) as error:
        return OutputSample(flaw="too-large", said=str(error)[:SAID_CHARS])
    except DamagedError as error:
        return OutputSample(flaw="unreadable", said=str(error)[:SAID_CHARS])


def main(form: str, path: str) -> None:
    """Read the file and print its sample."""
    with contextlib.suppress(ValueError, OSError):  # a hard limit may be lower already
        resource.setrlimit(resource.RLIMIT_AS, (limits.MEMORY_BYTES, limits.MEMORY_BYTES))
    with contextlib.suppress(OSError):
        os.nice(10)
    sys.stdout.write(json.dumps(to_plain(sample(form, path))))


if __name__ == "__main__":
    main(*sys.argv[1:3])
