"""What a source of launches knows, wherever it launches: on this machine (`runner.live`) or on a node of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_sgdiff.data import Case, Command, EngineInfo, Environment, Workload
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.isolation import Isolation
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.runner.progress import Progress, Side


@dataclass(kw_only=True)
class LaunchSource:
    """Launches of one case, each in a folder of its own under `out`, kept as a recording.

    `number` is that of the next one. Launches wait for the host for `host_timeout_s` at most. For what is shown live:
    there will be `of` launches, at most that many unless `exact`, of about `expected_s` each; `side` is the engine of
    an A/B run.
    """

    case: Case
    engine: Engine
    info: EngineInfo
    out: Path
    session: str
    isolation: Isolation
    workload: Workload
    notify: Callable[[Progress], None]
    assets: Mapping[str, Path]
    change_command: Callable[[Command], Command]
    change_environment: Callable[[Environment], Environment]
    abandoned: Callable[[], bool] = lambda: False
    number: int = 0
    of: int = 5
    exact: bool = False
    expected_s: float | None = None
    side: Side | None = None
    host_timeout_s: float = 3600.0

    def begun(self) -> tuple[int, Path]:
        """The number and the folder of the launch that is about to be made. Before the first one, what an earlier run
        left of the case is removed. Raises RecordingError."""
        number, self.number = self.number, self.number + 1
        if number == 0:
            recordings.forget_launches(self.out, self.case.id)
        return number, recordings.new_launch_folder(self.out, self.case.id, number)

    def tell(
        self,
        *,
        stage: str,
        gpus: tuple[int, ...],
        launch: int,
        waits_for: str = "",
        node: str = "",
        profiled: bool = False,
    ) -> None:
        """Show how far a launch is."""
        self.notify(
            Progress(
                node_id=self.case.node_id,
                at=time.monotonic(),
                gpus=gpus,
                launch=launch,
                of=self.of,
                exact=self.exact,
                side=self.side,
                profiled=profiled,
                stage=stage,
                waits_for=waits_for,
                expected_s=self.expected_s,
                node=node,
            )
        )
