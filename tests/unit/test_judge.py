"""Cases judged as a whole, on the values of real launches (tests/data/h200_launches.json says what they are)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pytest_sgdiff.data import (
    Baseline,
    Disturbance,
    Environment,
    Finding,
    LaunchPlan,
    LaunchRecord,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Verdict,
    Workload,
)
from pytest_sgdiff.judging import judge as judging
from pytest_sgdiff.judging.judge import confirms_pauses, new_stages, outcome_of, settled
from pytest_sgdiff.judging.rules import Prior
from tests import factories
from tests.factories import figures

H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
DATA = Path(__file__).parents[1] / "data"
REAL = json.loads((DATA / "h200_launches.json").read_text(encoding="utf-8"))
SYNC, SLOW, WARM, SLOW_WARM = (REAL[name] for name in ("sync", "slow", "warm", "slow_warm"))


def measurement(rows, *, generation="B", uuid="GPU-1"):
    environment = Environment(gpu_uuids=(uuid,), sync_stages=True)
    launches = tuple(
        LaunchRecord(number=i, metrics=row, environment=environment, generation=generation)
        for i, row in enumerate(rows)
    )
    return Measurement(case="wan", machine=H200, workload=Workload(digest="d"), launches=launches)


def baseline(rows, **changes):
    generation = changes.pop("generation", "B")
    recorded = Recorded(at="2026-11-23T17:18:01Z", command="pytest --sgdiff-update")
    return Baseline(measurement=measurement(rows, generation=generation), recorded=recorded, **changes)


def gating(**metrics):
    """What a case gates."""
    return MetricChoice(**metrics)


LOOKS = LaunchPlan().looks
judge = partial(judging.judge, looks=LOOKS)


def look_by_look(rows, then, what=None):
    """Launches used, verdicts and outcome of the loop that the runner drives."""
    what = what or gating()
    looks = list(LOOKS)
    for look in looks:
        verdicts = judge(measurement(rows[:look]), baseline(then), what)
        if settled(verdicts) or look >= len(rows):
            break
        if look == looks[-1] and (more := confirms_pauses(verdicts, look)):
            looks.append(more)
    outcome, by = outcome_of(verdicts)
    return min(look, len(rows)), verdicts, (outcome, [(v.metric, v.finding.code) for v in by])


def by_name(verdicts) -> dict[str, Verdict]:
    return {v.metric: v for v in verdicts}


def without_last_but(rows, index):
    return [*rows[:index], *rows[index + 1 :]]


def edited(rows, **changes):
    """`rows` with metrics set, or taken out where the change is None; a callable is given the old value."""
    out = []
    for row in rows:
        row = dict(row)
        for name, change in changes.items():
            name = name.replace("__", ":")
            if change is None:
                row.pop(name, None)
            else:
                row[name] = change(row[name]) if callable(change) else change
        out.append(row)
    return out


# ------------------------------------------------------------------------------------------------- real launches


def test_the_really_slower_engine_regresses_although_launches_pause():
    looks, verdicts, (outcome, by) = look_by_look(SLOW, SYNC[:5])
    assert (looks, outcome) == (5, "regressed")
    assert by == [("denoise_steps", "beyond-allow"), ("e2e", "beyond-allow"), ("peak_memory", "beyond-allow")]
    found = by_name(verdicts)
    assert found["denoise_steps"].primary
    assert found["denoise_steps"].ratio == pytest.approx(1.0749, abs=1e-4)
    assert found["pause"].outcome == "pass"


@pytest.mark.parametrize("index", [0, 2, 3, 4, 5])
def test_an_unchanged_launch_passes_at_once_against_the_five_others(index):
    looks, _, (outcome, _) = look_by_look([SYNC[index]], without_last_but(SYNC, index))
    assert (looks, outcome) == (1, "pass")


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_an_unchanged_launch_that_was_not_synchronised_passes_as_well(index):
    assert look_by_look([WARM[index]], without_last_but(WARM, index))[2][0] == "pass"


def test_a_host_that_holds_up_the_gpu_leaves_unchanged_launches_open_and_accuses_nobody():
    held_up = json.loads((DATA / "h200_host_launches.json").read_text(encoding="utf-8"))
    then, now = ([entry["metrics"] for entry in held_up[side]] for side in ("baseline", "gate"))
    looks, verdicts, (outcome, by) = look_by_look(now, then, gating(gate=("denoise", "peak_memory")))
    assert (looks, outcome) == (5, "inconclusive")
    assert by == [("denoise_steps", "interval-undecided")]
    undecided = figures(by_name(verdicts)["denoise_steps"].finding)
    assert undecided == {"code": "interval-undecided", "low": -0.002, "high": 0.072, "allow": 0.012, "detect": 0.042}
    assert by_name(verdicts)["pause"].finding.code == "no-pause"


FIFTH_HOST = json.loads((DATA / "h200_fifth_host_launches.json").read_text(encoding="utf-8"))
GATED = {"gate": ("denoise", "peak_memory")}


def fifth_host(*sides):
    return [entry["metrics"] for side in sides for entry in FIFTH_HOST[side]]


@pytest.mark.parametrize("side", ["after_kill", "gate"])
def test_the_same_engine_passes_on_another_such_host_at_the_third_launch(side):
    looks, _, (outcome, _) = look_by_look(fifth_host(side), fifth_host("baseline"), gating(**GATED))
    assert (looks, outcome) == (3, "pass")


@pytest.mark.parametrize(
    ("sides", "found"),
    [
        (("baseline",), {"code": "out-of-order", "size": 0.06, "needed": 10}),
        (("baseline", "after_kill", "gate"), {"code": "out-of-order", "size": 0.068}),
    ],
    ids=["five", "eleven"],
)
def test_there_a_slower_engine_regresses_by_its_memory_and_its_steps_are_suspect(sides, found):
    """Three of eleven launches are as slow as the slower engine's: the host did that, and might have done it again."""
    looks, verdicts, (outcome, by) = look_by_look(fifth_host("slower"), fifth_host(*sides), gating(**GATED))
    assert (looks, outcome) == (5, "regressed")
    assert by == [("peak_memory", "beyond-allow")]
    steps = by_name(verdicts)["denoise_steps"]
    assert (steps.outcome, steps.suspect, figures(steps.finding)) == ("inconclusive", True, found)


