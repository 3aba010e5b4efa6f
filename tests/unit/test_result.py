"""What a result is made of, and the noise that a suite's own baselines show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.data import (
    Baseline,
    Case,
    Difference,
    Disturbance,
    Environment,
    Finding,
    Launch,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    NextStep,
    NoisePrior,
    PerfDump,
    Problem,
    Reading,
    Reason,
    Recorded,
    Stage,
    Warned,
    Watch,
    Workload,
)
from pytest_sgdiff.judging.judge import judge
from pytest_sgdiff.judging.suite_prior import suite_priors, used
from pytest_sgdiff.runner.collect import LaunchSet, record_of
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.next_step import next_step
from pytest_sgdiff.runner.replay import of_two_measurements
from pytest_sgdiff.runner.result import behind_rate, environment_reason, finish, seen_beside, unmeasured
from tests import factories

H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
CASE = Case(name="wan", location=Location(path="cases/wan.yaml", line=4, column=3), model="m", summary="a raccoon")
RENEW = "pytest --sgdiff-update"
STEPS = (50.0, 51.0, 50.5, 50.0) * 5
DUMP = PerfDump(
    generation="B",
    tag="cli_generate",
    timestamp=None,
    total_ms=1120.0,
    stages=(Stage(name="D", duration_ms=1.0),),
    steps_ms=STEPS,
)
LAUNCH = Launch(
    case="wan",
    number=2,
    argv=("sglang",),
    started_at="2026-11-24T07:00:00Z",
    wall_s=33.1,
    session="s",
    folder="out/02",
    environment=Environment(gpu_uuids=("GPU-1",)),
    watch=Watch(alone=False),
)
READING = Reading(
    dump=DUMP,
    backend="sglang",
    pipeline="WanPipeline",
    warmup="proven",
    auto_tuned=("offload: on",),
    metrics={"e2e": 1120.0},
)


def job(**changes):
    return Job(
        case=CASE, source=None, engine=None, workload=Workload(digest="d"), baseline_for=lambda machine: None,
        only_machine=lambda: None, other_machines=lambda: (), next_command=RENEW, command="sglang generate", **changes,
    )  # fmt: skip


def entries(*metrics, steps=STEPS, sessions=("s",)):
    each = len(metrics) // len(sessions)
    return tuple(
        LaunchRecord(number=i, metrics=m, steps_ms=tuple(steps), session=sessions[min(i // each, len(sessions) - 1)])
        for i, m in enumerate(metrics)
    )


def baseline(launches, *, case="wan", machine=H200, **changes):
    measured = Measurement(case=case, machine=machine, workload=Workload(digest="d"), launches=launches)
    recorded = Recorded(at="2026-11-02T10:00:00Z", command="pytest", sessions=("s",))
    return Baseline(measurement=measured, recorded=recorded, engine_version="0.5.17", **changes)


THROTTLED = Disturbance(code="thermal-slowdown-driver", gpu_uuid="GPU-1", reason=0x20, count=3, of=9)


def finished(launches, then):
    collected = LaunchSet(counted=list(launches), machine=H200)
    now = Measurement(case="wan", machine=H200, workload=Workload(digest="d"), launches=tuple(launches))
    return finish(job(), collected, then, judge(now, then, CASE.metrics, looks=(5,)), "pass", Reason())


# ------------------------------------------------------------------------------------------------- launches


def test_a_launch_is_kept_with_what_was_read_of_it():
    kept = record_of(LAUNCH, READING, job(extra_metrics=lambda dump: {"frames_per_s": 17 / dump.total_ms * 1000}))
    assert dict(kept.metrics) == {"e2e": 1120.0, "frames_per_s": 17 / 1120.0 * 1000}
    assert (kept.number, kept.steps_ms, kept.generation, kept.alone, kept.warmup) == (2, STEPS, "B", False, "proven")
    assert (kept.session, kept.wall_s, kept.folder, kept.auto_tuned) == ("s", 33.1, "out/02", ("offload: on",))


def test_figures_of_ones_own_are_not_asked_of_a_launch_that_does_not_count():
    def asked(dump):
        raise AssertionError("asked")

    broken = replace(READING, problems=(Problem(kind="invalid", message="no warm-up"),))
    assert dict(record_of(LAUNCH, broken, job(extra_metrics=asked)).metrics) == {"e2e": 1120.0}
    assert record_of(LAUNCH, replace(READING, dump=None), job(extra_metrics=asked)).steps_ms == ()


def test_a_recording_of_two_measurements_is_one_problem_with_a_fix():
    first, *others = [replace(LAUNCH, number=i, machine=m) for i, m in enumerate((None, H200, H200))]
    assert of_two_measurements([first, *others]) == of_two_measurements([]) == ()
    b200 = replace(H200, product="NVIDIA B200")
    (problem,) = of_two_measurements([first, *others, *(replace(LAUNCH, number=i, machine=b200) for i in (4, 5))])
    assert (problem.code, problem.launches) == ("two-measurements", (1, 4))
    assert problem.differences == (Difference(code="machine", machines=(H200, b200)),)
    assert next_step(problem.kind, RENEW, cause=problem.cause) == NextStep(code="fix", cause="mixture")


def test_a_case_is_too_many_disturbed_by_its_third_disturbed_launch_or_when_nothing_replaces_the_only_one():
    disturbed = replace(entries({})[0], disturbances=(THROTTLED,))
    assert not LaunchSet(discarded=[disturbed] * 2).too_many_disturbed
    assert LaunchSet(discarded=[disturbed] * 3).too_many_disturbed
    assert LaunchSet(discarded=[disturbed], exhausted=True).too_many_disturbed
    assert not LaunchSet(discarded=[disturbed], counted=list(entries({})), exhausted=True).too_many_disturbed
    assert not LaunchSet(exhausted=True).too_many_disturbed


# ------------------------------------------------------------------------------------------------- results


def test_a_result_holds_both_sides_launch_by_launch():
    then, now = entries(*[{"e2e": 1120.0}] * 3), entries({"e2e": 1121.0})
    result = finished(now, baseline(then, path="baselines/nvidia-h200-x1/wan.json"))
    assert (result.launches, result.baseline_records, result.baseline_launches) == (now, then, 3)
    assert (result.baseline_path, result.baseline_engine) == ("baselines/nvidia-h200-x1/wan.json", "0.5.17")
    assert (result.summary, result.command, result.folder, result.measured) == (
        "a raccoon", "sglang generate", None, True,
    )  # fmt: skip
    assert result.warnings == ()


def test_what_the_engine_chose_by_itself_is_a_warning_once():
    launches = [replace(entry, auto_tuned=("offload: on", "tp: 2")) for entry in entries(*[{"e2e": 1120.0}] * 2)]
    result = finish(
        job(), LaunchSet(counted=launches, machine=H200), None, (), "no-baseline", Reason(code="no-baseline")
    )
    assert result.warnings == (Warned(code="auto-tuned", names=("offload: on", "tp: 2")),)
    assert result.next_step == NextStep(code="record", command=RENEW)


@pytest.mark.parametrize(
    ("outcome", "suspect", "lines"), [("pass", True, 1), ("pass", False, 0), ("inconclusive", True, 0)]
)
def test_pauses_that_pass_and_are_many_or_long_are_a_warning(outcome, suspect, lines):
    finding = Finding(code="rare-pauses", count=2, of=3, longest=590.0)
    pause = factories.verdict(metric="pause", outcome=outcome, suspect=suspect, finding=finding)
    committed = replace(baseline(entries(*[{"e2e": 1120.0}] * 3)), path="baselines/x.json")
    collected = LaunchSet(counted=entries({"e2e": 1120.0}), machine=H200)
    told = [one.metric for one in seen_beside(job(), collected, committed, (pause,)) if one.code == "pauses"]
    assert told == ["pause"] * lines


def test_a_stage_that_the_baseline_lacks_is_a_warning():
    ran_here, now = baseline(entries(*[{"e2e": 1120.0}] * 3)), entries({"e2e": 1120.0, "stage:SafetyStage": 9.0})
    committed = replace(ran_here, path="baselines/x.json")
    expected = Warned(code="new-stages", names=("SafetyStage",))
    assert finished(now, committed).warnings == (expected,)
    assert finished(now, ran_here).warnings == (expected,)


def test_a_step_that_spikes_is_a_warning_and_changes_no_outcome():
    spiking = [*STEPS[:7], 90.0, *STEPS[8:]]
    ran_here = baseline(entries(*[{"e2e": 1120.0}] * 3))
    for path in ("baselines/x.json", None):
        result = finished(entries(*[{"e2e": 1120.0}] * 3, steps=spiking), replace(ran_here, path=path))
        assert result.outcome == "pass"
        (warned,) = result.warnings
        assert (warned.code, warned.step.code, warned.step.first, warned.step.launches) == ("steps", "spike", 7, 3)
        assert (warned.step.now_ms, warned.step.then_ms) == (90.0, 50.0)


def test_published_numbers_have_no_profile():
    spiking = [*STEPS[:7], 90.0, *STEPS[8:]]
    then = baseline(entries(*[{"e2e": 1120.0}] * 3), kind="reference")
    assert finished(entries(*[{"e2e": 1120.0}] * 3, steps=spiking), then).warnings == ()


QUIET = NextStep(code="wait-for-quiet")


def test_a_case_that_was_never_launched_is_inconclusive():
    result = unmeasured(CASE, "1 GPU busy for 60 s")
    assert (result.outcome, result.reason, result.measured) == (
        "inconclusive",
        Reason(code="environment", error="1 GPU busy for 60 s"),
        False,
    )
    assert result.next_step == QUIET


def test_every_outcome_says_what_to_do_next():
    assert next_step("improved", RENEW) == NextStep(code="keep-gain", command=RENEW)
    assert next_step("regressed", RENEW) == NextStep(code="accept", command=RENEW)
    assert next_step("pass", RENEW) is None
    assert next_step("inconclusive", RENEW) == NextStep(code="repeat")


@pytest.mark.parametrize("cause", ["port", None])
def test_a_launch_that_does_not_count_has_a_fix(cause):
    fix = NextStep(code="read-log") if cause is None else NextStep(code="fix", cause=cause)
    assert next_step("invalid", RENEW, cause=cause) == fix
    problem = Problem(kind="invalid", message="whatever the words are", cause=cause)
    assert finish(job(), LaunchSet(problems=(problem,)), None, (), "invalid", Reason(code="problem")).next_step == fix


def test_what_keeps_gpus_from_a_case_may_say_what_helps():
    assert unmeasured(CASE, "a GPU is held", fix="end the process").next_step == NextStep(
        code="stated", fix="end the process"
    )


def test_more_launches_are_not_advised_where_the_machine_was_busy():
    disturbed = replace(entries({})[0], disturbances=(THROTTLED,))
    collected = LaunchSet(discarded=[disturbed] * 3)
    result = finish(job(), collected, None, (), "inconclusive", environment_reason(collected))
    assert result.reason == Reason(code="environment", disturbed=3, disturbances=(THROTTLED,) * 3)
    assert result.next_step == QUIET


# ------------------------------------------------------------------------------------------------- the suite's noise

NOISE = (1.0, 1.02, 0.98, 1.015, 0.985)
"""Launches with a CV of 1.8 %."""


def suite(count, **changes):
    return [
        baseline(
            entries(
                *(
                    {"e2e": 1000.0 * (i + 1) * f, "stage:DecodingStage": 300.0 * f, "stage:TinyStage": 0.1}
                    for f in NOISE
                )
            ),
            case=f"c{i}",
            **changes,
        )
        for i in range(count)
    ]


def test_a_suite_of_eight_cases_shows_its_own_noise():
    priors = suite_priors(suite(8))
    assert priors["primary"].cv0 is not None
    assert 0.016 < priors["primary"].cv0 < 0.022
    primary, stage, memory = used(priors)
    assert (primary.metric_class, primary.baselines, primary.weight, primary.session_cv) == ("primary", 8, 30.0, 0.003)
    assert primary.cv == pytest.approx(0.0199, abs=0.00005)
    assert replace(stage, cv=primary.cv) == replace(primary, metric_class="stage")
    assert stage.cv == pytest.approx(primary.cv)
    assert memory == NoisePrior(
        metric_class="memory", cv=0.002, fitted=False, weight=8.0, baselines=0, session_cv=0.003
    )


def test_a_case_speaks_by_its_longest_stage_whatever_the_others_do():
    def case(i):
        stages = [{"stage:TextStage": 90.0 * f**9, "stage:DecodingStage": 300.0 * f} for f in NOISE]
        return baseline(entries(*({"e2e": 1000.0, **stage} for stage in stages)), case=f"c{i}")

    stage = suite_priors([case(i) for i in range(8)])["stage"]
    assert (stage.baselines, stage.weight) == (8, 30.0)
    assert stage.cv0 == pytest.approx(0.0199, abs=0.00005)


def test_a_smaller_suite_is_judged_by_the_default():
    priors = suite_priors(suite(7))
    assert [(one.metric_class, one.cv, one.fitted, one.baselines) for one in used(priors)] == [
        ("primary", 0.008, False, 7),
        ("stage", 0.03, False, 7),
        ("memory", 0.002, False, 0),
    ]
    assert {prior.cv0 for prior in priors.values()} == {None}
    assert used({}) == ()


def test_published_numbers_and_two_launches_show_no_noise():
    short = [baseline(entries(*[{"e2e": 1000.0}] * 2), case=f"d{i}") for i in range(9)]
    priors = suite_priors([*suite(9, kind="reference"), *short])
    assert [(one.fitted, one.baselines) for one in used(priors)] == [(False, 0)] * 3


def test_two_sessions_show_how_far_they_drift():
    def case(i, apart):
        values = [1000.0 * f * (1.0 if j < 3 else 1 + apart) for j, f in enumerate((1, 1.001, 0.999) * 2)]
        return baseline(entries(*({"e2e": v} for v in values), sessions=("a", "b")), case=f"c{i}")

    assert suite_priors([case(i, 0.0) for i in range(8)])["primary"].session_cv < 0.0005
    assert 0.012 < suite_priors([case(i, 0.02) for i in range(8)])["primary"].session_cv < 0.016


def test_the_suite_is_that_of_the_machine_and_a_broken_file_spoils_no_other(tmp_path):
    for one in suite(3):
        baselines.save(tmp_path, one)
    other = Machine(kind="gpu", product="NVIDIA H100", count=1)
    baselines.save(tmp_path, baseline(entries(*[{"e2e": 1.0}] * 3), case="elsewhere", machine=other))
    folder = tmp_path / "nvidia-h200-x1"
    (folder / "broken.json").write_text("{")
    (folder / "copied.json").write_text((folder / "c0.json").read_text(encoding="utf-8"))
    assert [one.measurement.case for one in baselines.suite(tmp_path, H200)] == ["c0", "c1", "c2"]
    assert list(baselines.suite(tmp_path / "none", H200)) == []


@pytest.mark.parametrize(("throughput", "behind"), [(1.9, False), (1.6, False), (1.2, True)])
def test_a_load_that_comes_faster_than_it_is_answered_is_warned_of(throughput: float, *, behind: bool) -> None:
    # Two requests a second are due, twenty of them.
    slow = factories.served(loads={"r2": 20, "c4": 20}, metrics={"throughput:r2": throughput, "throughput:c4": 0.1})
    of_users = replace(
        slow, requests=tuple(replace(one, intended_s=None) if one.load == "c4" else one for one in slow.requests)
    )
    expected = (Warned(code="behind-rate", names=("r2",)),) if behind else ()
    assert behind_rate(LaunchSet(counted=[of_users, of_users])) == expected
    keeps_up = replace(of_users, metrics={"throughput:r2": 2.0})
    assert behind_rate(LaunchSet(counted=[of_users, keeps_up])) == ()
    assert behind_rate(LaunchSet(counted=[factories.record()])) == behind_rate(LaunchSet()) == ()
