"""Who gets which GPUs: inventory, what `--sgdiff-gpus` means, and leases that hold over all runs of a host.

    resolve(spec) -> Eligible -> Pool(eligible, run_id=...) .lease(count, ...) -> Lease

`nvml` is the only module that talks to the driver, `lock_files` the only one that opens files in the lock directory,
`policy` is pure, and every waiter in the `pool` decides by it alike.
"""

from pytest_sgdiff.gpus.devices import inventory
from pytest_sgdiff.gpus.explain import describe, held_by_others, queue_state
from pytest_sgdiff.gpus.lease import Lease
from pytest_sgdiff.gpus.lock_files import lock_dir
from pytest_sgdiff.gpus.nvml import NvmlReader, default_reader
from pytest_sgdiff.gpus.orphans import reap
from pytest_sgdiff.gpus.policy import runs_alone
from pytest_sgdiff.gpus.pool import Pool
from pytest_sgdiff.gpus.selection import Eligible, parse, resolve

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