def test_on_a_gpu_that_the_baseline_does_not_know_less_is_promised():
    here, there = (
        by_name(judge(measurement(SYNC[:1], uuid=gpu), baseline(SYNC[1:]), gating())) for gpu in ("GPU-1", "GPU-2")
    )
    assert there["denoise_steps"].detectable > here["denoise_steps"].detectable
    assert there["denoise_steps"].allow - here["denoise_steps"].allow == pytest.approx(0.02, abs=1e-6)


def test_the_first_pause_ever_seen_costs_two_launches_and_no_verdict():
    rows = [SYNC[1], SYNC[0], SYNC[2]]
    looks, verdicts, (outcome, _) = look_by_look(rows, [*SYNC[2:], SYNC[0]])
    assert (looks, outcome) == (3, "pass")
    assert by_name(verdicts)["pause"].finding.code == "rare-pauses"


@pytest.mark.parametrize(("extra", "outcome", "suspect"), [(450, "pass", True), (59_000, "inconclusive", True)])
def test_most_launches_that_pause_are_told_and_acquitted_only_of_pauses_that_are_known(extra, outcome, suspect):
    stalled = edited(
        [SYNC[2], SYNC[3]],
        denoise=lambda v: v + extra,
        denoise_gap=lambda v: v + extra,
        e2e=lambda v: v + extra,
        stage__DenoisingStage=lambda v: v + extra,
    )
    verdicts = judge(measurement([*stalled, SYNC[4]]), baseline([*SYNC[2:], SYNC[0]]), gating())
    pause = by_name(verdicts)["pause"]
    assert (pause.outcome, pause.suspect) == (outcome, suspect)
    assert outcome_of(verdicts)[0] == outcome


