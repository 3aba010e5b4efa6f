"""The main job on one real GPU: record, gate, find a real slowdown, and refuse what was not measured or disturbed."""

from __future__ import annotations

import pathlib
import statistics
import subprocess
import time
from collections.abc import Callable

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.recordings import store as recordings
from tests.gpu.processes import alive, engine_of, wait_for_log
from tests.gpu.wan import case_text
from tests.realproject import Project, Ran

pytestmark = pytest.mark.gpu

ProjectWith = Callable[[str], Project]


def gpu_facts(query: str) -> list[str]:
    """What nvidia-smi says of the first GPU: an account of NVML that is not ours."""
    argv = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits", "--id=0"]
    return [word.strip() for word in subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split(",")]


def test_update_records_a_baseline_of_this_gpu(recorded: tuple[Project, Ran]) -> None:
    project, ran = recorded
    assert ran.returncode == 0
    (path,) = project.baselines()
    baseline = baselines.load(path)
    launches = baseline.measurement.launches
    name, uuid, driver, power, clock = gpu_facts("name,uuid,driver_version,power.limit,clocks.max.sm")
    assert (baseline.measurement.machine.product, baseline.measurement.machine.count) == (name, 1)
    assert path.parent.name == baseline.measurement.machine.slug
    for launch in launches:
        assert launch.environment.gpu_uuids == (uuid,)
        assert launch.environment.driver == driver
        assert launch.environment.power_limit_w == pytest.approx(float(power))
        assert launch.environment.sm_clock_max_mhz == int(clock)
        assert launch.environment.sync_stages is True
        assert (launch.warmup, launch.pipeline, launch.counts) == ("proven", "WanPipeline", True)
        assert launch.watch is not None
        assert launch.watch.foreign == ()
    for kept in recordings.read_launches(project.folder / "recorded", "wan_gpu"):
        assert kept.watch is not None
        (series,) = kept.watch.gpus
        assert series.gpu_uuid == uuid
        assert max(value for value in series.sm_mhz if value is not None) <= int(clock)
        # The model is there while the launch runs, and nothing of it before.
        seen = [value for value in series.memory_mb if value is not None]
        assert max(seen) > min(seen) + 1000
    steps = [value for value in baseline.measurement.values["denoise_steps"] if value is not None]
    assert len(steps) == len(launches)
    # Single launches may be held up by a host: 21 % was seen. Half of them are not.
    assert statistics.median(steps) / min(steps) < 1.2


def test_the_same_engine_is_never_called_slower(project_with: ProjectWith) -> None:
    ran = project_with("baseline").pytest()
    assert ran.case is not None
    # A host on which launches vary by 3 % leaves a 4 % limit undecided, which is what `inconclusive` is for.
    assert ran.case["outcome"] in {"pass", "improved", "inconclusive"}
    assert ran.returncode == 0
    assert "measured 1 of 1" in ran.output


def test_a_model_with_eight_percent_more_work_regresses(project_with: ProjectWith) -> None:
    ran = project_with("slower").pytest()
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode) == ("regressed", 1)
    (steps,) = [verdict for verdict in ran.case["verdicts"] if verdict["metric"] == "denoise_core"]
    assert 1.04 < steps["ratio"] < 1.14


def test_a_foreign_process_that_computes_on_the_gpu_is_named_and_decides_nothing(
    project_with: ProjectWith, busy_gpu: Callable[[], int]
) -> None:
    project = project_with("baseline")
    process = project.start("--sgdiff-out=kept")
    # It comes once the lease is held: a GPU that is busy before is not leased at all.
    wait_for_log(project.folder / "kept")
    stranger = busy_gpu()
    output, _ = process.communicate(timeout=1800)
    assert "INCONCLUSIVE" in output
    assert "environment: " in output
    assert str(stranger) in output
    # Nothing was decided about the only case, and a run that measured nothing is not green.
    assert "sgdiff: failed: nothing was measured" in output
    assert process.returncode == 1


def test_a_gpu_that_a_foreign_process_uses_is_not_leased(
    project_with: ProjectWith, busy_gpu: Callable[[], int]
) -> None:
    stranger = busy_gpu()
    ran = project_with("baseline").pytest("--sgdiff-gpu-timeout=20")
    assert ran.returncode == 1
    assert f"GPU 0: busy, process {stranger} (" in ran.output


def test_a_real_fallback_to_diffusers_is_invalid(project_with: ProjectWith) -> None:
    ran = project_with("foreign").pytest()
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode) == ("invalid", 1)
    assert "Falling back to diffusers backend." in ran.output


def test_out_of_memory_inside_a_request_fails_although_the_engine_exits_0(
    project_with: ProjectWith, checkpoint: Callable[[str], pathlib.Path]
) -> None:
    project = project_with("baseline")
    # 16 million tokens: the first layer norm does not fit any GPU of today.
    project.write_case(case_text(checkpoint("baseline"), width=8192, height=8192, frames=241))
    ran = project.pytest("--sgdiff-out=kept")
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode) == ("invalid", 1)
    (launch,) = recordings.read_launches(project.folder / "kept", "wan_gpu")
    assert (launch.ending, launch.returncode, launch.dump) == ("exited", 0, None)
    assert "out of memory" in ran.output.lower()


def test_a_killed_pytest_keeps_its_gpu_until_the_engine_is_gone(project_with: ProjectWith) -> None:
    first = project_with("baseline")
    process = first.start("--sgdiff-out=kept")
    engine = engine_of(first.folder / "kept")
    process.kill()
    process.communicate()
    assert alive(engine), "the engine ended with pytest, so that nothing is shown here"
    began = time.monotonic()
    ran = first.copy_to(first.folder.with_name("second")).pytest()
    assert ran.case is not None
    # The orphan holds the lease by its descriptor; it is ended, its memory freed, and only then is the GPU given.
    assert not alive(engine)
    assert ran.case["outcome"] in {"pass", "inconclusive"}
    assert all(not launch["watch"]["foreign"] for launch in ran.case["launches"] if launch["excluded"] is None)
    assert time.monotonic() - began < 900
