"""Who gets which GPUs: inventory, what `--sgdiff-gpus` means, and leases that hold over all runs of a host.

    resolve(spec) -> Eligible -> Pool(eligible, run_id=...) .lease(count, ...) -> Lease

`nvml` is the only module that talks to the driver, `locks` the only one that locks, `policy` is pure and
`grants` decides by it.
"""

from pytest_sgdiff.gpus.devices import inventory
from pytest_sgdiff.gpus.leases import Lease
from pytest_sgdiff.gpus.locks import lock_dir
from pytest_sgdiff.gpus.nvml import NvmlReader, default_reader
from pytest_sgdiff.gpus.policy import runs_alone
from pytest_sgdiff.gpus.pool import Pool
from pytest_sgdiff.gpus.reaper import reap
from pytest_sgdiff.gpus.spec import Eligible, parse, resolve
from pytest_sgdiff.gpus.status import describe, held_by_others, queue_state

__all__ = [
    "Eligible",
    "Lease",
    "NvmlReader",
    "Pool",
    "default_reader",
    "describe",
    "held_by_others",
    "inventory",
    "lock_dir",
    "parse",
    "queue_state",
    "reap",
    "resolve",
    "runs_alone",
]
