"""Cases under pytest-xdist: the same answers as without it, and nothing left behind by whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sgdiff.gpus import queue_state
from tests.plugin.conftest import CASE, Project
from tests.waiting import alive, wait_for

pytestmark = pytest.mark.faults

NAMES = ("one", "three", "two")

LOSES_TWO = """
import os, signal
import pytest

@pytest.fixture
def sgdiff_env(request):
    if request.node.name == "two":
        os.kill(os.getpid(), signal.SIGKILL)
    return {}
"""


@pytest.fixture
def three(project: Project) -> Project:
    """A project of three cases."""
    (project.root / "cases" / "tiny.yaml").unlink()
    for name in NAMES:
        project.write(f"cases/{name}.yaml", CASE.replace("tiny:", f"{name}:").replace("baseline: 5", "baseline: 3"))
    return project


def baselines(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.root / "baselines").rglob("*.json")}


def nothing_is_held(project: Project) -> bool:
    state = queue_state(str(project.root / "locks"))
    return state["holders"] == [] and state["queue"] == []


def engines_of(project: Project) -> list[int]:
    """Processes of the stand-in engine that write below the project."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "generate" in words and str(project.root) in words and alive(int(path.parent.name)):
            found.append(int(path.parent.name))
    return found


def test_results_files_and_exit_code_are_those_of_a_serial_run(three: Project) -> None:
    three.baseline()
    found = []
    for number, workers in enumerate([(), ("-n", "2")]):
        three.engine("slow:1.2")
        result = three.run("--sgdiff-gpus=4", f"--sgdiff-report={number}.json", f"--sgdiff-out=out{number}", *workers)
        document = json.loads((three.root / f"{number}.json").read_text())
        rows = sorted(
            (
                row["node_id"],
                row["outcome"],
                len(row["launches"]),
                [(verdict["metric"], verdict["outcome"]) for verdict in row["verdicts"]],
            )
            for row in document["cases"]
        )
        files = sorted(
            str(path.relative_to(three.root / f"out{number}"))
            for path in (three.root / f"out{number}").rglob("*")
            if path.is_file()
        )
        found.append((result.ret, rows, files))
    assert found[0] == found[1]
    assert found[0][0] == 1
    assert [row[0] for row in found[0][1]] == [f"cases/{name}.yaml::{name}" for name in NAMES]


def test_every_distribution_measures_every_case_once(three: Project) -> None:
    three.record("-n", "2", "--dist", "loadgroup", "--sgdiff-out=kept").assert_outcomes(passed=3)
    assert set(baselines(three)) == {f"{name}.json" for name in NAMES}
    assert nothing_is_held(three)
    for dist in ("loadfile", "worksteal"):
        result = three.run("--sgdiff-replay=kept", "-n", "2", "--dist", dist)
        result.assert_outcomes(passed=3)
        assert "measured 3 of 3 · 3 pass" in result.stdout.str()


def test_each_shows_the_worst_that_any_worker_found(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE.replace("baseline: 5", "baseline: 3"))
    project.baseline()
    # One worker's engine is slow, and both launch the same case at the same time.
    project.write(
        "conftest.py",
        "import os\n"
        "def pytest_configure(config):\n"
        "    if getattr(config, 'workerinput', {}).get('workerid') == 'gw0':\n"
        "        os.environ['SGDIFF_FAKE_SCENARIO'] = 'slow:1.2'\n",
    )
    result = project.run("--sgdiff-gpus=4", "-n", "2", "--dist", "each", "--sgdiff-out=kept")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == 1
    assert "measured 1 of 1 · 1 regressed" in result.stdout.str()
    assert (project.root / "kept" / "tiny" / "00").is_dir()
    assert len(list((project.root / "kept" / "again").glob("*/tiny/00"))) == 1


def test_a_killed_worker_costs_its_case_alone(three: Project) -> None:
    three.baseline("--sgdiff-out=kept")
    before = baselines(three)
    three.write("conftest.py", LOSES_TWO)
    result = three.run("--sgdiff-gpus=4", "--sgdiff-update=extend", "-n", "2", "--sgdiff-out=kept")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    output = result.stdout.str()
    assert "sgdiff: not measured: cases/two.yaml::two (its worker died)" in result.outlines
    assert "measured 2 of 3" in output
    after = baselines(three)
    assert after["two.json"] == before["two.json"]
    assert after["one.json"] != before["one.json"]
    # Launches of the earlier run are forgotten, those of this one are not when another worker takes the place.
    assert {path.name: len(list(path.iterdir())) for path in (three.root / "kept").iterdir()} == {
        "one": 3,
        "two": 0,
        "three": 3,
    }
    assert nothing_is_held(three)


def test_a_worker_killed_while_its_engine_runs_leaves_no_engine_and_no_lease(project: Project) -> None:
    project.engine("hang")
    project.write(
        "conftest.py",
        "import os, signal, threading\n"
        "import pytest\n"
        "@pytest.fixture(autouse=True)\n"
        "def killer():\n"
        "    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGKILL))\n"
        "    timer.start()\n"
        "    yield\n",
    )
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "-n", "1")
    assert result.ret == 1
    assert "sgdiff: not measured: cases/tiny.yaml::tiny (its worker died)" in result.outlines
    assert not (project.root / "baselines").exists()
    assert engines_of(project) == []
    assert nothing_is_held(project)


