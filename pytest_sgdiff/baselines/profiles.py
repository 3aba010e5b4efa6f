"""The profile beside a baseline: `ROOT/<machine>/<case>.profile`, what one launch of its engine spent its time on.

It is JSON with a hash of its content, so that what somebody edited or cut is not taken for what was recorded, and with
the digest of the workload, so that it is compared with launches of the same work alone. The baseline does not name it:
it may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pytest_sgdiff.baselines.find import path_for
from pytest_sgdiff.baselines.write import LOCK_TIMEOUT_S, locked
from pytest_sgdiff.data import Baseline, Machine, ProfileSummary
from pytest_sgdiff.errors import BaselineError, WireError
from pytest_sgdiff.files import json_text
from pytest_sgdiff.files.data_files import DataFileError, kind, read_bytes, remove, write
from pytest_sgdiff.files.wire import from_plain, to_plain

SUFFIX: Final = ".profile"
SCHEMA: Final = 1
FIX: Final = "restore it with git, or record it anew with --sgdiff-update --sgdiff-profile=all"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptProfile:
    """A profile as it is kept: of which workload (its digest), the run that recorded it with the baseline, when (ISO
    8601 UTC), and its figures."""

    workload: str
    session: str
    at: str
    summary: ProfileSummary


def path_of(root: Path, machine: Machine, case: str) -> Path:
    """Where the profile of a case on a machine lies, whether there is one or not."""
    return path_for(root, machine, case).with_suffix(SUFFIX)


def save(root: Path, machine: Machine, case: str, profile: KeptProfile) -> Path:
    """Put a profile in its place, atomically; gives the path. Raises BaselineError where it cannot be written."""
    path = path_of(root, machine, case)
    body = to_plain(profile, omit_defaults=True)
    try:
        with locked(root, LOCK_TIMEOUT_S):
            write(path, json_text.write({**body, "schema": SCHEMA, "sha256": _hash(body)}), below=root)
    except (DataFileError, OSError) as error:
        raise BaselineError(f"{path}: cannot be written: {error}; the baseline has no profile") from None
    return path


def forget(root: Path, machine: Machine, case: str) -> None:
    """Remove the profile of a baseline that is replaced by one without. Raises BaselineError."""
    path = path_of(root, machine, case)
    try:
        if kind(path, below=root) in ("file", "link"):
            remove(path, below=root)
    except (DataFileError, OSError) as error:
        raise BaselineError(f"{path}: is of the replaced baseline, and cannot be removed: {error}") from None


def follow(root: Path, candidate: Baseline, *, folder: Path) -> None:
    """Put the profile beside a candidate for a baseline, which was taken from `folder`, beside the baseline in `root`.
    The profile of a baseline that was replaced goes. Raises BaselineError."""
    machine, case = candidate.measurement.machine, candidate.measurement.case
    kept = None if candidate.path is None else load(Path(candidate.path).with_suffix(SUFFIX), below=folder)
    if kept is not None:
        save(root, machine, case, kept)
    elif not candidate.recorded.extends:
        forget(root, machine, case)


def load(path: Path, *, below: Path) -> KeptProfile | None:
    """The profile in a file below the folder of baselines; None if there is none. Raises BaselineError for one that is
    damaged, was edited, or is of another schema."""
    try:
        content = read_bytes(path, below=below)
    except DataFileError as error:
        raise BaselineError.of_file(error.path, error.why) from None
    if content is None:
        return None
    try:
        document: Any = json_text.read(content.decode("utf-8", "replace")).value
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise BaselineError.of_file(path, f"is no profile of schema {SCHEMA} ({FIX})")
        body = {key: value for key, value in document.items() if key not in ("schema", "sha256")}
        if document.get("sha256") != _hash(body):
            raise BaselineError.of_file(path, f"is not what was recorded: its sha256 is another one ({FIX})")
        return from_plain(KeptProfile, body)
    except (json_text.JsonTextError, WireError) as error:
        raise BaselineError.of_file(path, f"{error} ({FIX})") from None


def _hash(body: Any) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