def test_verdicts_carry_what_was_judged_launch_by_launch():
    """e2e net of a pause of 442 ms and the pause itself are no metrics of the launches: reports know them from here."""
    found = by_name(judge(measurement(SYNC[:2]), baseline(SYNC[2:]), gating()))
    whole, pauses = tuple(row["e2e"] for row in SYNC[:2]), found["pause"].now_values
    assert pauses == pytest.approx((9.2, 447.1), abs=0.1)
    assert found["e2e"].now_values == tuple(e2e - pause for e2e, pause in zip(whole, pauses, strict=True))
    assert found["denoise_steps"].baseline_values == tuple(row["denoise_steps"] for row in SYNC[2:])
    assert len(found["e2e"].baseline_values) == len(SYNC[2:])


def test_a_pause_that_recurs_in_every_launch_is_caught():
    pausing = edited(
        [*SYNC[2:], SYNC[0], *SYNC[2:4]],
        denoise=lambda v: v + 450,
        denoise_gap=lambda v: v + 450,
        e2e=lambda v: v + 450,
        stage__DenoisingStage=lambda v: v + 450,
    )
    looks, verdicts, (outcome, by) = look_by_look(pausing, [*SYNC[2:], SYNC[0]])
    assert (looks, outcome) == (7, "regressed")
    assert by == [("pause", "pauses")]
    assert by_name(verdicts)["denoise_steps"].outcome == "pass"


def test_work_that_leaves_the_stages_for_the_space_between_them_is_caught():
    """80 ms a request that no stage shows: steps and stages pass, e2e is net of it, `pause` has it."""
    hidden = edited([*SYNC[2:], SYNC[0], *SYNC[2:4]], e2e=lambda v: v + 80)
    assert look_by_look(hidden, SYNC[:1] + SYNC[2:])[2][0] == "regressed"


def test_two_slower_launches_are_not_enough_to_fail_but_enough_to_doubt():
    _, verdicts, (outcome, _) = look_by_look(SLOW_WARM, WARM)
    assert outcome == "inconclusive"
    steps = by_name(verdicts)["denoise_steps"]
    assert (steps.outcome, steps.suspect) == ("inconclusive", True)
    assert figures(steps.finding) == {"code": "unconfirmed", "count": 2, "needed": 5}


# ------------------------------------------------------------------------------------------------- what is judged


def test_the_gate_expands_into_steps_pause_net_e2e_stages_and_memory_primary_first():
    verdicts = judge(measurement(SYNC[:1]), baseline(SYNC[1:]), gating())
    assert [v.metric for v in verdicts] == [
        "denoise_steps",
        "pause",
        "e2e",
        "stage:InputValidationStage",
        "stage:TextEncodingStage",
        "stage:LatentPreparationStage",
        "stage:TimestepPreparationStage",
        "stage:DecodingStage",
        "peak_memory",
    ]
    assert {v.metric for v in verdicts if not v.deciding} == {v.metric for v in verdicts if v.metric[:6] == "stage:"}
    assert by_name(verdicts)["e2e"].net
    assert by_name(verdicts)["e2e"].baseline == pytest.approx(1113.89, abs=0.01)


@pytest.mark.parametrize("side", ["now", "then"])
def test_without_steps_on_both_sides_denoise_and_e2e_are_judged_as_they_are(side):
    bare = edited(SYNC[2:], denoise_steps=None, denoise_gap=None)
    now, then = (bare[:1], SYNC[1:]) if side == "now" else (SYNC[:1], bare)
    verdicts = by_name(judge(measurement(now), baseline(then), gating()))
    assert verdicts["denoise"].primary
    assert "pause" not in verdicts
    assert not verdicts["e2e"].net
    assert verdicts["denoise"].baseline > 1029


