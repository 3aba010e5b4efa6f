"""Two real GPUs of one host: who gets which, in which order, what foreign processes and dead workers do to others."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pytest_sgdiff.gpus import lock_dir, queue_state
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.watch import disturbances
from tests.gpu.conftest import Checkpoint
from tests.gpu.processes import alive, engine_of, parent_of, until, wait_for_log
from tests.gpu.twogpus import Sightings, Span, case_file, makespan_over_bound, report, results, spans, wan
from tests.realproject import Project

pytestmark = pytest.mark.gpu

NewProject = Callable[[str, str], Project]


@dataclass(frozen=True, kw_only=True)
class TwoRuns:
    """Four cases with one GPU and one with two under `-n 2`, and a second run that wants both GPUs meanwhile."""

    first: Project
    second: Project
    launches: list[Span]
    seen: frozenset[tuple[str, tuple[str, ...]]]

    def of(self, case: str) -> Span:
        (found,) = [span for span in self.launches if span.case == case]
        return found


@pytest.fixture(scope="module")
def two_runs(new_project: NewProject, checkpoint: Checkpoint) -> TwoRuns:
    model = checkpoint("baseline")
    narrow = [wan(f"narrow_{letter}", model) for letter in "abcd"]
    first = new_project("first", case_file(*narrow, wan("wide", model, gpus=2)))
    second = new_project("second", case_file(wan("late", model, gpus=2)))
    with Sightings() as sightings:
        running = first.start("-n2", "--sgdiff-out=kept")
        # The wide case goes first, for its GPU-seconds; the second run comes while the first two narrow ones load.
        until(lambda: len(started(first)) >= 3, limit_s=600)
        late = second.start("--sgdiff-out=kept")
        for process in (running, late):
            print(process.communicate(timeout=1500)[0])
    launches = spans(first.folder / "kept", second.folder / "kept")
    return TwoRuns(first=first, second=second, launches=launches, seen=frozenset(sightings.seen))


def started(project: Project) -> set[str]:
    """The cases whose engine has printed something."""
    return {path.parent.parent.name for path in project.folder.glob("kept/*/00/engine.log") if path.stat().st_size}


def test_every_case_of_both_runs_was_measured(two_runs: TwoRuns) -> None:
    for project in (two_runs.first, two_runs.second):
        for case in results(project).values():
            # Nobody recorded a baseline; a launch that does not count would be `invalid`, or the environment's.
            assert case["outcome"] == "no-baseline", case["reason"]
            assert [launch["excluded"] for launch in case["launches"]] == [None]
    assert len(two_runs.launches) == 6


def test_no_gpu_and_no_port_is_anybody_elses_at_the_time(two_runs: TwoRuns) -> None:
    together = 0
    for place, one in enumerate(two_runs.launches):
        assert len(one.ports) == 3
        for other in two_runs.launches[place + 1 :]:
            if one.overlaps(other):
                together += 1
                assert not one.uuids & other.uuids, (one.case, other.case)
                # A block is 64 ports wide, and the engine goes up from those that it is given.
                assert abs(min(one.ports) - min(other.ports)) >= 64, (one.case, other.case)
    assert together >= 2, "no two launches ran side by side, so that nothing is shown here"
    assert len(two_runs.of("wide").uuids) == len(two_runs.of("late").uuids) == 2


def test_the_engine_computes_where_the_lease_says(two_runs: TwoRuns, two_gpus: list[str]) -> None:
    assert {uuid for span in two_runs.launches for uuid in span.uuids} == set(two_gpus)
    for span in two_runs.launches:
        watch = span.launch.watch
        assert watch is not None
        assert {series.gpu_uuid for series in watch.gpus} == span.uuids
        assert watch.foreign == ()
        for series in watch.gpus:
            # The model is there while the launch runs, and nothing of it before.
            used = [value for value in series.memory_mb if value is not None]
            assert max(used) > min(used) + 1000, (span.case, series.gpu_uuid)
    # nvidia-smi's account, in which a process counts for the launch whose session it is of.
    assert two_runs.seen
    for uuid, leased in two_runs.seen:
        assert uuid in leased
    assert {leased for _, leased in two_runs.seen} == {tuple(two_gpus), *((uuid,) for uuid in two_gpus)}
    assert {uuid for uuid, leased in two_runs.seen if len(leased) == 2} == set(two_gpus)


def test_launches_side_by_side_are_recorded_as_such(two_runs: TwoRuns) -> None:
    for span in two_runs.launches:
        beside = [other.case for other in two_runs.launches if other is not span and span.overlaps(other)]
        watch = span.launch.watch
        assert watch is not None
        # A look a second: a neighbour of less than that may be missed.
        assert set(watch.co_runners) <= set(beside)
        if beside:
            assert watch.alone is False, span.case


def test_a_wide_case_of_another_run_is_not_passed_by_narrow_ones(two_runs: TwoRuns) -> None:
    late = two_runs.of("late")
    narrow = sorted((span for span in two_runs.launches if span.case.startswith("narrow")), key=lambda span: span.began)
    assert [span.began < late.began for span in narrow] == [True, True, False, False]


def test_the_schedule_leaves_gpus_idle_hardly_longer_than_it_must(
    two_runs: TwoRuns, record_property: Callable[[str, object], None]
) -> None:
    ratio = makespan_over_bound(two_runs.launches)
    apart = sum(span.ended - span.began for span in two_runs.launches)
    bound = sum(len(span.uuids) * (span.ended - span.began) for span in two_runs.launches) / 2
    record_property("makespan_over_bound", f"{ratio:.3f}")
    record_property("one_at_a_time_over_bound", f"{apart / bound:.3f}")
    print(f"makespan over bound: {ratio:.3f}; one launch at a time: {apart / bound:.3f}")
    # One at a time, these six launches would take 1.3 to 1.4 times the bound.
    assert ratio < 1.2


def test_a_worker_that_is_killed_loses_its_case_alone(new_project: NewProject, checkpoint: Checkpoint) -> None:
    model = checkpoint("baseline")
    project = new_project("killed", case_file(*(wan(f"narrow_{letter}", model) for letter in "abc")))
    process = project.start("-n2", "--sgdiff-out=kept")
    until(lambda: len(started(project)) >= 2)
    lost = min(started(project))
    engine = engine_of(project.folder / "kept" / lost)
    os.kill(parent_of(engine), signal.SIGKILL)
    until(lambda: len(started(project)) >= 3)
    # The third case has its GPU, which is free no sooner than the orphan of the killed worker is gone.
    assert not alive(engine)
    output, _ = process.communicate(timeout=900)
    print(output)
    assert process.returncode == 1
    assert f"crashed while running 'cases/tiny.yaml::{lost}'" in output
    others = {name: case for name, case in results(project).items() if name != lost}
    assert {name: case["outcome"] for name, case in others.items()} == {
        name: "no-baseline" for name in ("narrow_a", "narrow_b", "narrow_c") if name != lost
    }
    assert all(launch["watch"]["foreign"] == [] for case in others.values() for launch in case["launches"])
    state = queue_state(lock_dir())
    assert (state["holders"], state["queue"]) == ([], [])


def test_a_foreign_process_on_one_gpu_is_no_hindrance_on_the_other(
    new_project: NewProject, checkpoint: Checkpoint, busy_gpu: Callable[..., int], two_gpus: list[str]
) -> None:
    model = checkpoint("baseline")
    project = new_project("beside", case_file(wan("narrow", model), wan("wide", model, gpus=2)))
    stranger = busy_gpu(1)
    ran = project.pytest("-n2", "--sgdiff-gpu-timeout=15", "--sgdiff-out=kept")
    cases = results(project)
    assert cases["wide"]["outcome"] == "inconclusive"
    assert f"GPU 1: busy, process {stranger} (" in cases["wide"]["reason"]
    assert cases["narrow"]["outcome"] == "no-baseline"
    (launch,) = recordings.read_launches(project.folder / "kept", "narrow")
    assert launch.environment.gpu_uuids == (two_gpus[0],)
    assert launch.watch is not None
    assert launch.watch.foreign == ()
    assert ran.returncode == 1


def test_a_foreign_process_on_one_of_its_two_gpus_disturbs_a_launch(
    new_project: NewProject, checkpoint: Checkpoint, busy_gpu: Callable[..., int], two_gpus: list[str]
) -> None:
    project = new_project("joined", case_file(wan("wide", checkpoint("baseline"), gpus=2)))
    process = project.start("--sgdiff-out=kept")
    kept = project.folder / "kept"
    # It comes once the lease is held: a GPU that is busy before is not leased at all.
    wait_for_log(kept)
    engine = engine_of(kept)
    stranger = busy_gpu(1)
    until(lambda: not alive(engine))
    # A stranger who stays is given a minute to leave before the next launch.
    os.kill(stranger, signal.SIGKILL)
    until(lambda: (kept / "wide" / "00" / "launch.json").exists())
    # One launch is enough to see: two more would be made in its place.
    process.send_signal(signal.SIGINT)
    print(process.communicate(timeout=120)[0])
    launch = recordings.read_launch(kept / "wide" / "00", case="wide", number=0)
    assert launch.watch is not None
    assert launch.watch.pids == "exact"
    assert {(process.gpu_uuid, process.pid) for process in launch.watch.foreign} == {(two_gpus[1], stranger)}
    (said,) = disturbances(launch.watch)
    assert (said.code, said.gpu_uuid, said.processes[0].pid) == ("foreign-process", two_gpus[1], stranger)


def test_the_report_of_a_run_under_two_workers_names_each_cases_gpus(two_runs: TwoRuns) -> None:
    for case in report(two_runs.first)["cases"]:
        assert len(case["gpu_indices"]) == (2 if case["case"] == "wide" else 1)
