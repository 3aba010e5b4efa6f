"""The verdict on denoising rests on the core of the steps and on what every launch has beyond it: on real launches of
five hosts and four families, and on what must not get lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.data import (
    Baseline,
    Environment,
    GpuSeries,
    LaunchRecord,
    Machine,
    Measurement,
    MetricChoice,
    NextStep,
    Recorded,
    Verdict,
    Watch,
    Workload,
)
from pytest_sgdiff.engines import perf_dump
from pytest_sgdiff.judging.judge import judge, outcome_of, settled
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES, ExcessRule, Whole
from pytest_sgdiff.metrics import metrics_of
from pytest_sgdiff.runner.next_step import settles
from pytest_sgdiff.step_core import cores

ROOT = Path(__file__).parents[2]
SECOND, FIFTH, FAMILIES = (
    json.loads((ROOT / "tests" / "data" / f"h200_{name}_launches.json").read_text(encoding="utf-8"))
    for name in ("host", "fifth_host", "family")
)
LOOKS = (1, 3, 5)
HERE = Environment(gpu_uuids=("GPU-1",), sync_stages=True)
TIMES = MetricChoice(gate=("denoise", "e2e"))
STEPS = MetricChoice(gate=("denoise",))


def launches(entries, environment=HERE):
    return tuple(
        LaunchRecord(number=i, metrics=one["metrics"], steps_ms=tuple(one["steps_ms"]), environment=environment)
        for i, one in enumerate(entries)
    )


def measurement(records) -> Measurement:
    machine = Machine(kind="gpu", product="NVIDIA H200", count=1)
    return Measurement(case="c", machine=machine, workload=Workload(digest="d"), launches=tuple(records))


def judged(then, now, choice=TIMES, *, looks=LOOKS, paired=False) -> dict[str, Verdict]:
    """The verdicts of the loop that the runner drives, by metric."""
    baseline = Baseline(measurement=measurement(then), recorded=Recorded(at="", command=""))
    for look in looks:
        now_then = baseline
        if paired:
            now_then = replace(baseline, measurement=measurement(then[:look]))
        verdicts = judge(measurement(now[:look]), now_then, choice, looks=looks, paired=paired)
        if settled(verdicts) or look >= len(now):
            break
    return {v.metric: v for v in verdicts}


def outcome(verdicts: dict[str, Verdict]) -> str:
    return outcome_of(tuple(verdicts.values()))[0]


def steps(count=20, *, number=0, **more):
    """A launch of 20 steps of 50 ms, a little different from the others; `more` are factors on single steps."""
    profile = [50.0 * (1 + ((7 * number + 3 * i) % 11 - 5) / 1500) for i in range(count)]
    for name, factor in more.items():
        profile[int(name.removeprefix("at"))] *= factor
    return entry(profile)


def entry(profile):
    whole = sum(profile)
    metrics = {
        "denoise": whole + 6,
        "denoise_steps": whole,
        "e2e": whole + 106,
        "stage:DenoisingStage": whole + 6,
        "stage:DecodingStage": 100.0,
    }
    return {"metrics": metrics, "steps_ms": profile}


def calm(count=5):
    return [steps(number=i) for i in range(count)]


# ----------------------------------------------------------------------------------------------------- real launches


@pytest.mark.parametrize("then", [("baseline",), ("baseline", "after_kill", "gate")], ids=["five", "eleven"])
def test_the_wider_engine_of_the_fifth_host_regresses_by_its_steps(then):
    found = judged(launches([one for side in then for one in FIFTH[side]]), launches(FIFTH["slower"]), STEPS)
    assert found["denoise_core"].outcome == "regressed"
    assert found["denoise_core"].ratio == pytest.approx(1.077, abs=0.005)


def test_the_wider_engine_of_the_fourth_host_regresses_by_its_steps():
    recorded = baselines.load(ROOT / "examples" / "baselines" / "nvidia-h200-x1" / "tiny_wan_wider.json")
    then = [replace(launch, environment=HERE) for launch in recorded.measurement.launches]
    folders = sorted((ROOT / "examples" / "recordings" / "h200" / "tiny_wan_wider").glob("*/perf.json"))
    dumps = [perf_dump.parse(path.read_text(encoding="utf-8")) for path in folders]
    now = launches([{"metrics": metrics_of(dump), "steps_ms": dump.steps_ms} for dump in dumps])
    found = judged(then, now, STEPS)
    assert (len(then), len(now)) == (10, 5)
    assert found["denoise_core"].outcome == "regressed"


UNCHANGED = {
    "second host": (SECOND["baseline"], SECOND["gate"]),
    "second host, five": (SECOND["baseline"][:5], SECOND["gate"]),
    "second host, turned": (SECOND["gate"], SECOND["baseline"][:5]),
    "second host, within its baseline": (SECOND["baseline"][:5], SECOND["baseline"][5:]),
    "fifth host, gate": (FIFTH["baseline"], FIFTH["gate"]),
    "fifth host, after a kill": (FIFTH["baseline"], FIFTH["after_kill"]),
    "fifth host, turned": (FIFTH["after_kill"], FIFTH["baseline"]),
    "wan22": (FAMILIES["wan22"]["base"][:3], FAMILIES["wan22"]["base"][1:]),
}


@pytest.mark.parametrize("series", UNCHANGED)
def test_unchanged_launches_pass_where_the_host_holds_some_up(series):
    then, now = UNCHANGED[series]
    found = judged(launches(then), launches(now), STEPS)
    assert outcome(found) == "pass"


def test_a_report_says_how_many_launches_were_held_up_and_what_steps_took():
    found = judged(launches(SECOND["baseline"][:5]), launches(SECOND["gate"]), STEPS, looks=(5,))
    held = found["denoise_excess"].finding
    assert (held.code, held.count, held.of) == ("held-up", 1, 5)
    assert (held.shortest, held.longest, held.usual) == pytest.approx((54.3, 81.8, 50.3), abs=0.1)


def test_a_segment_that_no_quantile_shows_regresses_and_is_named():
    """The low-noise expert of Wan2.2, in the last seven of twenty steps, is a third larger."""
    slow = FAMILIES["wan22"]["slow"]
    few = judged(launches(FAMILIES["wan22"]["base"]), launches(slow), STEPS)
    assert (outcome(few), few["denoise_excess"].suspect) == ("inconclusive", True)
    found = judged(launches(FAMILIES["wan22"]["base"]), launches([*slow, *slow, slow[0]]), STEPS)
    assert outcome(found) == "regressed"
    assert found["denoise_core"].outcome == "pass"
    excess = found["denoise_excess"].finding
    assert (excess.code, excess.first, excess.last) == ("held-up-always", 13, 19)


def test_a_pause_that_the_slower_engine_lacks_is_no_improvement():
    """FireRed: three warm launches pause for 430 to 480 ms before their steps, and none of the slower engine does."""
    firered = FAMILIES["firered"]
    found = judged(launches(firered["base"]), launches(firered["slow"]))
    assert {v.outcome for v in found.values()} == {"inconclusive", "pass"}
    assert found["pause"].outcome == "pass"
    assert found["denoise_core"].ratio > 1
    assert found["e2e"].ratio > 1


HOST_BOUND = {
    "firered": ("firered", "base", "slow"),
    "ltx2": ("ltx2", "base", "base"),
    "hunyuan3d": ("hunyuan3d", "base", "base"),
    "ltx2 and a wider one": ("ltx2", "base", "wide"),
    "hunyuan3d and a wider one": ("hunyuan3d", "base", "wide"),
}


@pytest.mark.parametrize("series", HOST_BOUND)
def test_where_the_host_decides_the_steps_are_inconclusive_for_that_reason(series):
    family, then, now = HOST_BOUND[series]
    found = judged(launches(FAMILIES[family][then]), launches(FAMILIES[family][now]))
    for metric in ("denoise_core", "e2e"):
        assert (found[metric].outcome, found[metric].finding.code) == ("inconclusive", "host-decides")
    assert found["denoise_core"].finding.size > 0.03
    assert found["denoise_core"].finding.busy is None


def test_what_to_do_there_is_not_to_launch_again():
    then = launches(FAMILIES["ltx2"]["base"])
    found = judged(then, then)
    baseline = Baseline(measurement=measurement(then), recorded=Recorded(at="", command=""))
    assert settles(tuple(found.values()), baseline, "pytest --sgdiff-update") == NextStep(code="larger-case")


@pytest.mark.parametrize(
    ("busy", "reasons", "named"), [(62, 0, True), (99, 0, False), (62, 4, False)], ids=["waits", "busy", "capped"]
)
def test_a_gpu_that_is_seen_to_work_is_not_waiting_for_its_host(busy, reasons, named):
    watch = Watch(
        gpus=(
            GpuSeries(gpu_uuid="GPU-1", at_s=(0.0, 1.0), util_pct=(3, busy), sm_mhz=(345, 1960), reasons=(0, reasons)),
        )
    )
    seen = [
        replace(launch, watch=watch, environment=replace(HERE, sm_clock_max_mhz=1980))
        for launch in launches(FAMILIES["ltx2"]["base"])
    ]
    finding = judged(seen, seen)["denoise_core"].finding
    assert (finding.code == "host-decides") is named
    if named:
        assert finding.busy == pytest.approx(0.62)
        assert finding.clock == pytest.approx(1960 / 1980)


# ------------------------------------------------------------------------------------------- what must not get lost


LOST = {
    "every step": {f"at{i}": 1.06 for i in range(20)},
    "a segment": {f"at{i}": 1.15 for i in range(12, 20)},
    "the first steps": {"at0": 1.6, "at1": 1.6},
    "one step": {"at9": 2.2},
    "a tail that throttles": {f"at{i}": 1 + 0.04 * (i - 12) for i in range(13, 20)},
}


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("count", [5, 10])
def test_what_every_launch_has_still_regresses(kind, count):
    found = judged(launches(calm(count)), launches([steps(number=i, **LOST[kind]) for i in range(5)]))
    assert outcome(found) == "regressed"


@pytest.mark.parametrize("count", [5, 10])
def test_one_slow_step_in_other_places_of_each_launch_regresses(count):
    now = [steps(number=i, **{f"at{(7 * i + 2) % 20}": 2.2}) for i in range(5)]
    found = judged(launches(calm(count)), launches(now))
    assert found["denoise_excess"].outcome == "regressed"
    assert found["denoise_excess"].finding.first is None


def test_what_a_case_allows_is_allowed_to_core_and_excess_together():
    """Nine per cent each: the steps are 18 % slower where 10 % are allowed, and one of the two alone is not."""
    usual = CLASS_MARGINS["primary"].allowing(0.10)
    for core, segment, expected in ((1.09, 1.2, "regressed"), (1.0, 1.2, "pass"), (1.09, 1.0, "pass")):
        slow = {f"at{i}": core * (segment if i > 10 else 1) for i in range(20)}
        now = [tuple(steps(number=i, **slow)["steps_ms"]) for i in range(5)]
        found = cores([tuple(one["steps_ms"]) for one in calm()], now, ())
        sides = ([launch.excess for launch in side] for side in (found.then, found.now))
        sums = (tuple(launch.core + launch.excess for launch in side) for side in (found.then, found.now))
        whole = Whole(**dict(zip(("then", "now"), sums, strict=True)), margins=usual)
        rule = ExcessRule(found, [whole], RULES["moderated"])
        decision = rule.decide(*sides, CLASS_MARGINS["pause"], same_node=True)
        assert decision.outcome == expected


SEGMENT_8, SEGMENT_14 = ({f"at{i}": 1 + size / 0.4 for i in range(12, 20)} for size in (0.08, 0.14))


@pytest.mark.parametrize(
    ("gate", "allow", "expected"),
    [
        (("denoise",), {"denoise": 0.1}, ("pass", "regressed")),
        (("e2e",), {"e2e": 0.1}, ("pass", "regressed")),
        # What is not gated fails nothing, and what is allowed of one metric is not allowed of the other.
        (("e2e",), {"e2e": 0.3}, ("pass", "pass")),
        (("denoise", "e2e"), {"denoise": 0.3, "e2e": 0.1}, ("pass", "regressed")),
        (("denoise", "e2e"), {"denoise": 0.1, "e2e": 0.3}, ("pass", "regressed")),
        (("denoise", "e2e"), {"denoise": 0.3, "e2e": 0.01}, ("regressed", "regressed")),
        (("denoise", "e2e"), 0.1, ("pass", "regressed")),
        (("denoise", "e2e"), 0.3, ("pass", "pass")),
    ],
)
def test_a_slow_segment_is_allowed_what_the_case_allows_of_what_it_gates(gate, allow, expected):
    """Eight steps of each launch are slower, so that all of them take 8 and 14 % longer, and the core as long."""
    choice = MetricChoice(primary=gate[0], gate=gate, allow=allow)
    for slow, outcome_ in zip((SEGMENT_8, SEGMENT_14), expected, strict=True):
        for count in (5, 10):
            found = judged(launches(calm(count)), launches([steps(number=i, **slow) for i in range(5)]), choice)
            assert (outcome(found), count) == (outcome_, count)


def test_a_long_excess_that_the_case_allows_fails_nothing_where_the_sum_cannot_be_told():
    """It is more than twice as long as a pause that matters, and less than the 10 % that are allowed."""
    choice = MetricChoice(gate=("denoise",), allow={"denoise": 0.1}, detect={"denoise": 0.105})
    slow = {f"at{i}": 1 + 0.098 / 0.4 for i in range(12, 20)}
    found = judged(launches(calm()), launches([steps(number=i, **slow) for i in range(5)]), choice)
    assert (outcome(found), found["denoise_excess"].finding.code) == ("inconclusive", "held-up-unconfirmed")


def test_a_step_more_regresses_by_the_sum():
    found = judged(launches(calm()), launches([steps(21, number=i) for i in range(5)]))
    assert (outcome(found), found["denoise_steps"].outcome) == ("regressed", "regressed")


@pytest.mark.parametrize("gate", ["e2e", "stage:DenoisingStage"])
def test_it_does_so_by_whatever_metric_the_case_gates(gate):
    choice = MetricChoice(primary=gate, gate=(gate,))
    found = judged(launches(calm()), launches([steps(number=i, **LOST["a segment"]) for i in range(5)]), choice)
    assert outcome(found) == "regressed"


def test_one_launch_without_it_acquits_a_hold_up():
    slow = [steps(number=i, **LOST["a segment"]) for i in range(4)]
    found = judged(launches(calm()), launches([*slow, steps(number=4)]))
    assert outcome(found) == "pass"
    assert (found["denoise_excess"].finding.count, found["denoise_excess"].suspect) == (4, True)


def test_five_hold_ups_in_a_row_convict_nobody():
    """In other steps each time and of other lengths, which is what hosts do; the baseline is too small to say more."""
    now = [steps(number=i, **{f"at{(4 * i + j) % 20}": 1.25 for j in range(4 + 3 * i)}) for i in range(5)]
    found = judged(launches(calm()), launches(now))
    assert (outcome(found), found["denoise_excess"].finding.code) == ("inconclusive", "held-up-unconfirmed")


@pytest.mark.parametrize("change", ["no steps", "not synchronised", "other steps than their sum"])
def test_launches_without_a_core_are_judged_by_the_sum_of_their_steps(change):
    then, now = launches(calm()), launches([steps(number=i, **LOST["every step"]) for i in range(5)])
    if change == "no steps":
        then = tuple(replace(launch, steps_ms=()) for launch in then)
    elif change == "not synchronised":
        then, now = (
            tuple(replace(launch, environment=replace(HERE, sync_stages=False)) for launch in side)
            for side in (then, now)
        )
    else:
        then = (replace(then[0], steps_ms=tuple(2 * ms for ms in then[0].steps_ms)), *then[1:])
    found = judged(then, now)
    assert "denoise_core" not in found
    assert found["denoise_steps"].outcome == "regressed"


def test_a_server_keeps_the_medians_of_its_requests_step_by_step_and_they_have_a_core():
    """Their sum is not the median of the requests' sums, as it is where the host holds up other steps of each."""

    def served(one):
        metrics = {**one["metrics"], "client_e2e": 1500.0, "denoise_steps": 1.01 * one["metrics"]["denoise_steps"]}
        return {**one, "metrics": metrics}

    now = [steps(number=i, **LOST["every step"]) for i in range(5)]
    found = judged(launches(map(served, calm())), launches(map(served, now)), STEPS)
    assert found["denoise_core"].outcome == "regressed"


