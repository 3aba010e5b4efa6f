"""What every engine adapter offers: a command line for a case, and a reading of what a launch really did."""

from __future__ import annotations

from typing import Protocol

from pytest_sgdiff.data import Case, Command, EngineInfo, Launch, LaunchFiles, Ports, Reading


class Engine(Protocol):
    """One way of running cases. Adapters are pure: they neither start processes nor open files."""

    name: str

    def command(self, case: Case, *, info: EngineInfo, files: LaunchFiles, ports: Ports | None) -> Command:
        """The command line of one launch, written for the engine's version.

        `ports` is None for a command that people read or run by hand. The GPUs are not part of it: the lease sets
        CUDA_VISIBLE_DEVICES.
        """
        ...

    def read(self, launch: Launch, case: Case) -> Reading:
        """What ran in the launch, its metrics, and every reason why it does not count. Never raises on bad content."""
        ...