def test_steps_that_cover_only_part_of_denoising_do_not_stand_for_it():
    """Launches that are not synchronised: the last step returns while the GPU still works."""
    half = edited(SYNC, denoise_steps=lambda v: v / 2)
    assert judge(measurement(half[:1]), baseline(half[1:]), gating())[0].metric == "denoise"


def test_a_stage_can_be_primary_and_is_net_of_its_pauses():
    what = gating(primary="stage:DenoisingStage", gate=("stages",))
    looks, verdicts, (outcome, _) = look_by_look(SLOW, SYNC[:5], what)
    first = verdicts[0]
    assert (first.metric, first.primary, first.metric_class) == ("stage:DenoisingStage", True, "primary")
    assert (looks, outcome, first.outcome) == (5, "regressed", "regressed")
    assert [v.metric for v in verdicts].count("stage:DenoisingStage") == 1
    assert verdicts[1].metric == "pause"


def test_what_a_case_allows_is_what_the_verdict_carries():
    tight = by_name(judge(measurement(SYNC[:1]), baseline(SYNC[1:]), gating(allow={"denoise": 0.05, "stages": 0.5})))
    assert (tight["denoise_steps"].allow, tight["denoise_steps"].detect) == pytest.approx((0.05, 0.08))
    assert tight["stage:DecodingStage"].allow == pytest.approx(0.5)
    wide = gating(allow={"denoise": 0.2, "e2e": 0.2, "peak_memory": 0.1})
    assert look_by_look(SLOW, SYNC[:5], wide)[2][0] == "pass"


def test_a_stage_must_cost_the_request_one_percent():
    """TextEncodingStage of 3 s in a request of 400 s: 20 % of it are 0.15 % of the request."""
    rows = edited(SYNC, stage__TextEncodingStage=3000.0, e2e=400_000.0, denoise_steps=None, denoise_gap=None)
    slow = edited(rows, stage__TextEncodingStage=3900.0)
    slow_verdict = by_name(judge(measurement(slow[:5]), baseline(rows[:5]), gating(primary="e2e", gate=("stages",))))
    assert slow_verdict["stage:TextEncodingStage"].outcome == "pass"
    # Below what is allowed in every launch it has no margins.
    assert slow_verdict["stage:TextEncodingStage"].finding.code == "below-floor"


def test_a_stage_that_regressed_fails_the_case():
    slow = edited(SYNC[:5], stage__DecodingStage=lambda v: v + 60, e2e=lambda v: v + 60)
    _, verdicts, (outcome, by) = look_by_look(slow, SYNC[:5], gating(gate=("denoise", "stages")))
    assert outcome == "regressed"
    assert by_name(verdicts)["denoise_steps"].outcome == "pass"
    assert [metric for metric, _ in by] == ["stage:DecodingStage"]


def test_a_stage_may_gain_what_is_one_percent_of_the_request():
    """15 ms of 1.1 s: a decoding stage of 35 ms may gain 43 %, however sure it is that it gained 26 %."""
    then = edited(SYNC, stage__DecodingStage=None)
    for row, value in zip(then, (33.0, 35.0, 36.0, 37.0, 34.0, 35.0), strict=True):
        row["stage:DecodingStage"] = value
    now = edited(then[:5], stage__DecodingStage=lambda v: v * 1.35)
    verdicts = judge(measurement(now), baseline(then[:5]), gating(gate=("denoise", "stages")))
    assert by_name(verdicts)["stage:DecodingStage"].outcome == "pass"
    assert outcome_of(verdicts)[0] == "pass"


