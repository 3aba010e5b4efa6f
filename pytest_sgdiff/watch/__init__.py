"""Was the launch disturbed? `Watcher` sees what happens beside it, `disturbances` says which of it matters."""

from pytest_sgdiff.watch.disturbances import disturbances, sm_clock_mhz
from pytest_sgdiff.watch.watcher import Watcher

__all__ = ["Watcher", "disturbances", "sm_clock_mhz"]
