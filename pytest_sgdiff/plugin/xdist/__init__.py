"""Which xdist worker runs which case when: a case starts once its GPUs are free, the longest first.

xdist's own schedulers hand out tests without knowing of GPUs, so workers block in the queue for a lease with further
tests already bound to them. Here the controller decides. xdist starts a test only when it knows the worker's next one,
so each worker's collection gets one more item that does nothing, the *park item*: an idle worker sits on it, and
`[case, park]` sets it going. Nothing is bound to a worker before its GPUs are free.

This only saves time: leases (`pytest_sgdiff.gpus`) keep every other order correct too. It acts under `--dist load`,
which is what `-n` gives. `GpuSchedule` goes into the controller, `ParkItems` into the workers.
"""

from pytest_sgdiff.plugin.xdist.controller import GpuSchedule, workers_for
from pytest_sgdiff.plugin.xdist.needs import CaseNeed
from pytest_sgdiff.plugin.xdist.scheduler import GpuScheduling
from pytest_sgdiff.plugin.xdist.worker_side import ParkItems

__all__ = ["CaseNeed", "GpuSchedule", "GpuScheduling", "ParkItems", "workers_for"]