def test_an_uncertain_stage_holds_up_nothing_unless_its_figure_is_beyond_its_limit():
    noisy = judge(measurement([SYNC[1]]), baseline([SYNC[0], *SYNC[2:]]), gating(gate=("denoise", "stages")))
    text = by_name(noisy)["stage:TextEncodingStage"]
    assert (text.outcome, text.suspect, text.deciding) == ("inconclusive", False, False)
    far = edited([SYNC[0]], stage__TextEncodingStage=75.0)
    verdicts = judge(measurement(far), baseline(SYNC[1:]), gating(gate=("denoise", "stages")))
    assert by_name(verdicts)["stage:TextEncodingStage"].suspect
    assert not settled(verdicts)
    assert outcome_of(verdicts)[0] == "inconclusive"


def test_a_new_stage_is_mentioned_not_judged():
    now = edited(SYNC[:1], stage__SafetyCheckStage=12.0)
    assert new_stages(measurement(now), baseline(SYNC[1:])) == ("SafetyCheckStage",)
    assert "stage:SafetyCheckStage" not in by_name(judge(measurement(now), baseline(SYNC[1:]), gating()))


def test_a_stage_that_is_gone_holds_up_the_case():
    now = edited(SYNC[:5], stage__DecodingStage=None)
    _, verdicts, (outcome, by) = look_by_look(now, SYNC[:5])
    assert outcome == "inconclusive"
    assert by == [("stage:DecodingStage", "stage-gone")]
    assert by_name(verdicts)["stage:DecodingStage"].deciding


def without_denoising(rows):
    """Launches as a dump without the denoising stage tells them: what denoising took is the sum of its steps."""
    return [
        {**row, "denoise": row["denoise_steps"]} for row in edited(rows, stage__DenoisingStage=None, denoise_gap=None)
    ]


def test_a_denoising_stage_that_is_gone_holds_up_the_case_and_is_no_pause():
    looks, verdicts, (outcome, by) = look_by_look(without_denoising(SYNC[1:6]), SYNC[:5])
    assert (looks, outcome) == (5, "inconclusive")
    assert by == [("stage:DenoisingStage", "stage-gone")]
    assert "pause" not in by_name(verdicts)


def test_one_of_two_denoising_stages_that_is_gone_makes_no_case_faster():
    rows = without_last_but(SYNC, 1)
    two = edited(rows, denoise=lambda v: v + 200, e2e=lambda v: v + 200, denoise_steps=lambda v: v + 200)
    two = [{**row, "stage:LTX2RefinementStage": 200.0} for row in two]
    _, verdicts, (outcome, by) = look_by_look(rows, two, gating(gate=("denoise", "peak_memory")))
    assert by_name(verdicts)["denoise"].outcome == "improved"
    assert (outcome, by) == ("inconclusive", [("stage:LTX2RefinementStage", "stage-gone")])


def test_a_denoising_stage_that_some_launches_lack_holds_up_the_case():
    now = [*without_denoising(SYNC[:2]), SYNC[2]]
    _, _, (outcome, by) = look_by_look(now, SYNC[3:])
    assert outcome == "inconclusive"
    assert ("stage:DenoisingStage", "bad-values") in by


def test_a_denoising_stage_that_is_new_is_mentioned_and_counts_as_denoising():
    now = [{**row, "stage:LTX2RefinementStage": 200.0} for row in SYNC[:5]]
    now = edited(now, denoise=lambda v: v + 200, e2e=lambda v: v + 200, denoise_steps=lambda v: v + 200)
    looks, verdicts, (outcome, _) = look_by_look(now, SYNC[1:])
    assert new_stages(measurement(now), baseline(SYNC[1:])) == ("LTX2RefinementStage",)
    assert (looks, outcome, by_name(verdicts)["pause"].outcome) == (3, "regressed", "pass")
    assert "stage:LTX2RefinementStage" not in by_name(verdicts)


