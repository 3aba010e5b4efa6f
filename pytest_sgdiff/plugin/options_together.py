"""What the options of a run mean together: which kind of run they ask for, and which of them contradict each other.

What one value means by itself is in `option_values.py`. What the environment adds to a command line is in `asked.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pytest_sgdiff.errors import OptionError

Mode = Literal["off", "gate", "update", "replay", "against", "dry-run"]


def mode_of(text: Mapping[str, str | None], update: str | None, *, dry_run: bool) -> Mode:
    """The kind of run. `text` has the values of options by their names, `sgdiff_gpus`.

    Raises:
        OptionError: two of them ask for different things, or one lacks another; so do all below.
    """
    gpus, replay, against = text["sgdiff_gpus"], text["sgdiff_replay"], text["sgdiff_against"]
    cluster = text["sgdiff_cluster"]
    if gpus is not None and cluster is not None:
        raise OptionError(
            f"--sgdiff-gpus={gpus} are GPUs of this machine, and --sgdiff-cluster={cluster} launches on the nodes of a "
            "cluster, where a case gets as many GPUs as it asks for: leave one of them out (or unset SGDIFF_GPUS, "
            "SGDIFF_CLUSTER)"
        )
    if dry_run:
        return "dry-run"
    if replay is not None and cluster is not None:
        raise OptionError("--sgdiff-replay judges recorded launches and uses no node: leave --sgdiff-cluster out")
    gpus = gpus or cluster
    if replay is not None:
        if gpus is not None:
            raise OptionError("--sgdiff-replay judges recorded launches and uses no GPU: leave --sgdiff-gpus out")
        if against is not None:
            raise OptionError("--sgdiff-replay has no engine to launch: leave --sgdiff-against out")
        # An update from a recording is a baseline of real launches too, so `replay` yields to `update` there.
        return "replay" if update is None else "update"
    if against is not None:
        if gpus is None:
            raise OptionError("--sgdiff-against needs --sgdiff-gpus or --sgdiff-cluster, which says what to launch on")
        if update is not None:
            raise OptionError(
                "--sgdiff-against compares two engines and records no baseline: leave --sgdiff-update out"
            )
        return "against"
    if update is not None:
        if gpus is None:
            raise OptionError(
                "--sgdiff-update needs --sgdiff-gpus (or --sgdiff-cluster, or --sgdiff-replay): without it nothing is "
                "measured"
            )
        return "update"
    return "off" if gpus is None else "gate"


def refuse_bisect_codes(chosen: object, mode: Mode) -> None:
    """Refuse exit codes of a bisection for a run that judges nothing: 0 would call every commit good."""
    if chosen == "bisect" and mode not in ("gate", "replay", "against"):
        raise OptionError(
            "--sgdiff-exit-codes=bisect is for a run that judges: give --sgdiff-gpus=N, without --sgdiff-dry-run and "
            "--sgdiff-update"
        )


def refuse_on_nodes(*, lock_dir: object, keep_outputs_bytes: int, keeping: str) -> None:
    """Refuse what a cluster's nodes cannot do: a folder for locks of this machine (`lock_dir`), and outputs that are
    kept; `keeping` is the option for these as it is written where it was given."""
    if lock_dir is not None:
        raise OptionError(
            "--sgdiff-lock-dir names a folder of this machine, and --sgdiff-cluster launches on others: leave it out, "
            "and set SGDIFF_LOCK_DIR on the nodes before `ray start`, if their default does not do"
        )
    if keep_outputs_bytes:
        raise OptionError(
            f"{keeping} keeps files that a launch writes, and --sgdiff-cluster launches on nodes, which do not send "
            "them: leave it out, or add --sgdiff-keep-outputs=0 to this command"
        )


def refuse_same_folder(out: str, folder: Path | None, replay: Path | None) -> None:
    """Refuse a shard that writes over the recording that it replays. `out` is how its `folder` was typed."""
    if replay is not None and folder == replay:
        raise OptionError(f"--sgdiff-out={out}: is the recording that is replayed; name another folder for the shard")


def refuse_same_file(reports: Sequence[Path], history: Path | None) -> None:
    """Refuse one file for two: each is written for itself, and what came second would take the place of the first."""
    places = {} if history is None else {os.path.realpath(history): f"--sgdiff-history={history.name}"}
    for report in dict.fromkeys(reports):
        told, place = f"--sgdiff-report={report.name}", os.path.realpath(report)
        if (other := places.setdefault(place, told)) is not told:
            raise OptionError(f"{told}: is the file of {other}, too: give each its own")
