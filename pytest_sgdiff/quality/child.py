"""The process that reads outputs: `python -m pytest_sgdiff.quality.child`.

A file may be anything: one that unpacks to more than the machine has, or never ends. So it is read in a process with
bounded memory and time. For each line `["png", "/path"]` on standard input it prints the sample as a line of JSON.
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


def main() -> None:
    """Read the files that are asked for, one after another, and print their samples."""
    with contextlib.suppress(ValueError, OSError):  # a hard limit may be lower already
        resource.setrlimit(resource.RLIMIT_AS, (limits.MEMORY_BYTES, limits.MEMORY_BYTES))
    with contextlib.suppress(OSError):
        os.nice(10)
    for line in sys.stdin:
        form, path = json.loads(line)
        sys.stdout.write(json.dumps(to_plain(sample(form, path))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