def test_denoising_that_is_in_no_stage_is_no_pause():
    """A pipeline may time its other stages only: what lies outside them is then its denoising."""
    outside = without_denoising(SYNC)
    _, verdicts, _ = look_by_look(outside[:5], outside[1:])
    assert "pause" not in by_name(verdicts)
    assert by_name(verdicts)["e2e"].baseline == pytest.approx(1130.3, abs=0.01)  # pauses and all


def test_a_stage_that_the_case_names_and_nobody_has_is_not_passed_over():
    _, verdicts, (outcome, by) = look_by_look(SYNC[:1], SYNC[1:], gating(gate=("denoise", "stage:DecodeStage")))
    assert outcome == "inconclusive"
    assert by == [("stage:DecodeStage", "stage-unknown")]
    assert by_name(verdicts)["stage:DecodeStage"].deciding


def test_a_gated_metric_that_the_baseline_lacks_is_no_baseline():
    then = edited(SYNC[1:], peak_memory=None)
    verdicts = judge(measurement(SYNC[:1]), baseline(then), gating())
    outcome, by = outcome_of(verdicts)
    assert (outcome, [v.metric for v in by]) == ("no-baseline", ["peak_memory"])


def test_a_metric_that_neither_side_has_is_left_out_unless_it_is_primary():
    bare = edited(
        SYNC, peak_memory=None, denoise=None, denoise_steps=None, denoise_gap=None, stage__DenoisingStage=None
    )
    verdicts = judge(measurement(bare[:1]), baseline(bare[1:]), gating())
    assert "peak_memory" not in by_name(verdicts)
    assert (verdicts[0].metric, verdicts[0].outcome) == ("denoise", "no-baseline")


def test_replaced_launches_reach_no_verdict():
    good = measurement(SYNC[:1])
    spoilt = replace(
        good.launches[0], number=9, disturbances=(Disturbance(code="heat"),), metrics=edited(SLOW[:1], e2e=9e9)[0]
    )
    both = replace(good, launches=(spoilt, *good.launches))
    assert judge(both, baseline(SYNC[1:]), gating()) == judge(good, baseline(SYNC[1:]), gating())


def test_peak_memory_of_another_checkpoint_is_shown_and_does_not_decide():
    grown = edited(SYNC[:5], peak_memory=9000.0)
    verdicts = judge(measurement(grown, generation="C2"), baseline(SYNC[:5], generation="C1"), gating())
    memory = by_name(verdicts)["peak_memory"]
    assert (memory.outcome, memory.deciding, memory.now) == ("inconclusive", False, 9000.0)
    assert memory.finding == Finding(
        code="other-checkpoint",
        then=("after_forward.peak_allocated_mb",),
        now=("runtime_peak.peak_allocated_mb",),
    )
    assert outcome_of(verdicts)[0] == "pass"
    same = judge(measurement(grown, generation="C1"), baseline(SYNC[:5], generation="B"), gating())
    assert by_name(same)["peak_memory"].outcome == "regressed"


def test_verdicts_carry_what_reports_print():
    verdicts = by_name(judge(measurement(SYNC[:1]), baseline(SYNC[1:], best={"denoise_steps": 1000.0}), gating()))
    steps = verdicts["denoise_steps"]
    assert (steps.baseline, steps.now) == pytest.approx((1026.789, 1025.777), abs=0.01)
    assert steps.spread == pytest.approx(0.0095, abs=1e-3)
    assert steps.low < steps.ratio < steps.high
    assert steps.excluded == pytest.approx(0.022, abs=0.001)
    assert steps.detectable == pytest.approx(0.081, abs=0.002)
    # Of medians, as `best` is one: 1024.186 over 1000, and the change on top of it.
    assert steps.best_ratio == pytest.approx(1.024186 * 1025.777 / 1026.789, abs=1e-4)
    assert figures(verdicts["peak_memory"].finding) == {"code": "ruled-out", "size": 0.012}


