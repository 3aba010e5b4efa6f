"""Where a launch on a node of a cluster is made, from where pytest runs: its command is written here, it runs there,
and it is kept here."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace

from pytest_sgdiff.cluster.client import Message
from pytest_sgdiff.cluster.lease import ELSEWHERE_AT_MOST, HURRIED_S, ClusterLease, NodeLostError
from pytest_sgdiff.cluster.packing import packed, unpacked
from pytest_sgdiff.data import Case, Command, Launch, LaunchFiles, Loss, Ports
from pytest_sgdiff.errors import LaunchLostError, NodeFileError, SgdiffError
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.launch.run import ENDING_LOG
from pytest_sgdiff.launch.signals import as_ctrl_c
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.redact import NAMES, Redaction
from pytest_sgdiff.runner.source import LaunchSource

ASSETS_LIMIT = 1 << 28
"""Bytes of input files that are sent with a launch."""


@dataclass(kw_only=True)
class ClusterSource(LaunchSource):
    """Launches of one case on the node of its lease. A launch whose node is lost is made again elsewhere,
    ELSEWHERE_AT_MOST times; `losses` are all that were lost."""

    lease: ClusterLease
    losses: tuple[Loss, ...] = ()

    def launch(self, *, alone: bool) -> Launch | None:
        """One more launch. Raises LaunchLostError if it is lost too often."""
        number, folder = self.begun()
        try:
            said = self._launched(number, alone=alone)
            if said["kind"] == "missing":
                raise NodeFileError(self.case.location, self.lease.node, said["paths"])
        except SgdiffError:
            # There is no launch. Replayed, the folder would pass for one that its engine ended.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        launch = from_plain(Launch, said["launch"])
        launch = replace(
            launch, number=number, folder=str(folder), environment=self.change_environment(launch.environment)
        )
        # What the node knows of is taken out; this machine has secrets of its own.
        launch = Redaction({**os.environ, **self.case.env}).record(launch, keep=NAMES)
        for name, content in said["files"].items():
            if name not in (recordings.LOG, ENDING_LOG):
                raise SgdiffError(f"node {self.lease.node} sent a file of another name than those of a launch")
            recordings.write_part(self.out, folder, name, unpacked(content))
        recordings.write_launch(self.out, launch)
        return launch

    def _launched(self, number: int, *, alone: bool) -> Message:
        """What the node says of the launch; the next node, where one is lost."""
        asked = self._asked(number, alone=alone)
        losses: tuple[Loss, ...] = ()
        while True:
            try:
                with as_ctrl_c():
                    return self.lease.converse(
                        {**asked, "node": self.lease.node}, abandoned=self.abandoned, answers=self._answer
                    )
            except NodeLostError as error:
                losses = (*losses, error.loss)
                self.losses = (*self.losses, error.loss)
            except BaseException:
                # Interrupted, or a hook failed: the node waits for nothing more.
                self.lease.release(wait_s=HURRIED_S)
                raise
            if len(losses) > ELSEWHERE_AT_MOST:
                raise LaunchLostError(losses)
            losses = self.lease.again(losses)

    def _asked(self, number: int, *, alone: bool) -> Message:
        return {
            "kind": "launch",
            "case": to_plain(self.case),
            "info": to_plain(self.info),
            "session": self.session,
            "isolation": self.isolation,
            "workload": to_plain(self.workload),
            "assets": self._sent(),
            "alone": alone,
            "number": number,
            "of": self.of,
            "exact": self.exact,
            "expected_s": self.expected_s,
            "side": self.side,
            "host_timeout_s": self.host_timeout_s,
        }

    def _sent(self) -> dict[str, dict[str, str]]:
        """The case's input files: flag -> name and content."""
        size = sum(path.stat().st_size for path in self.assets.values())
        if size > ASSETS_LIMIT:
            raise SgdiffError(
                f"{self.case.at('assets')}: {size >> 20} MiB of input files, and at most {ASSETS_LIMIT >> 20} MiB are "
                "sent to a node of the cluster: put large files on a file system that the nodes mount, and name them "
                "under `args`"
            )
        return {flag: {"name": path.name, "content": packed(path.read_bytes())} for flag, path in self.assets.items()}

    def _answer(self, said: Message) -> Message | None:
        """What the node asks: the command for its files and ports. What it tells: how far the launch is."""
        if said["kind"] == "progress":
            told = said["progress"]
            told = {name: told[name] for name in ("stage", "launch", "waits_for")} | {"gpus": tuple(told["gpus"])}
            self.tell(**told, node=self.lease.node)
            return None
        files, ports = from_plain(LaunchFiles, said["files"]), from_plain(Ports, said["ports"])
        asked = self.engine.command(self.case, info=self.info, files=files, ports=ports)
        changed = self.change_command(asked)
        return {
            "kind": "command",
            "command": to_plain(asked),
            "changed": to_plain(changed),
            "here": list(files_here(self.case, changed, besides=files)),
        }


def files_here(case: Case, command: Command, *, besides: LaunchFiles) -> tuple[str, ...]:
    """Files and folders of this machine that the launch names: its model, what its flags name, and files that its
    environment names. Not those of the launch itself, which are made on the node."""
    own = (besides.workdir, besides.output_dir, os.path.dirname(besides.workdir), *besides.assets.values())
    words = [part for word in command.argv[1:] for part in (word, word.partition("=")[2])]
    named = [case.model, *words]
    found = [word for word in named if os.path.isabs(word) and not word.startswith(own) and os.path.exists(word)]
    # A folder in a variable is mostly a cache, which is made where it is missing.
    found += [value for value in case.env.values() if os.path.isabs(value) and os.path.isfile(value)]
    return tuple(dict.fromkeys(found))