def test_without_restarts_the_summary_lists_what_did_not_run(three: Project) -> None:
    three.write("conftest.py", LOSES_TWO)
    result = three.run("--sgdiff-gpus=4", "--sgdiff-update", "-n", "1", "--max-worker-restart=0")
    assert result.ret == 1
    listed = [line for line in result.outlines if line.startswith("sgdiff: not measured")]
    assert "sgdiff: not measured: cases/two.yaml::two (its worker died)" in listed
    measured = re.search(r"measured (\d) of 3", result.stdout.str())
    assert measured is not None
    assert len(listed) == 3 - int(measured[1])


@contextlib.contextmanager
def recording(project: Project, *arguments: str, sigint: signal.Handlers) -> Iterator[subprocess.Popen[str]]:
    """A run of pytest in a session of its own whose engine has been started; `sigint` is what it does with Ctrl-C."""
    argv = ["-m", "pytest", "-p", "pytest_sgdiff.plugin", "-p", "xdist.plugin", "-p", "no:cacheprovider"]
    run = subprocess.Popen(
        [sys.executable, *argv, "--sgdiff-gpus=4", "--sgdiff-update", *arguments],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ,
        # A shell's background jobs ignore the one, those of nohup the other, and so do all that they start.
        preexec_fn=lambda: (signal.signal(signal.SIGINT, sigint), signal.signal(signal.SIGHUP, signal.SIG_DFL)),
    )
    try:
        wait_for(lambda: engines_of(project), limit_s=120, otherwise="the engine was never started")
        assert not nothing_is_held(project)
        yield run
    finally:
        run.kill()
        run.communicate()
        try:
            wait_for(
                lambda: not engines_of(project) and nothing_is_held(project), otherwise="engines or leases are left"
            )
        finally:
            for pid in engines_of(project):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("scenario", "number", "workers"),
    [
        ("hang", signal.SIGINT, ()),
        ("hang", signal.SIGHUP, ()),
        ("hang", signal.SIGINT, ("-n", "2")),
        ("stubborn", signal.SIGTERM, ("-n", "2")),  # it does not end at SIGTERM
    ],
    ids=["serial", "terminal closed", "xdist", "CI"],
)
def test_an_interrupt_ends_the_engine_and_frees_its_gpus(
    project: Project, scenario: str, number: signal.Signals, workers: tuple[str, ...]
) -> None:
    project.engine(scenario)
    with recording(project, "--sgdiff-report=report.json", *workers, sigint=signal.SIG_DFL) as run:
        os.kill(run.pid, number)
        if number == signal.SIGTERM:  # GNU timeout sends it to its child, and then to the group
            os.kill(run.pid, number)
        output, _ = run.communicate(timeout=120)
        assert engines_of(project) == []
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    report = json.loads((project.root / "report.json").read_text())
    assert report["interrupted"] is True
    assert report["unmeasured"] == [{"node_id": "cases/tiny.yaml::tiny", "why": "interrupted"}]
    assert "sgdiff: not measured: cases/tiny.yaml::tiny (interrupted)" in output
    assert not (project.root / "baselines").exists()


def test_a_killed_controller_takes_its_workers_and_their_engine_with_it(project: Project) -> None:
    project.engine("stubborn")
    with recording(project, "-n", "2", sigint=signal.SIG_IGN) as run:
        run.kill()  # SIGKILL: it can tell its workers nothing
    assert {row["state"] for row in queue_state(str(project.root / "locks"))["gpus"]} == {"free"}
    assert not (project.root / "baselines").exists()


@pytest.mark.parametrize(("gpus", "workers"), [("3", 3), ("idx:0", 1)])
def test_auto_is_as_many_workers_as_hold_leases(three: Project, gpus: str, workers: int) -> None:
    result = three.run(f"--sgdiff-gpus={gpus}", "--sgdiff-update", "-n", "auto", "-k", "one")
    assert result.ret == 0, result.stdout.str()
    assert f"created: {workers}/{workers} worker" in result.stdout.str()


FREES_GPU_3 = """
import json, os, pathlib

def pytest_xdist_setupnodes():
    path = pathlib.Path(os.environ["SGDIFF_NVML_FILE"])
    path.write_text(path.with_suffix(".idle").read_text())
"""


def test_workers_have_the_idle_gpus_that_the_run_began_with(three: Project) -> None:
    """Else a worker that starts when another GPU has become idle runs what its controller has no room for."""
    wide = CASE.replace("tiny:", "wide:").replace("model:", "gpus: 4\n    model:")
    three.write("cases/wide.yaml", wide)
    state = three.root / "nvml.json"
    (three.root / "nvml.idle").write_text(state.read_text())
    driver = json.loads(state.read_text())
    driver["gpus"][3]["processes"] = [{"pid": 419, "name": "/usr/bin/python3", "used_mb": 1002}]
    state.write_text(json.dumps(driver))
    three.write("conftest.py", FREES_GPU_3)
    result = three.run("--sgdiff-gpus=auto", "--sgdiff-update", "-n", "2", "-rs", "-k", "wide or one")
    assert result.ret == 0, result.stdout.str()
    assert json.loads(state.read_text())["gpus"][3]["processes"] == []
    why = "GPU 3 is busy (process 419 (python3, 1002 MiB))"
    assert f"needs 4 GPUs, and --sgdiff-gpus=auto gives only 3 of them: {why}" in result.stdout.str()
    assert [path.name for path in (three.root / "baselines").rglob("*.json")] == ["one.json"]
