"""One suite of sleeping cases on four faked GPUs, run by real pytest and pytest-xdist; used by schedule.py --real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

GPUS = 4

OURS = """
import os
import pytest
from pytest_sgdiff.gpus import Pool, lock_dir, resolve
from pytest_sgdiff.plugin.role import NEEDS, role
from pytest_sgdiff.plugin.xdist import CaseNeed, GpuSchedule, ParkItems

ELIGIBLE, HERE = resolve("all", visible="0,1,2,3"), os.path.dirname(__file__)
POOL = Pool(ELIGIBLE, run_id="run", settle_s=0)

def need_of(item):
    gpus, seconds = item.callspec.params["case"]
    return CaseNeed(node_id=item.nodeid, gpus=gpus, estimate_s=seconds)

def pytest_configure(config):
    needs = role(config).given.get(NEEDS)
    if needs:
        config.pluginmanager.register(ParkItems(needs, need_of))
    elif not hasattr(config, "workerinput"):
        schedule = GpuSchedule(ELIGIBLE, run_id="run", needs_path=HERE + "/needs", folder=lock_dir())
        config.pluginmanager.register(schedule)

@pytest.fixture
def gpus(case):
    with POOL.lease(case[0], estimate_s=case[1], timeout_s=600) as lease:
        yield lease
"""

NAIVE = """
import fcntl, os, random, time
import pytest

HERE = os.path.dirname(__file__)

@pytest.fixture
def gpus(case):
    while True:
        held = []
        for number in range(4):
            file = open(f"{HERE}/gpu{number}", "w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            held.append(file)
            if len(held) == case[0]:
                yield held
                for file in held:
                    file.close()
                return
        for file in held:
            file.close()
        time.sleep(random.uniform(0.01, 0.03))
"""

SUITE = """
import json, os, time
import pytest

HERE = os.path.dirname(__file__)

@pytest.mark.parametrize("case", json.load(open(HERE + "/cases.json")))
def test_case(gpus, case):
    began = time.time()
    time.sleep(case[1])
    with open(HERE + "/log", "a") as file:
        file.write(f"{began} {time.time()}\\n")
"""


def makespan(cases: Sequence[tuple[int, float]], *, ours: bool) -> float:
    """Seconds from the start of the first case to the end of the last. `cases` are (GPUs, seconds)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        machine = [{"facts": {"uuid": f"GPU-{n}", "nvml_index": n, "name": "NVIDIA H200"}} for n in range(GPUS)]
        (folder / "nvml.json").write_text(json.dumps({"gpus": machine}))
        (folder / "cases.json").write_text(json.dumps(cases))
        (folder / "conftest.py").write_text(OURS if ours else NAIVE)
        (folder / "test_suite.py").write_text(SUITE)
        env = {
            **os.environ,
            "SGDIFF_NVML_FILE": str(folder / "nvml.json"),
            "SGDIFF_LOCK_DIR": str(folder / "locks"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-p", "no:cacheprovider", f"-n{GPUS}", name]
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        rows = [tuple(map(float, line.split())) for line in (folder / "log").read_text().splitlines()]
    return max(end for _, end in rows) - min(began for began, _ in rows)
