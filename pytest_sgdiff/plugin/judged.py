"""Results of cases that are judged while something more is done with them: who ends the run then does not lose them.

The process that runs a case keeps the result in the run's folder until its test reports it. The controller takes what
lies there when the tests are over, whatever became of that process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pytest_sgdiff.data import CaseResult
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files import data_files, temp_dirs
from pytest_sgdiff.files.wire import from_plain, to_plain

_PREFIX = "judged-"
_BYTES = 1 << 28
"""Bytes of a result that is read; its pictures are in it."""


@contextlib.contextmanager
def keeping(folder: Path, result: CaseResult) -> Iterator[None]:
    """Keep the result while the block runs, and if Ctrl-C, or the process's end, ends it. A folder that cannot be
    written is no reason not to go on."""
    path = folder / f"{_PREFIX}{hashlib.sha256(result.node_id.encode()).hexdigest()[:24]}.json"
    with contextlib.suppress(OSError, data_files.DataFileError):
        temp_dirs.ours(folder)
        data_files.write(path, json.dumps(to_plain(result)), below=folder)
    try:
        yield
    except Exception:
        path.unlink(missing_ok=True)  # it fails by what its test reports
        raise
    path.unlink(missing_ok=True)


def kept(folder: Path) -> Iterator[CaseResult]:
    """The results that are still there."""
    for path in sorted(folder.glob(f"{_PREFIX}*.json")):
        with contextlib.suppress(OSError, ValueError, WireError, data_files.DataFileError):
            raw = data_files.read_bytes(path, below=folder, at_most=_BYTES)
            if raw is not None:
                yield from_plain(CaseResult, json.loads(raw))
