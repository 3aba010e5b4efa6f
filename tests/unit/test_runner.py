"""The pipeline from launches to an outcome, on launches that come out of a list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_sgdiff.baselines.review import figures as review_figures
from pytest_sgdiff.data import (
    Baseline,
    Case,
    Difference,
    Disturbance,
    Environment,
    GpuProcess,
    GpuSeries,
    Launch,
    LaunchPlan,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    MetricChoice,
    NextStep,
    NoisePrior,
    Problem,
    QualityChoice,
    Reading,
    Recorded,
    Warned,
    Watch,
    Workload,
)
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import own_series, unknown_stages
from pytest_sgdiff.runner.ab import PAIR_LOOKS, against
from pytest_sgdiff.runner.gate import gate
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.record import record
from tests.factories import figures

H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
WORK = Workload(digest="d", fields={"args.seed": 42})
CASE = Case(
    name="wan",
    location=Location(path="cases/wan.yaml", line=4, column=3),
    model="m",
    metrics=MetricChoice(gate=("denoise",)),
    quality=QualityChoice(mode="off"),  # these launches drew nothing; test_quality.py has some that did
)
QUIET = Watch(alone=True)
DISTURBED = Watch(foreign=(GpuProcess(gpu_uuid="GPU-1", pid=77, name="python3"),))
SLOW_CLOCK = Disturbance(code="slow-clock", gpu_uuid="GPU-1", mhz=1400, usual_mhz=1980)
STRANGER = Disturbance(code="foreign-process", gpu_uuid="GPU-1", processes=DISTURBED.foreign)
SEED = Difference(code="field", key="args.seed", then=7, now=42)
PROBLEM = {"code": "problem"}
RENEW = "pytest --sgdiff-gpus=1 --sgdiff-update cases/wan.yaml::wan"
STEADY = (1000.0, 1006.0, 996.0, 1003.0, 998.0)
WILD = (1000.0, 1050.0, 980.0, 1030.0, 1010.0)
SLOW = tuple(1.08 * ms for ms in STEADY)


def at(mhz):
    """What is seen of a GPU at work with this clock."""
    return Watch(alone=True, gpus=(GpuSeries(gpu_uuid="GPU-1", sm_mhz=(mhz,) * 3, util_pct=(99,) * 3),))


class Script:
    """A source of launches: numbers are denoising times, texts are failures, and pairs come with what was seen beside.

    `asked` keeps what each launch was asked for; `journal` the names of all sources, in the order of their launches.
    """

    def __init__(self, *said, name="now", journal=None, **launch):
        self._said: Iterator = iter(said)
        self.asked: list[bool] = []
        self.name, self.journal = name, [] if journal is None else journal
        self._launch = {"machine": H200, "workload": WORK, **launch}

    def launch(self, *, alone):
        said = next(self._said, None)
        if said is None:
            return None
        self.asked.append(alone)
        self.journal.append(self.name)
        told, watch = said if isinstance(said, tuple) else (said, QUIET)
        return Launch(
            case="wan",
            number=len(self.asked) - 1,
            argv=("sglang",),
            log=json.dumps(told),
            environment=Environment(gpu_uuids=("GPU-1",), sync_stages=True, engine_version="0.5.17"),
            watch=watch,
            session="s",
            started_at="2026-11-24T07:00:00Z",
            folder=f"out/wan/{len(self.asked) - 1:02}",
            **self._launch,
        )


class ReadsTheScript:
    """An engine whose log is what the script said."""

    name = "scripted"

    def command(self, case, *, info, files, ports):
        raise AssertionError("nothing is launched here")

    def read(self, launch, case):
        told = json.loads(launch.log)
        nothing = {"dump": None, "backend": "sglang", "pipeline": "WanPipeline", "warmup": "proven"}
        if isinstance(told, str):
            return Reading(**nothing, problems=(Problem(kind="launch-failed", message=told),))
        return Reading(**nothing, metrics={"denoise": told} if isinstance(told, float) else told)


def baseline(*values, machine=H200, workload=WORK, watch=QUIET, **changes):
    environment = Environment(gpu_uuids=("GPU-1",), sync_stages=True)
    launches = tuple(
        LaunchRecord(
            number=i, metrics=v if isinstance(v, dict) else {"denoise": v}, environment=environment, watch=watch
        )
        for i, v in enumerate(values)
    )
    measured = Measurement(case="wan", machine=machine, workload=workload, launches=launches)
    recorded = Recorded(at="2026-11-02", command="pytest --sgdiff-update")
    return Baseline(measurement=measured, recorded=recorded, path="baselines/nvidia-h200-x1/wan.json", **changes)


def job(source, *, then=None, case=CASE, **changes):
    return Job(
        case=case,
        source=source,
        engine=ReadsTheScript(),
        workload=WORK,
        baseline_for=lambda machine: then,
        only_machine=lambda: None,
        other_machines=lambda: ("nvidia-h100-x1",),
        next_command=RENEW,
        **changes,
    )


def told(result):
    """The outcome, and why, in figures."""
    return result.outcome, figures(result.reason)


def judged(result):
    """The outcome, and of the verdict that it rests on the code, the change and the slowdown that is ruled out."""
    assert result.reason_code == "verdicts"
    (metric,) = result.decided_by
    (v,) = [v for v in result.verdicts if v.metric == metric]
    excluded = None if v.excluded is None else round(v.excluded, 3)
    return result.outcome, v.finding.code, round(v.ratio - 1, 3), excluded


def disturbed(launches, by, **more):
    return {"code": "environment", "disturbed": launches, "disturbances": (by,) * launches, **more}


def recorded(launches):
    return {"code": "recorded", "launches": launches, "others": ("nvidia-h100-x1",)}


# ------------------------------------------------------------------------------------------------- gate: looks


def test_a_case_that_is_clearly_fine_is_launched_once():
    source = Script(*STEADY)
    result = gate(job(source, then=baseline(*STEADY)))
    assert judged(result) == ("pass", "ruled-out", -0.001, 0.02)
    assert source.asked == [False]
    assert (result.measured, result.next_step, result.folder) == (True, None, "out/wan/00")


def test_a_slower_engine_is_launched_five_times_alone_from_the_second_look_on():
    source = Script(*SLOW, 999.0)
    result = gate(job(source, then=baseline(*STEADY)))
    assert judged(result) == ("regressed", "beyond-allow", 0.08, None)
    assert source.asked == [False, True, True, True, True]
    assert result.next_step == NextStep(code="accept", command=RENEW)


def test_a_gross_slowdown_needs_three():
    source = Script(*(1.3 * ms for ms in STEADY))
    result = gate(job(source, then=baseline(*STEADY)))
    assert judged(result) == ("regressed", "gross", 0.3, None)
    assert result.verdicts[0].finding.size == pytest.approx(0.287, abs=0.0005)
    assert len(source.asked) == 3


def test_looks_are_those_of_the_case():
    source = Script(*SLOW, *SLOW)
    looks = replace(CASE, launches=LaunchPlan(looks=(2, 7)))
    assert gate(job(source, then=baseline(*STEADY), case=looks)).outcome == "regressed"
    assert len(source.asked) == 7


def pausing(*ms):
    """Launches whose steps take 1 s, and that pause for so long outside them."""
    return [
        {"denoise": 1000.0 + gap, "denoise_steps": 1000.0, "denoise_gap": gap, "e2e": 1010.0 + gap, "peak_memory": 1e4}
        for gap in ms
    ]


@pytest.mark.parametrize(
    ("then", "rest", "outcome", "launches"),
    [
        (5, (470.0, 480.0), "regressed", 7),
        (5, (470.0, 5.0), "pass", 7),
        (5, (5.0,), "pass", 6),
        (6, (470.0, 480.0), "regressed", 6),
        (7, (470.0, 480.0), "regressed", 5),
    ],
)
def test_a_pause_of_all_five_launches_gets_as_many_more_as_tell_chance_from_a_change(then, rest, outcome, launches):
    source = Script(*pausing(470.0, 480.0, 490.0, 500.0, 475.0, *rest, 470.0))
    result = gate(job(source, then=baseline(*pausing(*[5.0, 6.0, 5.5, 6.5, 5.8, 6.2, 5.4][:then]))))
    assert (result.outcome, len(source.asked)) == (outcome, launches)


def test_a_case_of_fewer_launches_is_not_given_more():
    case = replace(CASE, launches=LaunchPlan(looks=(1, 3)))
    source = Script(*pausing(470.0, 480.0, 490.0, 500.0))
    result = gate(job(source, then=baseline(*pausing(5.0, 6.0, 5.5, 6.5, 5.8)), case=case))
    assert (result.outcome, len(source.asked)) == ("inconclusive", 3)


def test_the_last_look_says_what_could_not_be_told():
    noisy = (1000.0, 1060.0, 985.0, 1075.0, 1040.0)
    source = Script(*noisy, 1000.0)
    result = gate(job(source, then=baseline(*WILD)))
    assert judged(result) == ("inconclusive", "interval-undecided", 0.017, None)
    assert len(source.asked) == 5
    assert result.next_step == NextStep(code="repeat")


def test_a_case_whose_looks_end_early_is_told_to_take_more():
    case = replace(CASE, launches=LaunchPlan(looks=(1, 3)))
    result = gate(job(Script(*SLOW), then=baseline(*STEADY), case=case))
    assert judged(result) == ("inconclusive", "unconfirmed", 0.08, None)
    assert result.next_step == NextStep(code="more-checkpoints", launches=5)


# ------------------------------------------------------------------------------------------------- gate: launches


def test_a_disturbed_launch_is_replaced_and_kept_with_its_reason():
    source = Script((2000.0, DISTURBED), 1001.0)
    result = gate(job(source, then=baseline(*STEADY)))
    assert result.outcome == "pass"
    assert [(entry.number, entry.counts) for entry in result.launches] == [(0, False), (1, True)]
    assert result.launches[0].disturbances == (STRANGER,)


def test_the_third_disturbed_launch_ends_the_case_and_accuses_nobody():
    source = Script(*[(2000.0, DISTURBED)] * 9)
    result = gate(job(source, then=baseline(*STEADY)))
    assert told(result) == ("inconclusive", disturbed(3, STRANGER))
    assert len(source.asked) == 3
    assert (result.verdicts, result.measured) == ((), False)


def test_disturbances_of_all_looks_are_counted_together():
    source = Script(*SLOW[:1], *[(2000.0, DISTURBED)] * 2, *SLOW[1:3], (2000.0, DISTURBED), *SLOW)
    result = gate(job(source, then=baseline(*STEADY)))
    assert told(result) == ("inconclusive", disturbed(3, STRANGER))
    assert (len(source.asked), result.measured) == (6, True)


def test_a_launch_with_slower_clocks_than_the_baseline_is_disturbed():
    source = Script(*((1400.0, at(1400)),) * 9)
    result = gate(job(source, then=baseline(*STEADY, watch=at(1980))))
    assert told(result) == ("inconclusive", disturbed(3, SLOW_CLOCK))


def test_two_disturbed_launches_do_not_keep_a_slowdown_from_being_found():
    source = Script((2000.0, DISTURBED), *SLOW[:3], (2000.0, DISTURBED), *SLOW[3:])
    result = gate(job(source, then=baseline(*STEADY)))
    assert judged(result) == ("regressed", "beyond-allow", 0.08, None)
    assert len(source.asked) == 7


def test_a_launch_with_a_problem_is_invalid_and_is_not_tried_again():
    source = Script("the engine fell back to diffusers", *STEADY)
    result = gate(job(source, then=baseline(*STEADY)))
    assert told(result) == ("invalid", PROBLEM)
    assert len(source.asked) == 1
    assert [entry.metrics for entry in result.launches] == [{}]
    assert result.problems == (Problem(kind="launch-failed", message="the engine fell back to diffusers"),)


def test_a_result_leads_to_the_launch_that_failed_otherwise_to_all_that_there_are():
    then = baseline(*STEADY)
    assert gate(job(Script(SLOW[0], "out of memory"), then=then)).folder == "out/wan/01"
    assert gate(job(Script(*SLOW), then=then)).folder == "out/wan"
    assert gate(job(Script((2000.0, DISTURBED), 1001.0), then=then)).folder == "out/wan"


def test_a_problem_after_the_first_look_is_invalid_as_well():
    source = Script(SLOW[0], "out of memory", *SLOW)
    result = gate(job(source, then=baseline(*STEADY)))
    assert told(result) == ("invalid", PROBLEM)
    assert (len(source.asked), result.verdicts) == (2, ())


# ------------------------------------------------------------------------------------------------- gate: baselines


def test_a_case_without_a_baseline_names_the_machine_and_those_that_have_one():
    result = gate(job(Script(*STEADY)))
    assert told(result) == (
        "no-baseline",
        {"code": "no-baseline", "machine": "nvidia-h200-x1", "others": ("nvidia-h100-x1",)},
    )
    assert result.next_step == NextStep(code="record", command=RENEW)
    assert len(result.launches) == 1


def test_a_baseline_of_another_workload_is_not_compared():
    then = baseline(*STEADY, workload=Workload(digest="e", fields={"args.seed": 7}))
    source = Script(*STEADY)
    result = gate(job(source, then=then))
    assert told(result) == (
        "no-baseline",
        {"code": "not-comparable", "differences": (SEED,)},
    )
    assert (len(source.asked), result.verdicts) == (1, ())
    assert result.baseline_path == "baselines/nvidia-h200-x1/wan.json"


def test_a_recording_without_a_machine_is_that_of_the_only_baseline():
    found = gate(replace(job(Script(1001.0, machine=None), then=baseline(*STEADY)), only_machine=lambda: H200))
    assert (found.outcome, found.machine) == ("pass", H200)


def test_a_recording_without_a_machine_cannot_be_placed():
    result = gate(job(Script(1001.0, machine=None), then=baseline(*STEADY)))
    assert told(result) == (
        "no-baseline",
        {"code": "no-machine"},
    )


def test_a_baseline_of_launches_that_name_no_machine_is_kept_apart():
    """A real launch has a machine with a name, so that it is never compared with this one."""
    result = record(job(Script(*STEADY, machine=None), case=replace(CASE, gpus=4)))
    assert (told(result), result.recorded) == (("pass", recorded(5)), True)
    assert result.machine == Machine(kind="gpu", product="unknown", count=4)
    assert Warned(code="unknown-machine", machine="unknown-x4") in result.warnings


def test_a_recording_that_ends_early_is_judged_by_what_it_holds():
    result = gate(job(Script(*SLOW[:2]), then=baseline(*STEADY)))
    assert judged(result) == ("inconclusive", "unconfirmed", 0.083, None)
    assert told(result) == ("inconclusive", {"code": "verdicts", "launches": 2, "of": 5})


def test_a_recording_that_holds_nothing_is_invalid():
    result = gate(job(Script(), then=baseline(*STEADY)))
    assert told(result) == ("invalid", {"code": "empty-recording"})


@pytest.mark.parametrize("wanted", [gate, record])
@pytest.mark.parametrize("extend", [False, True])
def test_of_a_recording_that_is_no_measurement_nothing_is_looked_at(wanted, extend):
    problem = Problem(kind="invalid", message="two measurements")
    source = Script(*STEADY)
    result = wanted(job(source, then=baseline(*STEADY), problems=(problem,), extend=extend))
    assert told(result) == ("invalid", PROBLEM)
    assert (result.measured, result.recorded, source.asked) == (False, False, [])


def test_a_recording_of_one_disturbed_launch_says_so():
    result = gate(job(Script((1001.0, DISTURBED)), then=baseline(*STEADY)))
    assert told(result) == ("inconclusive", disturbed(1, STRANGER))


# ------------------------------------------------------------------------------------------------- gate: the suite


def test_the_suites_own_noise_is_what_the_case_is_judged_by_and_is_told():
    quiet = Prior(cv0=0.001, weight=30.0, session_cv=0.0, baselines=12, nights=9)
    steady = [1000.0, 1000.5, 999.5, 1000.2, 999.8]
    by_default = gate(job(Script(*steady), then=baseline(*steady)))
    by_suite = gate(job(Script(*steady), then=baseline(*steady), priors_for=lambda machine: {"primary": quiet}))
    assert judged(by_default) == ("pass", "ruled-out", 0.0, 0.019)
    assert judged(by_suite) == ("pass", "ruled-out", 0.0, 0.002)
    assert by_default.noise == ()
    assert by_suite.noise == (
        NoisePrior(metric_class="primary", cv=0.001, fitted=True, weight=30.0, baselines=12, session_cv=0.0, nights=9),
    )


def test_what_is_wrong_with_the_baseline_is_a_warning_of_the_gate():
    noisy = [1000.0, 1020.0, 985.0, 1012.0, 990.0]
    (warned,) = gate(job(Script(*noisy), then=baseline(*noisy))).warnings
    assert (warned.code, [(d.code, d.needed, d.of) for d in warned.doubts]) == ("baseline-doubt", [("varies", 10, 5)])
    published = replace(baseline(*noisy), kind="reference")
    assert gate(job(Script(*noisy), then=published)).warnings == ()


# ------------------------------------------------------------------------------------------------- record


def test_recording_takes_as_many_launches_as_the_case_says_alone():
    source = Script(*STEADY, *STEADY)
    result = record(job(source, case=replace(CASE, launches=LaunchPlan(baseline=4))))
    assert told(result) == ("pass", recorded(4))
    assert (result.recorded, source.asked) == (True, [True] * 4)
    # What they find stands in the table of what was recorded.
    assert result.warnings == ()
    assert [v.detectable for v in result.verdicts] == [pytest.approx(0.041, abs=0.0005)]


def test_recording_again_shows_what_it_replaces():
    result = record(job(Script(*SLOW), then=baseline(*STEADY)))
    assert told(result) == ("pass", {"code": "recorded", "launches": 5, "replaces": True})
    assert [v.outcome for v in result.verdicts] == ["regressed"]
    assert result.recorded


def test_recording_over_a_baseline_of_another_workload_says_why_they_are_not_compared():
    other = Workload(digest="e", fields={"args.seed": 7})
    then = baseline(*STEADY, workload=other, best={"denoise": 990.0})
    result = record(job(Script(*SLOW), then=then))
    assert told(result) == (
        "pass",
        {"code": "recorded", "launches": 5, "replaces": True, "differences": (SEED,)},
    )
    (shown,) = result.verdicts
    assert (shown.outcome, shown.finding.code) == ("no-baseline", "not-comparable")
    assert (shown.baseline, shown.now) == pytest.approx((1000.59, 1080.79), abs=0.2)
    assert shown.ratio == pytest.approx(shown.now / shown.baseline)
    assert shown.low is not None
    assert shown.low < shown.ratio < shown.high
    assert (shown.excluded, shown.allow, shown.best_ratio) == (None, None, None)


def test_figures_beside_a_baseline_of_other_work_are_no_suspicion():
    """Three launches beyond the limit would need confirmation, if the two were comparable."""
    fresh, then = baseline(*SLOW[:3]), baseline(*STEADY, best={"denoise": 990.0})
    own = own_series(fresh, CASE.metrics)
    (suspect,) = review_figures(fresh.measurement, own, then, CASE.metrics, looks=(5,))
    assert (suspect.outcome, suspect.suspect) == ("inconclusive", True)
    assert suspect.best_ratio == pytest.approx(suspect.ratio * 1000.0 / 990.0)
    (beside,) = review_figures(fresh.measurement, own, then, CASE.metrics, looks=(5,), apart=(SEED,))
    assert (beside.outcome, beside.suspect, beside.best_ratio, beside.allow) == ("no-baseline", False, None, None)
    assert beside.ratio == suspect.ratio


def test_a_first_recording_has_the_figures_of_every_gated_metric_and_what_each_can_detect():
    case = replace(CASE, metrics=MetricChoice(gate=("denoise", "e2e", "peak_memory")))
    said = [{"denoise": ms, "e2e": ms + 100, "peak_memory": 3000.0} for ms in STEADY]
    result = record(replace(job(Script(*said), case=case), other_machines=lambda: ()))
    assert told(result) == ("pass", {"code": "recorded", "launches": 5})
    assert [(v.metric, v.outcome, v.finding.code, v.baseline) for v in result.verdicts] == [
        ("denoise", "no-baseline", "first-recording", None),
        ("e2e", "no-baseline", "first-recording", None),
        ("peak_memory", "no-baseline", "first-recording", None),
    ]
    assert [v.now for v in result.verdicts] == pytest.approx([1000.594, 1100.594, 3000.0], abs=0.01)
    assert [round(v.detectable, 3) for v in result.verdicts] == [0.036, 0.035, 0.028]


def test_what_a_renewed_baseline_can_detect_is_told_of_the_new_launches():
    noisy = (1000.0, 1030.0, 985.0, 1020.0, 1010.0)
    then = baseline(*noisy)
    (renewed,) = record(job(Script(*STEADY), then=then)).verdicts
    (judged,) = gate(job(Script(*STEADY), then=then)).verdicts
    assert renewed.detectable < judged.detectable


NOISY = (1000.0, 1020.0, 985.0, 1012.0, 990.0)
OUTLIER = (1000.0, 1004.0, 1190.0, 1002.0, 999.0)
MODES = (1000.0, 1003.0, 1060.0, 1062.0, 999.0)


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (NOISY, "varies"),
        (OUTLIER, "outlier"),
        (MODES, "two-modes"),
    ],
)
def test_doubtful_launches_are_followed_by_five_more_and_told_so(said, seen):
    source = Script(*said, *STEADY, *STEADY)
    result = record(job(source))
    assert told(result) == ("pass", recorded(10))
    assert source.asked == [True] * 10
    assert more_of(result) == (5, 5, [seen])


def more_of(result):
    """How many launches beyond the usual were taken, and for which doubts."""
    (warned,) = [one for one in result.warnings if one.code == "more-launches"]
    return warned.launches, warned.usual, [doubt.code for doubt in warned.doubts]


def advised(result):
    """What the last warning advises of a recording: how many launches to record, and how many there are."""
    (doubt,) = result.warnings[-1].doubts
    return result.warnings[-1].code, doubt.code, doubt.needed, doubt.of


def stating(number):
    """The case that states `launches.baseline`, in a file or in Python."""
    return replace(CASE, launches=LaunchPlan(baseline=number))


@pytest.mark.parametrize("number", [4, 5])
def test_a_case_that_states_its_launches_keeps_them_and_is_advised(number):
    source = Script(*NOISY, *STEADY)
    result = record(job(source, case=stating(number)))
    assert told(result) == ("pass", recorded(number))
    assert advised(result) == ("recording-doubt", "varies", 10, number)


@pytest.mark.parametrize("more", [0, 1, 2])
def test_a_recording_that_has_no_more_launches_is_used_as_it_is_and_advised(more):
    result = record(job(Script(*NOISY, *NOISY[:more])))
    assert told(result) == ("pass", recorded(5 + more))
    assert advised(result) == ("recording-doubt", "varies", 10, 5 + more)
    if more:
        assert more_of(result) == (more, 5, ["varies"])
    else:
        assert [one.code for one in result.warnings] == ["recording-doubt"]


def test_a_launch_that_fails_among_those_beyond_leaves_no_baseline():
    result = record(job(Script(*NOISY, 1000.0, "out of memory")))
    assert (told(result), result.recorded) == (("invalid", PROBLEM), False)


def test_nothing_is_recorded_if_too_many_launches_beyond_are_disturbed():
    result = record(job(Script(*NOISY, 1000.0, *[(2000.0, DISTURBED)] * 3, *STEADY)))
    assert told(result) == ("inconclusive", disturbed(3, STRANGER, recording=True))
    assert not result.recorded


def test_an_extended_baseline_goes_on_to_ten_with_the_launches_that_it_has():
    source = Script(*NOISY, *STEADY, *STEADY)
    result = record(job(source, then=baseline(*NOISY[:3], engine_version="0.5.17"), extend=True))
    assert told(result) == ("pass", {"code": "recorded", "launches": 7, "added_to": 3})
    assert more_of(result) == (2, 5, ["varies"])


def test_a_baseline_that_is_replaced_does_not_say_how_fast_the_clocks_must_be():
    lowered = [(ms * 1.4, at(1400)) for ms in (*NOISY, *STEADY)]
    result = record(job(Script(*lowered), then=baseline(*STEADY, watch=at(1980))))
    assert told(result) == ("pass", {"code": "recorded", "launches": 10, "replaces": True})
    assert [entry.counts for entry in result.launches] == [True] * 10


def test_launches_with_slower_clocks_are_not_added_to_a_baseline():
    lowered = [(ms * 1.4, at(1400)) for ms in STEADY]
    then = baseline(*STEADY, watch=at(1980), engine_version="0.5.17")
    result = record(job(Script(*lowered), then=then, extend=True))
    assert told(result) == ("inconclusive", disturbed(3, SLOW_CLOCK, recording=True))


def test_a_launch_to_be_added_that_fails_is_not_followed_by_others():
    source = Script("out of memory", *STEADY)
    result = record(job(source, then=baseline(*STEADY, engine_version="0.5.17"), extend=True))
    assert (told(result), len(source.asked)) == (("invalid", PROBLEM), 1)


def test_disturbed_launches_are_no_part_of_a_baseline():
    result = record(job(Script((2000.0, DISTURBED), *STEADY)))
    assert told(result) == ("pass", recorded(5))
    assert [entry.number for entry in result.launches if entry.counts] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        ((*STEADY[:3], "out of memory"), "invalid", PROBLEM),
        (STEADY[:3], "inconclusive", {"code": "short-recording", "launches": 3, "of": 5}),
    ],
)
def test_nothing_is_recorded_of_too_few_launches(said, outcome, reason):
    result = record(job(Script(*said)))
    assert (told(result), result.recorded) == ((outcome, reason), False)


@pytest.mark.parametrize(
    ("said", "fewer"),
    [(STEADY[:3], 3), (STEADY[:1], None)],
    ids=["enough for a case", "too few for any"],
)
def test_a_recording_that_is_too_short_for_a_baseline_is_not_blamed_on_the_machine(said, fewer):
    assert record(replace(job(Script(*said)), next_command="the command")).next_step == NextStep(
        code="record-more", command="the command", launches=5, fewer=fewer
    )


def test_nothing_is_recorded_on_a_disturbed_machine():
    result = record(job(Script(*STEADY[:4], *[(2000.0, DISTURBED)] * 3)))
    assert told(result) == ("inconclusive", disturbed(3, STRANGER, recording=True))
    assert not result.recorded


# ------------------------------------------------------------------------------------------------- what to do

DECODES = tuple({"denoise": v, "stage:DecodingStage": 40.0} for v in STEADY)


@pytest.mark.parametrize(
    ("then", "step"),
    [
        (baseline(*STEADY[:2]), NextStep(code="few-launches")),
        (baseline(*STEADY[:4], {"e2e": 1.0}), NextStep(code="incomplete-baseline", metrics=("denoise",))),
        (baseline(1000.0, kind="reference"), NextStep(code="own-baseline")),
        (baseline(*DECODES), NextStep(code="accept-removal", metrics=("stage:DecodingStage",))),
    ],
)
def test_what_no_repetition_settles_asks_for_a_new_baseline(then, step):
    case = replace(CASE, metrics=MetricChoice(gate=("denoise", "stages")))
    result = gate(job(Script(*STEADY), then=then, case=case))
    assert (result.outcome, result.next_step) == ("inconclusive", replace(step, command=RENEW))


def test_a_case_that_passes_warns_of_what_it_could_not_judge():
    case = replace(CASE, metrics=MetricChoice(gate=("denoise", "stages")))
    then = baseline(*DECODES[:4], {"denoise": STEADY[4]})
    result = gate(job(Script(*DECODES), then=then, case=case))
    assert result.outcome == "pass"
    assert result.warnings == (Warned(code="not-judged", metric="stage:DecodingStage"),)


def test_a_stage_that_nobody_has_asks_for_another_case_file():
    case = replace(CASE, metrics=MetricChoice(gate=("denoise", "stage:DecodeStage")))
    result = gate(job(Script(*DECODES), then=baseline(*DECODES), case=case))
    assert (result.outcome, result.next_step) == ("inconclusive", NextStep(code="correct-gate"))


def test_a_stage_that_the_case_names_and_the_baseline_lacks_is_warned_of():
    case = replace(CASE, metrics=MetricChoice(gate=("denoise", "stage:DecodingStage")))
    result = gate(job(Script(*DECODES), then=baseline(*STEADY), case=case))
    assert result.outcome == "pass"
    assert result.warnings == (
        Warned(code="not-judged", metric="stage:DecodingStage"),
        Warned(code="new-stages", names=("DecodingStage",)),
    )


@pytest.mark.parametrize("have", [None, 4])
def test_a_recording_that_is_too_short_to_record_from_says_so_with_its_command(have):
    step = gate(replace(job(Script(*STEADY)), replayed=have)).next_step
    assert step == NextStep(code="record", command=RENEW, launches=have and 5, have=have)
    # What needs no baseline has nothing to say of it.
    noisy = gate(replace(job(Script(1000.0, 1060.0, 985.0, 1075.0, 1040.0), then=baseline(*WILD)), replayed=have))
    assert noisy.next_step == NextStep(code="repeat")


def test_a_stage_that_is_gone_in_an_ab_run_asks_to_see_what_differs():
    case = replace(CASE, metrics=MetricChoice(gate=("denoise", "stages")))
    base, now = job(Script(*DECODES * 2), case=case), job(Script(*STEADY * 2), case=case)
    result = against(base, now)
    assert (result.outcome, result.next_step) == ("inconclusive", NextStep(code="see-differences", command=RENEW))


# ------------------------------------------------------------------------------------------------- against


def both(base, now):
    journal: list[str] = []
    sources = Script(*base, name="base", journal=journal), Script(*now, name="now", journal=journal)
    return against(job(sources[0]), job(sources[1])), journal


def test_pairs_are_launched_abba_until_they_are_clear():
    result, journal = both(STEADY, STEADY)
    assert judged(result) == ("pass", "ruled-out", 0.0, 0.014)
    assert journal == ["base", "now", "now", "base", "base", "now"]
    assert (result.baseline_launches, result.baseline_path) == (3, None)


def test_pairs_ask_for_no_committed_baseline():
    def asked(machine):
        raise AssertionError("asked")

    sides = (replace(job(Script(*STEADY, name=name)), baseline_for=asked) for name in ("base", "now"))
    assert against(*sides).outcome == "pass"


def test_a_slower_engine_takes_five_pairs():
    result, journal = both(STEADY, SLOW)
    assert judged(result) == ("regressed", "beyond-allow", 0.08, None)
    assert len(journal) == 10


def test_the_prior_of_pairs_is_told_without_a_drift_that_they_do_not_have():
    quiet = Prior(cv0=0.004, weight=20.0, session_cv=0.001, baselines=12)
    sides = (job(Script(*STEADY, name=name), priors_for=lambda machine: {"primary": quiet}) for name in ("base", "now"))
    assert against(*sides).noise == (
        NoisePrior(metric_class="primary", cv=0.004, fitted=True, weight=20.0, baselines=12),
    )


def test_a_drift_that_both_engines_share_is_no_change():
    drift = [1.0, 1.05, 1.1, 1.16, 1.22]
    result, _ = both([1000.0 * f for f in drift], [1002.0 * f for f in drift])
    assert judged(result) == ("pass", "ruled-out", 0.002, 0.016)


def test_what_no_number_of_pairs_tells_stays_open_after_the_last_look():
    wild = (1000.0, 1100.0, 960.0, 1150.0, 1000.0, 1180.0, 970.0, 1090.0)
    result, journal = both(wild, [wild[-1 - i] * 1.02 for i in range(8)])
    assert told(result) == ("inconclusive", {"code": "verdicts", "pairs": 8})
    assert judged(result)[1] in ("undecided", "interval-undecided")
    assert len(journal) == 2 * PAIR_LOOKS[-1]


def test_a_failing_base_engine_is_named():
    result, journal = both(["no such flag: --warmup-mode"], STEADY)
    assert told(result) == ("invalid", {"code": "problem", "side": "base"})
    assert result.problems[0].message == "no such flag: --warmup-mode"
    assert (result.machine, result.folder, result.launches) == (H200, "out/wan/00", ())
    assert journal == ["base"]


def test_numbers_of_a_failing_base_engine_are_not_those_of_the_current_one():
    base = Script(1500.0, "out of memory", name="base")
    result = against(job(base), job(Script(*STEADY)))
    assert told(result) == ("invalid", {"code": "problem", "side": "base"})
    assert [entry.metrics for entry in result.launches] == [{"denoise": STEADY[0]}, {"denoise": STEADY[1]}]
    assert (result.measured, result.problems[0].message) == (True, "out of memory")


def test_a_failing_current_engine_is_named():
    result, _ = both(STEADY, [1000.0, "out of memory"])
    assert told(result) == ("invalid", {"code": "problem", "side": "current"})


@pytest.mark.parametrize("side", ["base", "now"])
def test_pairs_that_are_disturbed_again_and_again_end_the_case(side):
    spoiled, calm = [(2000.0, DISTURBED)] * 4, STEADY
    result, _ = both(spoiled if side == "base" else calm, calm if side == "base" else spoiled)
    assert told(result) == ("inconclusive", disturbed(3, STRANGER))


def test_a_disturbed_launch_of_a_pair_is_replaced_within_its_pair():
    result, journal = both([STEADY[0], (2000.0, DISTURBED), *STEADY[1:]], STEADY)
    assert judged(result) == ("pass", "ruled-out", 0.0, 0.014)
    assert journal == ["base", "now", "now", "base", "base", "base", "now"]


def test_engines_that_cannot_be_launched_any_more_end_the_case():
    result, _ = both(STEADY[:1], SLOW)
    assert told(result) == ("inconclusive", {"code": "no-more-launches"})


def test_pairs_without_a_machine_are_invalid():
    journal: list[str] = []
    sources = [Script(*STEADY, machine=None, journal=journal) for _ in range(2)]
    result = against(job(sources[0]), job(sources[1]))
    assert told(result) == ("invalid", {"code": "no-machine", "side": "base"})


COMPARING = "sgdiff compare out/against/wan out/wan"
DIFFER = NextStep(code="see-differences", command=COMPARING)


@pytest.mark.parametrize(
    ("now", "outcome", "step"),
    [
        ([v * 1.3 for v in STEADY], "regressed", DIFFER),
        ([v / 1.3 for v in STEADY], "improved", DIFFER),
        ([(2000.0, DISTURBED)] * 4, "inconclusive", NextStep(code="repeat-pairs")),
        (STEADY, "pass", None),
    ],
)
def test_what_to_do_about_a_pair_is_no_new_baseline(now, outcome, step):
    sides = replace(job(Script(*now)), next_command=COMPARING)
    result = against(job(Script(*STEADY, name="base")), sides)
    assert (result.outcome, result.next_step) == (outcome, step)


def test_recording_names_the_stages_of_the_case_that_no_launch_has():
    metrics = MetricChoice(
        primary="stage:DenoisingStag",
        gate=("stage:DecodeStage", "stage:TextEncodingStage", "stages", "e2e"),
        allow={"stage:Nowhere": 0.1, "stage:DecodeStage": 0.2, "stages": 0.3},
    )
    places = {"metrics.gate": Location(path="cases/wan.yaml", line=9, column=5)}
    case = replace(CASE, metrics=metrics, locations=places)
    stages = {"stage:DenoisingStage": 990.0, "stage:DecodingStage": 30.0, "stage:TextEncodingStage": 9.0}
    result = record(job(Script(*[{"denoise": 1000.0, **stages}] * 5), case=case))
    assert told(result)[0] == "pass"
    assert [(one.code, str(one.location), one.stage.key) for one in result.warnings[-3:]] == [
        ("unknown-stage", "cases/wan.yaml:4:3", "metrics.primary"),
        ("unknown-stage", "cases/wan.yaml:9:5", "metrics.gate"),
        ("unknown-stage", "cases/wan.yaml:4:3", "metrics.allow"),
    ]
    assert [(one.key, one.name, one.near) for one in unknown_stages(result.launches, case.metrics)] == [
        ("metrics.primary", "DenoisingStag", "DenoisingStage"),
        ("metrics.gate", "DecodeStage", "DecodingStage"),
        ("metrics.allow", "Nowhere", ""),
    ]


def test_recording_says_nothing_of_stages_that_launches_have():
    case = replace(CASE, metrics=MetricChoice(primary="stage:DenoisingStage", gate=("stage:DenoisingStage", "stages")))
    result = record(job(Script(*[{"denoise": 1000.0, "stage:DenoisingStage": 990.0}] * 5), case=case))
    assert "unknown-stage" not in [one.code for one in result.warnings]
    assert unknown_stages(result.launches, case.metrics) == ()
