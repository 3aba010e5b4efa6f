"""What every report offers: a run in, text out. Opening and writing files is somebody else's work."""

from __future__ import annotations

from typing import Protocol

from pytest_sgdiff.data import Run


class Report(Protocol):
    """One format. `suffix` is what `--sgdiff-report=PATH` chooses it by."""

    @property
    def suffix(self) -> str:
        """The end of the file's name, with its dot."""
        ...

    def render(self, run: Run) -> str:
        """The whole report as text."""
        ...
