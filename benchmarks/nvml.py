"""What this machine's driver tells, how long each question takes, and how an idle GPU differs from a used one.

    python benchmarks/nvml.py [--json]

Needs a GPU and nvidia-ml-py, nothing else: the used GPU is made by a child with a bare CUDA context (libcuda through
ctypes). The thresholds of pytest_sgdiff/gpus/devices.py are calibrated with it: the idle limit must lie between the
two readings of used memory, and a look of the watch must cost far less than its interval of a second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from pytest_sgdiff.data.displays import IDLE_MB
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus import inventory
from pytest_sgdiff.gpus.devices import use_of
from pytest_sgdiff.gpus.nvml_driver import PynvmlReader

CONTEXT = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
device, context = ctypes.c_int(), ctypes.c_void_p()
for status in (cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), 0),
               cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)):
    assert status == 0, status
print("ready", flush=True)
sys.stdin.read()
"""


def timed(question: Callable[[], object], times: int = 50) -> dict[str, float]:
    """Milliseconds of a call: the first, the median and the longest of the rest."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        question()
        taken.append((time.perf_counter() - began) * 1000)
    return {"first": taken[0], "median": statistics.median(taken[1:]), "longest": max(taken[1:])}


def measure() -> dict[str, Any]:
    reader = PynvmlReader()
    began = time.perf_counter()
    gpus = inventory(reader)
    start_ms = (time.perf_counter() - began) * 1000
    gpu = gpus[0]
    told: dict[str, Any] = {
        "driver": reader.driver(),
        "cuda": reader.cuda(),
        "gpus": [(one.index, one.uuid, one.name, one.memory_mb, one.numa_node) for one in gpus],
        "facts": repr(reader.facts()[0]),
        "start_ms": start_ms,
        "calls_ms": {
            "state": timed(lambda: reader.state(gpu.uuid)),
            "processes": timed(lambda: reader.processes(gpu.uuid)),
            "thermal_ns": timed(lambda: reader.thermal_ns(gpu.uuid)),
            "xids": timed(reader.xids),
            "facts": timed(reader.facts, 10),
        },
        "idle": {"state": repr(reader.state(gpu.uuid)), "use": use_of(gpu, reader)},
    }
    child = subprocess.Popen([sys.executable, "-c", CONTEXT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    listed = reader.processes(gpu.uuid) or ()
    told["with a bare context"] = {
        "child": child.pid,
        "state": repr(reader.state(gpu.uuid)),
        "processes": [(process.pid, process.name, process.used_mb) for process in listed],
        "calls_ms": {"state": timed(lambda: reader.state(gpu.uuid)), "use": timed(lambda: use_of(gpu, reader))},
    }
    child.communicate()
    ended = time.monotonic()
    while [use for use in use_of(gpu, reader) if use.kind != "utilisation"] and time.monotonic() - ended < 30:
        time.sleep(0.005)
    told["free_after_exit_s"] = time.monotonic() - ended
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print goals met and missed as JSON rows")
    options = parser.parse_args()
    try:
        told = measure()
    except LeaseError as error:
        print(error, file=sys.stderr)
        return 2
    look = sum(told["calls_ms"][name]["median"] for name in ("state", "processes"))
    rows = [
        {
            "name": f"a look of the watch at one GPU, ms (idle limit {IDLE_MB} MiB)",
            "ours": round(look, 3),
            "peer": 1000.0,
            "goal": 10.0,
            "met": look <= 10.0,
        }
    ]
    print(json.dumps(rows if options.json else told, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
