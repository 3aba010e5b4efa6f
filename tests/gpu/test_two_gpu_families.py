"""Launches over two real GPUs of families that can split one request: LTX-2 in two stages, and FireRed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

import pytest

from pytest_sgdiff.data import Launch
from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.engines.perf_dump import parse
from pytest_sgdiff.metrics import metrics_of
from pytest_sgdiff.recordings import store as recordings
from tests.gpu.conftest import Checkpoint
from tests.gpu.twogpus import FIRERED, LTX2, PROMPT, case_file, report, results
from tests.realproject import Project, write_picture

pytestmark = pytest.mark.gpu

Note = Callable[[str, object], None]
Measured = tuple[Project, Mapping[str, tuple[Launch, ...]]]

SPLIT = {
    "cfg": {"enable_cfg_parallel": True, "ulysses_degree": 1},
    "ulysses": {"enable_cfg_parallel": False, "ulysses_degree": 2},
}


def measured(project: Project, *arguments: str) -> Measured:
    project.pytest("--sgdiff-out=kept", *arguments)
    kept = project.folder / "kept"
    return project, {case: recordings.read_launches(kept, case) for case in recordings.case_ids(kept)}


@pytest.fixture(scope="module")
def firered(new_project: Callable[[str, str], Project], checkpoint: Checkpoint) -> Measured:
    # GPU-bound on an H200 from 1536 on.
    picture = int(os.environ.get("SGDIFF_GPU_PICTURE", "1536"))
    project = new_project("firered", case_file(FIRERED.format(model=checkpoint("firered"), size=picture)))
    write_picture(project.folder / "assets" / "input.png")
    return measured(project, "--sgdiff-assets=assets")


@pytest.fixture(scope="module")
def ltx2(new_project: Callable[[str, str], Project], checkpoint: Checkpoint) -> Measured:
    return measured(new_project("ltx2", case_file(LTX2.format(model=checkpoint("ltx-2"), prompt=PROMPT))))


def assert_two_native_ranks(launch: Launch, *, topology: str, pipeline: str) -> None:
    """The engine's own parts on two ranks, split as the case asks, of which one tells what was done, and once."""
    log = examine(launch.log)
    assert (log.pipeline, log.fallbacks, log.components, log.failures) == (pipeline, (), (), ())
    assert len(log.pipeline_lines) == 1
    assert log.server_args["num_gpus"] == 2
    assert {name: log.server_args[name] for name in SPLIT[topology]} == SPLIT[topology]
    text = "\n".join(log.lines)
    assert re.findall(r"world_size=(\d+)", text) == ["2"]
    assert len(re.findall(r"Worker (\d+): Scheduler loop started", text)) == 1
    for name in ("DenoisingStage", "DecodingStage"):
        assert len(re.findall(rf"\[\w*{name}\] finished in", text)) >= 1
    assert len(re.findall(r"Running pipeline stages", text)) == 1


def assert_one_dump(launch: Launch) -> None:
    """The dump is whole, and the engine names one file for it, if twice."""
    assert launch.dump is not None
    assert len(set(re.findall(r"Metrics dumped to: \S*?(/\S+?perf\.json)", launch.log))) == 1
    assert metrics_of(parse(launch.dump))["denoise_steps"] > 0


def note_memory(launch: Launch, name: str, note: Note) -> tuple[int, ...]:
    """The most memory (MiB) in use on each GPU while the launch ran; put down beside the dump's figure."""
    assert launch.watch is not None
    assert launch.dump is not None
    peaks = tuple(max(value for value in series.memory_mb if value is not None) for series in launch.watch.gpus)
    note(f"{name}: peak in use, MiB", peaks)
    note(f"{name}: peak allocated by the dump, MiB", metrics_of(parse(launch.dump)).get("peak_memory"))
    note(f"{name}: most unlisted, MiB", launch.watch.hidden_mb)
    return peaks


def everyone(cases: Mapping[str, tuple[Launch, ...]]) -> list[tuple[str, Launch]]:
    return [(case, launch) for case, launches in cases.items() for launch in launches]


def check(measured: Measured, pipeline: str, record_property: Note, *, topologies: set[str]) -> None:
    project, cases = measured
    assert {case.partition("[")[2].rstrip("]") for case in cases} == topologies
    for case, launch in everyone(cases):
        topology = case.partition("[")[2].rstrip("]")
        assert_two_native_ranks(launch, topology=topology, pipeline=pipeline)
        assert_one_dump(launch)
        assert len(launch.environment.gpu_uuids) == 2
        one, other = note_memory(launch, f"{case}/{launch.number}", record_property)
        assert min(one, other) > 1000, "one of the two GPUs holds no model"
        assert launch.watch is not None
        assert (launch.watch.pids, launch.watch.foreign) == ("exact", ())
        assert launch.watch.hidden_mb is not None
    for result in results(project).values():
        assert result["outcome"] == "no-baseline", result["reason"]
        assert all(launch["excluded"] is None and launch["warmup"] == "proven" for launch in result["launches"])
        assert result["machine"]["count"] == 2


def test_firered_runs_natively_over_two_gpus(firered: Measured, record_property: Note) -> None:
    check(firered, "QwenImageEditPlusPipeline", record_property, topologies={"cfg", "ulysses"})


def test_cfg_parallel_is_faster_than_ulysses_in_the_same_run(firered: Measured, record_property: Note) -> None:
    project, _ = firered
    (relation,) = report(project)["relations"]
    record_property("relation", {name: relation[name] for name in ("metric", "outcome", "ratio", "low", "high")})
    assert (relation["case"], relation["than"], relation["metric"]) == (
        "firered[cfg]",
        "firered[ulysses]",
        "denoise_steps",
    )
    assert relation["outcome"] == "pass", relation["why"]


def test_ltx2_in_two_stages_runs_natively_over_two_gpus(ltx2: Measured, record_property: Note) -> None:
    # Ulysses over two GPUs ends LTX-2's first denoising step with an error of sizes in 0.5.17.
    check(ltx2, "LTX2TwoStagePipeline", record_property, topologies={"cfg"})


def test_a_recording_over_two_gpus_is_judged_as_the_run_was(ltx2: Measured) -> None:
    project, _ = ltx2
    before = {name: (case["outcome"], case["machine"]) for name, case in results(project).items()}
    replay = project.copy_to(project.folder.with_name("replayed"))
    ran = Project(folder=replay.folder, engine=replay.engine, gpus="").pytest("--sgdiff-replay=kept")
    assert {name: (case["outcome"], case["machine"]) for name, case in results(replay).items()} == before
    assert ran.returncode == 1