def test_priors_of_the_suite_are_used_by_class():
    usual = judge(measurement(SYNC[:1]), baseline(SYNC[1:]), gating())
    prior = Prior(cv0=0.012, weight=30.0)
    fitted = judge(measurement(SYNC[:1]), baseline(SYNC[1:]), gating(), priors={"primary": prior})
    assert fitted[0].excluded > usual[0].excluded
    assert by_name(fitted)["peak_memory"] == by_name(usual)["peak_memory"]


def test_launches_taken_in_turn_are_judged_as_pairs():
    drift = (1.0, 1.02, 1.04, 1.06, 1.08)
    base = [{"e2e": 20_000 * d, "denoise": 19_000 * d} for d in drift]
    slow = [{"e2e": 20_900 * d, "denoise": 19_900 * d} for d in drift]
    now = measurement(slow, uuid="GPU-2")
    assert judge(now, baseline(base), gating(), paired=True)[0].outcome == "regressed"
    assert judge(now, baseline(base), gating())[0].outcome == "inconclusive"


# ------------------------------------------------------------------------------------------------- outcome


def verdict(metric="denoise", outcome="pass", **changes):
    fields = {
        "metric_class": "primary",
        "unit": "ms",
        "primary": metric == "denoise",
        **changes,
    }
    return Verdict(metric=metric, outcome=outcome, finding=Finding(code="undecided"), **fields)


def stage(outcome="pass", **changes):
    return verdict("stage:DecodingStage", outcome, metric_class="stage", deciding=False, **changes)


@pytest.mark.parametrize(
    ("verdicts", "outcome", "is_settled"),
    [
        ([verdict()], "pass", True),
        ([verdict(), stage("inconclusive")], "pass", True),
        ([verdict(), stage("inconclusive", suspect=True)], "inconclusive", False),
        ([verdict(), stage("regressed")], "regressed", True),
        ([verdict("denoise", "inconclusive"), stage("regressed")], "regressed", True),
        ([verdict("denoise", "improved"), stage()], "improved", True),
        ([verdict("denoise", "improved"), stage("regressed")], "regressed", True),
        ([verdict("denoise", "improved"), verdict("e2e", "inconclusive")], "inconclusive", False),
        ([verdict(), verdict("e2e", "improved")], "pass", True),
        ([verdict("denoise", "no-baseline"), stage("inconclusive")], "no-baseline", True),
        ([verdict("denoise", "inconclusive", deciding=False)], "inconclusive", True),
        ([], "inconclusive", True),
    ],
)
def test_outcome_of_a_case(verdicts, outcome, is_settled):
    assert outcome_of(verdicts)[0] == outcome
    assert settled(verdicts) is is_settled


def test_a_metric_that_only_one_side_has_is_told_of_the_side_that_lacks_it():
    verdicts = [verdict("denoise", "no-baseline")]
    assert outcome_of(verdicts) == ("no-baseline", tuple(verdicts))


def test_a_case_rests_on_the_verdicts_that_share_its_outcome():
    worse, memory, open_ = verdict("denoise", "regressed"), verdict("e2e", "regressed"), stage("inconclusive")
    assert outcome_of([worse, open_, memory]) == ("regressed", (worse, memory))
    assert outcome_of([verdict(), verdict("e2e")]) == ("pass", (verdict(),))


# ------------------------------------------------------------------------------------------------- references


def test_a_reference_never_passes_and_asks_for_no_launch():
    published = baseline([{"e2e": 1111.0, "denoise": 1030.0}], kind="reference")
    verdicts = judge(measurement(SYNC[:1]), published, gating())
    assert [v.metric for v in verdicts] == ["denoise", "e2e"]
    assert settled(verdicts)
    outcome, by = outcome_of(verdicts)
    assert outcome == "inconclusive"
    assert [(v.metric, v.finding.code) for v in by] == [("denoise", "reference-shows")]