def test_steps_that_were_held_up_are_held_against_what_they_take_now():
    """Of an engine that is twice as slow all steps take longer than the baseline's, and only some are held up."""
    now = [steps(number=i, **({"at3": 1.5, "at4": 1.5} if i == 1 else {})) for i in range(5)]
    doubled = [entry([2 * ms for ms in one["steps_ms"]]) for one in now]
    held = judged(launches(calm()), launches(doubled), STEPS, looks=(5,))["denoise_excess"].finding
    assert (held.code, held.count) == ("held-up", 1)
    assert (held.shortest, held.usual) == pytest.approx((150, 100), abs=1)


def test_where_the_stage_holds_more_than_its_steps_only_what_held_them_up_is_taken_out():
    """An image is encoded in the denoising stage: work, and no pause."""

    def more(one):
        metrics = {
            name: value + 200 if name in ("denoise", "e2e", "stage:DenoisingStage") else value
            for name, value in one["metrics"].items()
        }
        return {**one, "metrics": metrics}

    held = steps(number=1, **{f"at{i}": 1.5 for i in range(8)})
    found = judged(launches(map(more, calm())), launches([more(held)]), STEPS)
    assert found["denoise"].ratio == pytest.approx(1, abs=0.02)
    assert (found["denoise"].net, found["denoise_excess"].outcome) == (True, "inconclusive")


def test_pairs_are_judged_by_their_cores_too():
    base = [steps(number=i, **({f"at{j}": 1.3 for j in range(i, i + 9)} if i % 3 == 1 else {})) for i in range(8)]
    slow = {f"at{i}": 1.06 for i in range(20)}
    same, slower = (
        judged(launches(base), launches(calm(8)), STEPS, looks=(3, 5, 8), paired=True),
        judged(
            launches(base), launches([steps(number=i, **slow) for i in range(8)]), STEPS, looks=(3, 5, 8), paired=True
        ),
    )
    assert (outcome(same), outcome(slower)) == ("pass", "regressed")
    assert slower["denoise_core"].ratio == pytest.approx(1.06, abs=0.005)


def test_the_best_that_was_ever_recorded_is_a_sum_and_stays_comparable():
    best = {"denoise_steps": 960.0}
    baseline = Baseline(measurement=measurement(launches(calm())), recorded=Recorded(at="", command=""), best=best)
    (core, *_) = judge(measurement(launches(calm(3))), baseline, STEPS, looks=LOOKS)
    assert core.metric == "denoise_core"
    assert core.best_ratio == pytest.approx(1000 / 960, abs=0.003)
