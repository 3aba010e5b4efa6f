"""The error tree. Every message names the place (file and line, or the case) and the fix.

SgdiffError
├── OptionError          an option, a setting or a command line is wrong
├── CaseFileError        a case file is wrong; carries every mistake, each with file:line:column
├── AcceptanceError      lines that accept a slowdown are wrong; carries every mistake, each with file:line
├── AssetError           a file that a case needs is missing
├── BaselineError        a baseline file is corrupt, of another schema, or cannot be written
│   └── NewerBaselineError  it was written by a newer version of the plugin
├── RecordingError       a recording cannot be read or written
│   ├── ForeignLaunchError  a launch in it has no record: another tool made it, or it was not written to the end
│   └── MergeConflictError  recordings that are to be joined contradict each other
├── EngineNotFoundError  the engine's command does not exist or does not report its version
├── LeaseError           no GPU can be had: none on the machine, too few, or busy until the time-out
│   ├── LeaseLostError      the files of a lease were removed or replaced while it was held
│   ├── NeverIdleError      GPUs are in use by something that does not end by itself, a display or the MPS daemon
│   └── LaunchLostError     nodes of a cluster were lost, and the launch with them
├── ClusterError         nodes of a cluster cannot be used
├── NodeFileError        a node of a cluster lacks a file that a case names
├── HistoryError         the history is no history, of another schema, or cannot be written
├── MissingExtraError    a feature needs a package that an extra brings
└── WireError            data that crossed a process or file border is not what it should be

Errors say that something *could not be measured or read*. What was measured is never an error: it is a
`pytest_sgdiff.data.Verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_sgdiff.printable import printable

if TYPE_CHECKING:
    from pytest_sgdiff.data import Conflict, Loss, NodeTrouble


class SgdiffError(Exception):
    """Root of all errors that this package raises on purpose. Each argument is a line of the message, and is shown
    `printable`: messages quote files and names of others."""

    def __str__(self) -> str:
        return "\n".join(printable(str(line)) for line in self.args)


class OptionError(SgdiffError):
    """An option, a setting or a command line is wrong; pytest reports it as a usage error (exit 4)."""


class CaseFileError(SgdiffError):
    """A case file is wrong. `mistakes` holds every one, each as `file:line:column: message`."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__(*mistakes)
        self.mistakes = tuple(mistakes)


class AcceptanceError(SgdiffError):
    """Lines that accept a slowdown are wrong. `mistakes` holds every one, each as `file:line: message`."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__(*mistakes)
        self.mistakes = tuple(mistakes)


class AssetError(SgdiffError):
    """A file that a case needs, such as its input image, is missing."""


class BaselineError(SgdiffError):
    """A baseline file is corrupt, of another schema, or cannot be written. `of_file` makes one about a file: `why` is
    then its message without the place, `line` the line, None where it is about the whole file."""

    def __init__(self, *lines: str, why: str = "", line: int | None = None) -> None:
        super().__init__(*lines)
        self.why, self.line = why or "\n".join(lines), line

    @classmethod
    def of_file(cls, path: object, why: str, *, line: int | None = None) -> BaselineError:
        """`baselines/x/tiny.json:12: why`."""
        return cls(f"{path}: {why}" if line is None else f"{path}:{line}: {why}", why=why, line=line)


class NewerBaselineError(BaselineError):
    """A baseline file is of a newer schema than this version writes: nothing of it may be replaced."""


class RecordingError(SgdiffError):
    """A recording cannot be read or written."""


class ForeignLaunchError(RecordingError):
    """The `folder` of a launch holds the file `found`, but not the record that this plugin writes last."""

    def __init__(self, folder: object, found: str) -> None:
        super().__init__(
            f"{folder}: contains {found} but no launch.json: another tool made this launch, or --sgdiff-out did not "
            'finish it; write a launch.json as docs/recordings.md shows ("Launches made without this tool"), or remove '
            "the folder from the recording"
        )
        self.folder, self.found = folder, found


class MergeConflictError(RecordingError):
    """Recordings that are to be joined contradict each other: `conflicts` has all of it, and nothing was written."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts between recordings; nothing was written")
        self.conflicts = tuple(conflicts)


class EngineNotFoundError(SgdiffError):
    """The engine's command does not exist, or does not report its version."""


class LeaseError(SgdiffError):
    """No GPU can be had: none on the machine, too few, or all busy until the time-out. `fix` is what helps where
    waiting for a quiet machine does not."""

    fix: str = ""


class LeaseLostError(LeaseError):
    """The lock directory's files of a lease were removed or replaced while it was held: others may have its GPUs."""

    fix = "exclude the lock directory from the cleanup of temporary files, then run it again"


class NeverIdleError(LeaseError):
    """So many GPUs are in use by what does not end by itself, a display or the MPS daemon, that too few are left."""

    fix = "the process on the GPUs does not end by itself: end it with the command above, or name other GPUs"


class LaunchLostError(LeaseError):
    """A launch on a cluster, or the place for one, was lost as often as it may be: `losses` are all of them."""

    fix = "run it again when the nodes are back: `ray status` lists those that are"

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__(", ".join(f"{loss.node or 'the cluster'}: {loss.code}" for loss in losses))
        self.losses = tuple(losses)


class ClusterError(SgdiffError):
    """Nodes of a cluster cannot be used: `troubles` says why, one each; none: there is no node. `said` is what Ray
    answered where there was no cluster to ask."""

    def __init__(self, troubles: Sequence[NodeTrouble], said: str = "") -> None:
        super().__init__(said, *(f"{one.node}: {one.code}" for one in troubles))
        self.troubles, self.said = tuple(troubles), said


class NodeFileError(SgdiffError):
    """The `node` of a cluster lacks files that are here, and that the case at `place` names: `paths`."""

    def __init__(self, place: object, node: str, paths: Sequence[str]) -> None:
        several = len(paths) > 1
        super().__init__(
            f"{place}: {', '.join(paths)} {'are' if several else 'is'} on the machine of pytest, and not on the node "
            f"{node} of the cluster: put {'them' if several else 'it'} there under the same name, as on a file system "
            "that both mount; only files under `assets` are sent to nodes"
        )
        self.node, self.paths = node, tuple(paths)


class HistoryError(SgdiffError):
    """The history is no history, of another schema, or cannot be written."""


class MissingExtraError(SgdiffError):
    """A feature needs a package that an extra brings; the message names the extra."""


class WireError(SgdiffError):
    """Data that crossed a process or file border is not what it should be.

    The message opens with the place of the value, `launches[2].metrics.e2e`; `path` is the same as keys and indices.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path