def test_a_reference_fails_beyond_the_tolerance_that_the_case_states():
    published = baseline([{"e2e": 1000.0, "denoise": 900.0}], kind="reference")
    what = gating(allow={"denoise": 0.1}, gate=("denoise", "e2e"))
    looks = [judge(measurement(SYNC[:n]), published, what) for n in (1, 3)]
    assert not settled(looks[0])
    assert outcome_of(looks[1])[0] == "regressed"
    assert looks[1][1].outcome == "inconclusive"


def test_a_reference_of_another_node_is_held_to_the_limit_that_is_shown():
    elsewhere = measurement([{"denoise": 1032.0 / 1.058}], uuid="GPU-2")
    published = replace(baseline([], kind="reference"), measurement=elsewhere)
    now = measurement([{"denoise": 1032.0}] * 3)
    (verdict,) = judge(now, published, gating(allow={"denoise": 0.04}, gate=("denoise",)))
    assert (verdict.outcome, verdict.allow) == ("regressed", 0.04)
    assert figures(verdict.finding) == {"code": "reference-beyond", "count": 3, "allow": 0.04}


# ------------------------------------------------------------------------------------------------ where verdicts turn


def plain_rows(count, **stages):
    """Launches of 10 s, as steady as clocks are, with those stages (ms) beside denoising."""
    rest = sum(stages.values())
    return [
        {"e2e": 10_000.0 + number, "denoise": 10_000.0 - rest, "denoise_steps": 10_000.0 - rest}
        | {"stage:DenoisingStage": 10_000.0 - rest}
        | {f"stage:{name}": ms + number / 100 for name, ms in stages.items()}
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("ms", "outcome"), [(1000.0, "pass"), (1110.0, "pass"), (1170.0, "regressed"), (1390.0, "regressed")]
)
def test_a_stage_fails_the_case_beyond_what_it_is_allowed(ms, outcome):
    verdicts = judge(
        measurement(plain_rows(5, TextEncodingStage=ms)), baseline(plain_rows(5, TextEncodingStage=1000.0)), gating()
    )
    assert by_name(verdicts)["stage:TextEncodingStage"].outcome == outcome


def test_a_stage_too_small_to_matter_has_no_limit():
    rows = plain_rows(5, TextEncodingStage=4.0, DecodingStage=400.0)
    found = by_name(judge(measurement(rows), baseline(rows), gating()))
    assert (found["stage:TextEncodingStage"].allow, found["stage:TextEncodingStage"].detect) == (None, None)
    assert found["stage:DecodingStage"].allow == pytest.approx(0.25, abs=1e-3)


def test_a_figure_net_of_pauses_is_not_held_against_the_best_whole_one():
    then = replace(baseline(SYNC[1:]), best={"e2e": 1000.0, "denoise_steps": 1000.0, "peak_memory": 2000.0})
    found = by_name(judge(measurement(SYNC[:1]), then, gating()))
    assert found["e2e"].best_ratio is None
    assert found["peak_memory"].best_ratio == pytest.approx(SYNC[0]["peak_memory"] / 2000.0)


def test_pairs_ran_on_the_same_gpus_whatever_these_are_called():
    near = by_name(judge(measurement(SYNC[:3], uuid="GPU-1"), baseline(SYNC[3:]), gating(), paired=True))
    far = by_name(judge(measurement(SYNC[:3], uuid="GPU-2"), baseline(SYNC[3:]), gating(), paired=True))
    assert near == far
    assert near["e2e"].allow == pytest.approx(0.012)


@pytest.mark.parametrize(
    ("primary", "deciding", "expected"),
    [(True, False, "no-baseline"), (False, True, "no-baseline"), (False, False, "pass")],
)
def test_a_metric_that_the_baseline_lacks_matters_where_it_decides_or_is_the_primary_one(primary, deciding, expected):
    lacking = factories.verdict(metric="e2e", outcome="no-baseline", primary=primary, deciding=deciding, ratio=None)
    other = factories.verdict(metric="denoise", outcome="pass", primary=not primary)
    assert outcome_of((lacking, other))[0] == expected
