"""What a run of pytest says of variants: the time that they are ranked by, their memory, and why they do not count."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import (
    Case,
    CaseResult,
    Dropped,
    EngineInfo,
    MetricChoice,
    Problem,
    Reason,
    Tried,
    TuneLaunch,
    TuneTrouble,
    Variant,
)
from pytest_sgdiff.data.failures import ExceptionRaised, NoRoom, OutOfMemory, PortTaken, UnknownModel
from pytest_sgdiff.errors import OptionError, SgdiffError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.launch import child
from pytest_sgdiff.tuning.bench import Bench, MeasuringError, Plan, came_of, memory_mib, ranked_by, value_of
from pytest_sgdiff.tuning.outcome import described
from pytest_sgdiff.tuning.rounds import Ending, read_round, write_ending
from tests import factories
from tests.tuning_space import space_of

CASE = Case(name="tiny", location=factories.location(), model="m", gpus=2)
SPACE = space_of(CASE, {"quick": "slow:0.7", "crashes": "oom"})
WRITTEN, QUICK, CRASHES = SPACE.variants
OOM = Problem(kind="invalid", code="failure-in-log")


def measured(case: str, *launches: Any, **changes: Any) -> CaseResult:
    return factories.without_baseline(case=case, launches=launches or (factories.record(wall_s=50.0),), **changes)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    plan = Plan(case=CASE, metric="denoise", engine_cmd=("sglang",), gpus="2", cwd=tmp_path)
    return Bench(plan=plan, folder=tmp_path)


def ended(monkeypatch: pytest.MonkeyPatch, *endings: Ending, code: int | None = 1) -> list[Sequence[str]]:
    """Have pytest end like this; the commands that were given."""
    given: list[Sequence[str]] = []

    def run(words: Sequence[str], *, log: Path, env: Mapping[str, str], **_: Any) -> int | None:
        given.append(words)
        log.write_text("the end of the log")
        for ending in endings:
            write_ending(log.parent, ending)
        return code

    monkeypatch.setattr(child, "run", run)
    return given


def test_what_counts_and_what_does_not(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ended(
        monkeypatch,
        Ending(case=QUICK.case.id, result=measured(QUICK.case.id)),
        Ending(case=CRASHES.case.id, result=measured(CRASHES.case.id, problems=(OOM,))),
    )
    quick, crashes = bench.measure(1, [QUICK, CRASHES], timeout_s=None)
    assert quick.tried == Tried(variant="quick", ms=81180.0, lost=0.0, memory_mib=22036.5, gpu_s=100.0)
    assert (quick.e2e_ms, quick.alone, quick.round) == (83300.0, False, 1)
    assert crashes.dropped == Dropped(code="failed", problem=OOM)
    (words,) = given
    # Both at the same time, of the file and the case that the user knows.
    assert words[words.index("-n") + 1] == "2"
    assert "cases/wan22.yaml::tiny" in words
    assert bench.next_round() == 2
    asked = read_round(tmp_folder(bench, 1))
    assert (asked.case, [case.id for case in asked.cases]) == ("tiny", ["tiny_quick", "tiny_crashes"])
    # One that was killed since is read as it is.
    assert [one.tried for one in bench.known(1, [QUICK])] == [quick.tried]


def tmp_folder(bench: Bench, number: int) -> Path:
    return bench.launches(number).parent


def test_a_variant_without_a_result_is_left_out_and_the_case_itself_ends_the_search(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(monkeypatch, Ending(case=QUICK.case.id, why="cases/x.yaml:3: error: no such flag"))
    (quick,) = bench.measure(1, [QUICK], timeout_s=None)
    assert quick.dropped == Dropped(code="failed", why="cases/x.yaml:3: error: no such flag")
    ended(monkeypatch, Ending(case=WRITTEN.case.id, why="a fixture failed"))
    with pytest.raises(MeasuringError, match="a fixture failed"):
        bench.measure(2, [WRITTEN], timeout_s=None)
    ended(monkeypatch, Ending(case=QUICK.case.id, why="no space left", broke=True))
    with pytest.raises(MeasuringError, match="no space left"):
        bench.measure(3, [QUICK], timeout_s=None)


def test_gpus_that_others_hold_are_no_fault_of_a_variant(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = measured(QUICK.case.id, outcome="inconclusive", reason=Reason(code="environment", error="GPU 0 is busy"))
    crashed = Ending(case=CRASHES.case.id, result=measured(CRASHES.case.id, problems=(OOM,)))
    ended(monkeypatch, Ending(case=QUICK.case.id, result=busy), crashed)
    with pytest.raises(MeasuringError) as raised:
        bench.measure(1, [QUICK, CRASHES], timeout_s=None)
    assert raised.value.troubles == (TuneTrouble(code="gpus", variant="quick", why="GPU 0 is busy"),)
    # What was measured beside it is known, and it is launched again.
    assert [one.variant for one in bench.known(1, [QUICK, CRASHES])] == ["crashes"]


def test_a_pytest_that_says_nothing_is_an_error_with_the_end_of_its_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(monkeypatch, Ending(case=QUICK.case.id, result=measured(QUICK.case.id)), code=4)
    with pytest.raises(MeasuringError) as raised:
        bench.measure(1, [QUICK, CRASHES], timeout_s=None)
    assert "crashes" in str(raised.value)
    assert "the end of the log" in raised.value.args
    # Of one that was ended for the time nothing is known, and that is no error.
    ended(monkeypatch, code=None)
    assert bench.measure(2, [QUICK], timeout_s=1.0) == ()


def test_an_interrupted_launch_says_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(kind="launch-failed", code="interrupted")
    ended(monkeypatch, Ending(case=QUICK.case.id, result=measured(QUICK.case.id, problems=(problem,))), code=None)
    assert bench.measure(1, [QUICK], timeout_s=1.0) == ()


def test_a_damaged_ending_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(monkeypatch, Ending(case=QUICK.case.id, result=measured(QUICK.case.id)))
    bench.measure(1, [QUICK], timeout_s=None)
    (path,) = (tmp_folder(bench, 1) / "endings").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SgdiffError, match=str(path)):
        bench.known(1, [QUICK])


def test_disturbed_launches_count_for_the_gpus_and_for_nothing_else() -> None:
    bad = factories.record(0, wall_s=30.0, disturbances=(factories.foreign(),))
    result = measured(QUICK.case.id, factories.record(1, wall_s=50.0), bad)
    (tried,) = came_of(QUICK, result, "denoise")  # type: ignore[misc]
    assert tried.gpu_s == 160.0
    assert came_of(QUICK, measured(QUICK.case.id, bad, outcome="inconclusive"), "denoise") == Dropped(code="disturbed")


def test_a_launch_without_the_metric_does_not_count() -> None:
    bare = factories.record(metrics={"e2e": 83300.0})
    told = came_of(QUICK, measured(QUICK.case.id, bare), "denoise")
    assert isinstance(told, Dropped)
    assert told.code == "failed"


def test_memory_is_what_the_engine_reports_or_what_was_seen() -> None:
    launch = factories.record()
    assert memory_mib(launch) == launch.metrics["peak_memory"]
    without = replace(launch, metrics={"e2e": 1.0})
    seen = [size for series in without.watch.gpus for size in series.memory_mb if size] if without.watch else []
    assert memory_mib(without) == max(seen)
    assert memory_mib(replace(without, watch=None)) is None


def test_of_several_gpus_the_peak_is_not_that_of_the_first_alone() -> None:
    launch = factories.record()
    assert launch.watch is not None
    (series, *_) = launch.watch.gpus
    gpus = tuple(replace(series, memory_mb=(size,)) for size in (30000, 60000))
    for generation, most in (("A", 50000.0), ("B", 60000.0), ("C1", 60000.0), ("C2", 50000.0)):
        of_two = replace(
            launch,
            generation=generation,
            metrics={**launch.metrics, "peak_memory": 50000.0},
            watch=replace(launch.watch, gpus=gpus),
        )
        assert memory_mib(of_two) == most
        assert memory_mib(replace(of_two, watch=replace(launch.watch, gpus=gpus[1:]))) == 50000.0
    above = replace(of_two, generation="B", metrics={"peak_memory": 70000.0})
    assert memory_mib(above) == 70000.0


def test_denoising_is_ranked_by_the_sum_of_its_steps() -> None:
    launch = factories.record()
    assert value_of(launch, "denoise") == launch.metrics["denoise_steps"]
    assert value_of(launch, "e2e") == launch.metrics["e2e"]
    assert value_of(replace(launch, metrics={"denoise": 5.0}), "denoise") == 5.0


def test_variants_are_ranked_by_what_the_case_is_judged_by_first() -> None:
    assert ranked_by(CASE) == "denoise"
    assert ranked_by(replace(CASE, metrics=MetricChoice(gate=("e2e",), primary="e2e"))) == "e2e"
    assert ranked_by(CASE, "stage:DecodingStage") == "stage:DecodingStage"
    for wrong in ("peak_memory", "pause", "denoise_core", "denoisee"):
        with pytest.raises(OptionError, match=wrong):
            ranked_by(CASE, wrong)


def test_a_round_lasted_as_long_as_its_files_say(bench: Bench) -> None:
    assert bench.lasted_s(1) == 0.0
    where = bench.launches(1)
    where.mkdir(parents=True)
    for path, time in ((where.parent / "round.json", 1000.0), (where / "log", 1060.0), (where.parent / "log", 1030.0)):
        path.touch()
        os.utime(path, (time, time))
    assert bench.lasted_s(1) == 60.0


def test_without_xdist_variants_are_launched_one_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Sequence[str]] = []

    def run(words: Sequence[str], *, log: Path, **_: Any) -> int:
        given.append(words)
        log.write_text("unrecognized arguments: -n 2" if "-n" in words else "")
        if "-n" in words:
            return 4
        for one in (QUICK, CRASHES):
            write_ending(log.parent, Ending(case=one.case.id, result=measured(one.case.id)))
        return 0

    monkeypatch.setattr(child, "run", run)
    assert [one.variant for one in bench.measure(1, [QUICK, CRASHES], timeout_s=None)] == ["quick", "crashes"]
    assert len(given) == 2


@pytest.mark.parametrize(
    "ending",
    [
        None,
        Ending(case=QUICK.case.id, why="INTERNALERROR", broke=True),
        # The engine failed in words that name no disk: a dump that is cut off, a picture that is empty.
        Ending(case=QUICK.case.id, result=measured(QUICK.case.id, problems=(OOM,))),
        Ending(case=QUICK.case.id, why="setup failed"),
    ],
)
def test_a_full_disk_is_said_whatever_pytest_says_of_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ending: Ending | None
) -> None:
    ended(monkeypatch, *([] if ending is None else [ending]), code=3)
    write = data_files.write

    def full(path: Path, content: str | bytes, **more: Any) -> None:
        if len(content) > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content, **more)

    with monkeypatch.context() as patched:
        patched.setattr(data_files, "write", full)
        with pytest.raises(MeasuringError) as raised:
            bench.measure(1, [QUICK], timeout_s=None)
    assert raised.value.troubles == (TuneTrouble(code="disk", why=f"{bench.folder}: No space left on device"),)
    # The same command launches it again.
    assert bench.known(1, [QUICK]) == ()
    # Where there is room, nothing is left of what was written to see that.
    with contextlib.suppress(MeasuringError):
        bench.measure(1, [QUICK], timeout_s=None)
    assert [path.name for path in tmp_folder(bench, 1).parent.iterdir()] == ["0001"]


FULL = Problem(kind="invalid", code="failure-in-log", cause="disk", failure=NoRoom(path="/tmp/x"))
PORT = Problem(kind="launch-failed", code="exit-code", cause="port", failure=PortTaken(port=30005))
NO_MEMORY = replace(OOM, cause="memory", failure=OutOfMemory())


def raising(kind: str, message: str) -> Problem:
    return Problem(kind="launch-failed", code="exit-code", failure=ExceptionRaised(type=kind, message=message))


@pytest.mark.parametrize(
    ("variant", "ending", "code"),
    [
        # Room that there is again, as scratch files are gone.
        (QUICK, Ending(case=QUICK.case.id, result=measured(QUICK.case.id, problems=(OOM, FULL))), "disk"),
        (QUICK, Ending(case=QUICK.case.id, why="cannot be written", full=True), "disk"),
        *(
            (variant, Ending(case=variant.case.id, result=measured(variant.case.id, problems=(problem,))), code)
            for variant, problem, code in (
                (QUICK, raising("PermissionError", "[Errno 13] Permission denied: '/c/hub/models--m/refs'"), "model"),
                (QUICK, raising("huggingface_hub.errors.GatedRepoError", "no access to m."), "model"),
                (QUICK, replace(OOM, failure=UnknownModel(model="m")), "model"),
                (WRITTEN, raising("OSError", "m is no local folder"), "model"),
                (WRITTEN, raising("requests.exceptions.ConnectionError", "no route"), "model"),
                # A kernel or a transformer that only this variant needs is its own.
                (QUICK, raising("huggingface_hub.errors.LocalEntryNotFoundError", "no kernels/sage"), None),
                (QUICK, raising("FileNotFoundError", "m/transformer/fp16.safetensors"), None),
                (QUICK, replace(OOM, failure=UnknownModel(model="mine/m2")), None),
                (WRITTEN, raising("OSError", "CUDA_HOME is not set"), None),
                (WRITTEN, NO_MEMORY, None),
            )
        ),
    ],
)
def test_what_is_no_fault_of_a_variant_ends_the_search_and_counts_against_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, variant: Variant, ending: Ending, code: str | None
) -> None:
    ended(monkeypatch, ending)
    if code is None:
        (one,) = bench.measure(1, [variant], timeout_s=None)
        assert one.dropped is not None
        assert one.dropped.code == "failed"
        return
    with pytest.raises(MeasuringError) as raised:
        bench.measure(1, [variant], timeout_s=None)
    assert [(one.code, one.variant) for one in raised.value.troubles] == [(code, variant.name)]
    assert bench.known(1, [variant]) == ()


def test_what_other_work_took_from_a_launch_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def came(problem: Problem, **seen: Any) -> Dropped | None:
        launch = factories.record(metrics={}, problem=problem, **seen)
        ended(monkeypatch, Ending(case=QUICK.case.id, result=measured(QUICK.case.id, launch, problems=(problem,))))
        (one,) = bench.measure(1, [QUICK], timeout_s=None)
        return one.dropped

    assert came(PORT) == Dropped(code="disturbed", problem=PORT)
    assert came(NO_MEMORY) == Dropped(code="failed", problem=NO_MEMORY)
    watch = factories.record().watch
    assert watch is not None
    foreign = replace(watch, foreign=factories.foreign().processes)
    assert came(NO_MEMORY, watch=foreign) == Dropped(code="disturbed", problem=NO_MEMORY)
    # Other work beside it does not make a launch fall back.
    assert came(OOM, watch=foreign) == Dropped(code="failed", problem=OOM)


def test_commands_name_the_folder_of_assets_that_launches_had(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = tuple(replace(one, case=replace(one.case, assets={"image-path": "a cat.png"})) for one in SPACE.variants)
    space = replace(SPACE, variants=variants)
    engine = EngineInfo(command=("sglang",), version="0.5.17")

    def commands(launches: Sequence[TuneLaunch]) -> set[bool]:
        told = described(space, launches, bench, engine)
        return {"'/my pictures/a cat.png'" in one.command and "ASSET_DIR" not in one.command for one in told}

    ended(monkeypatch, Ending(case=QUICK.case.id, result=measured(QUICK.case.id), assets="/my pictures"))
    assert commands(bench.measure(1, variants[1:2], timeout_s=None)) == {True}
    ended(monkeypatch, Ending(case=QUICK.case.id, result=measured(QUICK.case.id)))
    assert commands(bench.measure(2, variants[1:2], timeout_s=None)) == {False}
