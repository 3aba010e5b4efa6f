"""`--sgdiff-update`: the baselines that a run makes of its results, written to the tree, or as candidates that somebody
reviews first. `baselines/write.py` writes the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines import profiles
from pytest_sgdiff.baselines.renew import renew
from pytest_sgdiff.data import Baseline, CaseResult, Measurement, Recorded
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.plugin.next_command import recording_kept
from pytest_sgdiff.plugin.settings import Settings


class Update:
    """The baselines of one run. `written` are their files, and those of profiles beside them, as people type them.

    `command` gives the command line of the run, and `commit` the commit that is checked out, None without git.
    """

    def __init__(self, settings: Settings, *, command: Callable[[], str], commit: Callable[[], str | None]) -> None:
        self._settings, self._command, self._commit = settings, command, commit
        self._first: dict[tuple[str, str], CaseResult] = {}
        self.written: list[str] = []

    @property
    def candidates(self) -> Path | None:
        """In CI the tree is not written: baselines are candidates, in a folder that somebody reviews first. Nor by a
        shard, for the baselines decide the split, and other shards may not have started yet."""
        if not self._settings.ci and self._settings.shard is None:
            return None
        return (self._settings.out or self._settings.own_folder) / "baselines"

    def write(self, result: CaseResult) -> str | None:
        """Write the baseline of a case that was recorded; returns why it is not written, None where it is."""
        if result.machine is None or result.workload is None:
            return (
                f"{result.node_id}: no baseline written: the recording does not say on which machine it was made "
                "(launch.json: `machine`)"
            )
        first = self._first.setdefault((result.machine.slug, result.case), replace(result, quality=None))
        if result.workload.digest != (first.workload and first.workload.digest):
            return (
                f"{result.node_id}: no baseline written: {first.node_id} has just written the one of "
                f"'{result.case}', with other settings; only variants of a `matrix` have baselines of their own"
            )
        measurement = Measurement(
            case=result.case,
            machine=result.machine,
            workload=result.workload,
            launches=tuple(entry for entry in result.launches if entry.counts),
        )
        commit = self._commit()
        recorded = Recorded(
            at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=self._command(),
            commit=commit and commit[:12],
            sessions=tuple(dict.fromkeys(entry.session for entry in measurement.launches if entry.session)),
        )

        def renewed(old: Baseline | None) -> Baseline:
            version = measurement.launches[0].environment.engine_version
            return renew(
                old,
                measurement,
                recorded,
                engine_version=version,
                extend=self._settings.update == "extend",
                reference=None if result.quality is None else result.quality.reference,
            )

        tree = self._settings.baselines
        read = baselines.find_replaceable if self._settings.update == "all" else baselines.find
        try:
            if self.candidates is None:
                # Read, renewed and written under one lock: of two runs that extend at once none loses the other's.
                path = baselines.update(tree, result.machine, result.case, renewed, read=read)
            else:
                data_files.make_folder(self.candidates, below=self.candidates.parent)
                old = read(tree, result.machine, result.case)
                path = baselines.save(self.candidates, renewed(old))
            self.written.append(self._settings.near(path))
            self._keep_profile(result, measurement, recorded, path.parent.parent)
        except (SgdiffError, OSError) as error:
            command = recording_kept(self._settings, result.node_id)
            kept = f". Its launches are kept; this records them: {command}" if command else ""
            return f"{result.node_id}: {error}{kept}"
        return None

    def _keep_profile(self, result: CaseResult, measurement: Measurement, recorded: Recorded, root: Path) -> None:
        """Keep the profile that was made with a baseline beside it; one of the baseline that it replaces goes."""
        made = None if result.profile is None else result.profile.now
        session = next((one.session for one in measurement.launches if one.session), None)
        if made is not None and session is not None:
            digest = measurement.workload.digest
            kept = profiles.KeptProfile(workload=digest, session=session, at=recorded.at, summary=made)
            path = profiles.save(root, measurement.machine, measurement.case, kept)
            self.written.append(self._settings.near(path))
        elif self._settings.update != "extend":
            profiles.forget(root, measurement.machine, measurement.case)
