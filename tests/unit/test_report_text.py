from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any, get_args

from pytest_sgdiff.data import (
    CaseResult,
    Changed,
    Finding,
    Gap,
    NoisePrior,
    Problem,
    Reason,
    Recorded,
    Unmeasured,
    Watch,
)
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.reports import (
    case_text,
    evidence,
    finding_text,
    launch_notes,
    metric_text,
    noise_text,
    reason_text,
    text,
    warning_text,
)
from pytest_sgdiff.reports.html import HtmlReport
from pytest_sgdiff.reports.markdown import MarkdownReport
from tests import factories


def test_case_line_of_a_pass_names_the_slowdown_that_it_excludes() -> None:
    assert text.case_line(factories.result(), width=38) == (
        "cases/wan22.yaml::wan22_t2v_a14b_720p   GPUs 0,1,2,3    1 launch   81.50 s  PASS"
        "          denoise -0.3 %, slowdowns above 1.9 % ruled out"
    )


def test_case_lines_of_a_run_stand_in_columns() -> None:
    lines = [text.case_line(result, width=40) for result in factories.run().results]
    assert [line[40:56] for line in lines] == [
        "  GPUs 0,1,2,3  ",
        "  GPUs 0,1,2,3  ",
        "  GPUs 2,3      ",
        "  GPUs 0,1      ",
        "  GPU 0         ",
    ]
    assert [line[78:92].split()[0] for line in lines] == [
        "PASS",
        "REGRESSED",
        "INVALID",
        "NO-BASELINE",
        "INCONCLUSIVE",
    ]


def test_case_line_never_truncates_a_name_longer_than_its_column() -> None:
    line = text.case_line(factories.result("a" * 90), width=20)
    assert line.startswith("cases/wan22.yaml::" + "a" * 90 + "  GPUs 0,1,2,3")


def test_case_line_of_an_invalid_case_gives_the_reason() -> None:
    assert text.case_line(factories.fallback()) == (
        "cases/firered.yaml::firered_1_1[cfg]  GPUs 2,3      2 launches         -  INVALID"
        "       ran on the diffusers backend"
    )


def test_case_line_of_a_replay_tells_how_many_gpus_there_were() -> None:
    assert "  4 GPUs        " in text.case_line(factories.result(gpu_indices=()))


def test_case_line_of_a_recorded_case_says_so() -> None:
    result = factories.result(recorded=True, reason=Reason(code="recorded", launches=5))
    assert text.case_line(result).endswith("RECORDED      5 launches recorded")


def test_a_regression_is_told_with_the_whole_stage_table() -> None:
    assert (
        text.message(factories.regressed())
        == """\
cases/wan22.yaml:12: denoising is 5.3 % slower than the baseline of 2026-11-02 (10 launches, sglang 0.5.16)

  metric               baseline                now  change  95 % interval   verdict
  denoise  (primary)    81.75 s  ±0.4 %    86.08 s  +5.3 %  +4.6 .. +6.0 %  REGRESSED, 1.2 % allowed
  e2e                   83.30 s  ±0.4 %    87.71 s  +5.3 %  +4.5 .. +6.1 %  REGRESSED, 1.2 % allowed
  TextEncodingStage      314 ms             316 ms  +0.6 %  -2.1 .. +3.3 %  pass, above 6 % (18.8 ms) ruled out
  DecodingStage          785 ms             783 ms  -0.3 %  -1.9 .. +1.4 %  pass, above 6 % (47.1 ms) ruled out
  peak memory         21.52 GiB          21.52 GiB   0.0 %                  pass

  baseline and now are geometric means over the launches, high outliers pulled in; change is now over baseline

  5 launches (2 of them alone on the host), SM 1965 MHz, no throttling, no other processes, warmup proven
  reproduce   CUDA_VISIBLE_DEVICES=0,1,2,3 sglang generate --model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers
  files       .sgdiff/2026-11-23T02-00-11/wan22_t2v_a14b_720p/"""
    )


def test_both_sides_of_a_row_have_one_unit() -> None:
    verdict = factories.verdict("stage:DecodingStage", baseline=996.0, now=1004.0)
    assert (
        text.stage_table(factories.result(verdicts=(verdict,), launches=(), baseline_records=()))[1]
        == "  DecodingStage   0.996 s    1.004 s  +0.8 %                 pass"
    )
    assert metric_text.sides(factories.verdict("peak_memory", baseline=1020.0, now=1030.0)) == ("1.00 GiB", "1.01 GiB")


def test_an_invalid_case_quotes_the_log_lines_without_their_escapes() -> None:
    assert (
        text.message(factories.fallback(command="", folder=None))
        == """\
cases/firered.yaml:31: ran on the diffusers backend

    | [11-23 16:52:01] Falling back to diffusers backend
    | Loaded diffusers pipeline

  2 launches, none of which counts
  fix         register a native pipeline for the model, or declare `backend: diffusers` in the case"""
    )


def test_a_problem_that_the_headline_tells_is_not_told_three_times() -> None:
    problem = Problem(kind="launch-failed", message="the engine exited with 1", evidence=("EADDRINUSE",))
    launch = factories.record(0, metrics={}, problem=problem)
    result = factories.fallback(
        reason=Reason(code="problem"),
        problems=(problem,),
        launches=(launch,),
        command="",
        folder=None,
        next_step=None,
    )
    assert (
        text.message(result)
        == """\
cases/firered.yaml:31: the engine exited with 1

    | EADDRINUSE

  1 launch, which does not count"""
    )


def test_what_was_measured_is_told_where_nothing_could_be_judged() -> None:
    result = factories.without_baseline(
        verdicts=(), next_step=factories.stated("do this: pytest x"), command="", folder=None
    )
    assert (
        text.message(result)
        == """\
cases/ltx2.yaml:7: no baseline for nvidia-h100-80gb-hbm3-x2

  measured    denoise 81.75 s, e2e 83.30 s, peak memory 21.52 GiB

  1 launch, SM 1965 MHz, no throttling, no other processes, warmup proven
  next        do this: pytest x"""
    )
    assert "  81.75 s  NO-BASELINE" in text.case_line(result)


def test_a_pass_that_leaves_no_room_for_a_slowdown_says_so() -> None:
    faster = factories.verdict("stage:TextEncodingStage", now=266.0, excluded=-0.017)
    assert metric_text.verdict_phrase(faster) == "pass, all slowdowns ruled out"
    assert case_text.phrase(factories.result(verdicts=(factories.verdict(now=80000.0, excluded=-0.01),))) == (
        "denoise -2.1 %, all slowdowns ruled out"
    )


def test_pauses_that_pass_say_how_often_they_came() -> None:
    found = Finding(code="rare-pauses", count=3, of=5, longest=553.0)
    pause = factories.verdict("pause", metric_class="pause", baseline=9.8, now=475.0, ratio=None, finding=found)
    assert f"\n  pause: {finding_text.why(pause)}\n" in text.message(factories.regressed(verdicts=(pause,)))


def test_the_spread_of_pauses_is_not_shown_for_it_tells_nothing() -> None:
    assert metric_text.spread(factories.verdict("pause", spread=1.74)) == ""


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    shown = [
        metric_text.change(factories.verdict("pause", baseline=11.5, now=now, ratio=None))
        for now in (11.5, 11.4992, 12.5, 9.5)
    ]
    assert shown == ["0.00 ms", "0.00 ms", "+1.00 ms", "-2.00 ms"]


def test_a_claim_is_told_with_its_gain_and_whether_it_holds() -> None:
    assert text.relation_line(factories.relation()) == (
        "wan22_t2v_a14b_720p takes 2.1 % less time than wan22_i2v_a14b_720p (claimed: 10 %):"
        " does not hold, 5 against 5 launches"
    )
    assert text.relation_line(factories.relation(ratio=None, code="not-measured", missing="firered")) == (
        "wan22_t2v_a14b_720p against wan22_i2v_a14b_720p (claimed: 10 %): firered was not measured"
    )


def test_a_missing_baseline_names_the_command_that_records_it() -> None:
    step = factories.stated("do this: pytest --sgdiff-update")
    assert (
        text.message(factories.without_baseline(command="", folder=None, next_step=step))
        == """\
cases/ltx2.yaml:7: no baseline for nvidia-h100-80gb-hbm3-x2

  metric              baseline          now  change  95 % interval  verdict
  denoise  (primary)         -      81.75 s                         no baseline
  e2e                        -      83.30 s                         informational
  TextEncodingStage          -       314 ms                         informational
  DecodingStage              -       785 ms                         informational
  peak memory                -    21.52 GiB                         informational

  baseline and now are geometric means over the launches, high outliers pulled in; change is now over baseline

  1 launch, SM 1965 MHz, no throttling, no other processes, warmup proven
  next        do this: pytest --sgdiff-update"""
    )


def test_an_inconclusive_case_says_why_and_what_would_settle_it() -> None:
    result = factories.undecided(command="", folder=None)
    assert (
        text.message(result)
        == f"""\
cases/hunyuan3d.yaml:5: {reason_text.reason(result)}

  metric               baseline                now   change  95 % interval   verdict
  denoise  (primary)    81.75 s  ±2.1 %    83.40 s   +2.0 %  -0.7 .. +4.8 %  inconclusive, 1.2 % allowed
  pause                 12.0 ms             462 ms  +450 ms                  inconclusive, does not decide
  e2e                   83.33 s            84.24 s   +1.1 %                  informational
  TextEncodingStage      314 ms             314 ms    0.0 %                  informational
  DecodingStage          785 ms             785 ms    0.0 %                  informational
  peak memory         21.52 GiB          21.52 GiB    0.0 %                  informational

  pause: missing or invalid: no launch gave a value
  pause is the time outside the denoising steps and stages; e2e is judged net of pauses
  baseline and now are geometric means over the launches, high outliers pulled in; change is now over baseline; \
medians for pause

  5 launches (4 of them alone on the host), SM 1965 MHz, no throttling, no other processes, warmup proven
  launch 2 discarded: a foreign process ran on GPU 0: python (pid 4711)
  settle      run it again on a quiet machine; 10 launches of this noise would settle 4 %"""
    )


def test_an_inconclusive_case_is_named_by_what_held_it_up_and_not_by_what_does_not_decide() -> None:
    verdicts = (
        factories.verdict("denoise"),
        factories.verdict("peak_memory", outcome="inconclusive", now=23000.0, ratio=None, deciding=False),
        factories.verdict(
            "stage:DenoisingStage",
            outcome="inconclusive",
            now=None,
            ratio=None,
            finding=Finding(code="stage-gone", of=5),
        ),
    )
    held_up = factories.undecided(verdicts=verdicts, decided_by=("stage:DenoisingStage",))
    assert case_text.phrase(held_up) == reason_text.reason(held_up)
    assert "DenoisingStage" in case_text.phrase(held_up)


def test_a_change_without_an_interval_is_told_once() -> None:
    found = Finding(code="reference-within", allow=0.04)
    verdict = factories.verdict("denoise", outcome="inconclusive", ratio=1.038, finding=found, low=None, high=None)
    result = factories.undecided(verdicts=(verdict,))
    assert case_text.phrase(result) == reason_text.reason(result)


def test_a_table_says_of_which_estimator_its_figures_are() -> None:
    means = "geometric means over the launches, high outliers pulled in"
    pause = factories.verdict("pause", baseline=9.8, now=475.0, ratio=None)
    judged = factories.regressed(launches=(), baseline_records=(), verdicts=(factories.verdict(), pause))
    assert case_text.estimator_legend(judged) == [
        f"baseline and now are {means}; change is now over baseline; medians for pause"
    ]
    assert case_text.estimator_legend(replace(judged, verdicts=(pause,))) == [
        "baseline and now are medians over the launches"
    ]
    first = replace(judged, recorded=True, baseline_recorded=None, verdicts=(factories.verdict(),))
    assert case_text.estimator_legend(first) == [f"the figures are {means}"]
    assert case_text.estimator_legend(replace(judged, verdicts=())) == []


def test_the_headline_names_the_metric_that_regressed_when_the_primary_one_did_not() -> None:
    verdicts = (
        factories.verdict("denoise", now=81760.0),
        factories.verdict("stage:DecodingStage", outcome="regressed", now=1030.0),
        factories.verdict("peak_memory", outcome="regressed", now=23000.0),
    )
    assert case_text.headline(factories.regressed(verdicts=verdicts)) == (
        "DecodingStage is 31.2 % slower than the baseline of 2026-11-02 (10 launches, sglang 0.5.16)"
    )
    assert case_text.headline(factories.regressed(verdicts=verdicts[2:])).startswith("peak memory is 4.4 % higher than")


def test_time_is_named_before_memory_and_a_hold_up_of_all_launches_with_its_steps() -> None:
    always = Finding(code="held-up-always", count=5, of=5, first=13, last=19, shortest=65.0, longest=69.0, usual=51.0)
    excess = replace(
        factories.verdict("denoise_excess", outcome="regressed", baseline=0.02, now=107.0, ratio=None), finding=always
    )
    memory = factories.verdict("peak_memory", outcome="regressed", now=23000.0)
    result = factories.regressed(verdicts=(factories.verdict("denoise", now=80000.0), memory, excess))
    decisive = case_text.decisive(result)
    assert decisive is not None
    assert decisive.metric == "denoise_excess"
    assert "steps 13 to 19" in case_text.headline(result)
    assert "steps 13 to 19" in case_text.phrase(result)


def test_other_regressions_of_a_case_are_named_beside_the_decisive_one() -> None:
    assert case_text.remainder(factories.regressed()) == "also e2e +5.3 %"
    assert case_text.remainder(factories.fallback()) == reason_text.reason(factories.fallback())
    assert case_text.remainder(factories.result()) == "slowdowns above 1.9 % ruled out"
    assert case_text.remainder(factories.undecided()) == finding_text.why(factories.undecided().verdicts[0])
    assert case_text.remainder(factories.result(outcome="improved")) == case_text.phrase(
        factories.result(outcome="improved")
    )


def test_the_headline_of_a_regressed_pause_gives_milliseconds() -> None:
    verdict = factories.verdict("pause", outcome="regressed", now=462.0, ratio=None)
    assert case_text.headline(factories.regressed(verdicts=(verdict,))).startswith(
        "time outside the denoising steps and stages is 450 ms longer than the baseline of 2026-11-02"
    )


def test_a_regression_without_a_regressed_metric_is_told_by_its_reason() -> None:
    result = factories.regressed(verdicts=(factories.verdict("denoise"),))
    assert text.message(result).splitlines()[0] == f"cases/wan22.yaml:12: {reason_text.reason(result)}"


def test_throttling_and_foreign_processes_are_named_among_the_conditions() -> None:
    watch = Watch(gpus=(factories.gpu_series(reasons=0x20),), foreign=(factories.foreign_process(),))
    launch = factories.record(0, watch=watch, warmup="unproven", alone=None)
    assert evidence.conditions(factories.result(launches=(launch,))) == (
        "1 launch, SM 1965 MHz, THROTTLED, 1 other process on the GPUs, warmup proven in 0 of 1"
    )


def test_conditions_that_were_not_watched_are_not_claimed() -> None:
    launch = factories.record(0, watch=None, alone=None)
    assert evidence.conditions(factories.result(launches=(launch,))) == "1 launch, warmup proven"


def test_a_case_without_gpus_claims_nothing_of_other_processes() -> None:
    launch = factories.record(0, watch=Watch(gpus=()), alone=None)
    assert evidence.conditions(factories.result(launches=(launch,))) == "1 launch, warmup proven"


def test_the_clock_is_that_under_load_where_a_sample_caught_it() -> None:
    """A minute of loading at 345 MHz, ten seconds of work at 1965: the launch ran at 1965."""
    load = dataclasses.replace(
        factories.gpu_series(), sm_mhz=(345,) * 7 + (1965,) * 3, util_pct=(0,) * 7 + (99,) * 3, reasons=(0x1,) * 10
    )
    idle = dataclasses.replace(load, util_pct=(0,) * 10)
    for series, clock in ((load, 1965), (idle, 345)):
        launch = factories.record(0, watch=Watch(gpus=(series,)), alone=None)
        assert evidence.conditions(factories.result(launches=(launch,))) == (
            f"1 launch, SM {clock} MHz, no throttling, no other processes, warmup proven"
        )


def test_notes_that_launches_share_are_one_line() -> None:
    uuid = "GPU-5d1e8f00-0000-0000-0000-000000000000"
    calm = Watch(gpus=(factories.gpu_series(reasons=0),))
    watches = (Watch(gpus=(factories.gpu_series(),), unknown=("power_w",)), calm, Watch(gpus=(factories.gpu_series(),)))
    launches = tuple(factories.record(number, watch=watch) for number, watch in enumerate((*watches, None)))
    assert text.remarks(factories.result(launches=launches)) == [
        f"launches 0, 2: {uuid}: at its power cap in 14 of 14 samples, normal at full load",
        "launch 0: not reported by the driver, so not checked: power_w",
    ]


def test_what_the_driver_does_not_tell_of_one_launch_is_unknown_for_all() -> None:
    series = dataclasses.replace(factories.gpu_series(), reasons=(None,) * 10)
    silent = Watch(gpus=(series,), unknown=("reasons", "processes"))
    launches = (factories.record(0, alone=None), factories.record(1, watch=silent, alone=None))
    unknown = "2 launches, SM 1965 MHz, throttling unknown, other processes unknown, warmup proven"
    assert evidence.conditions(factories.result(launches=launches)) == unknown
    every = tuple(dataclasses.replace(launch, watch=silent) for launch in launches)
    assert evidence.conditions(factories.result(launches=every)) == unknown


def test_what_only_some_launches_or_gpus_were_asked_is_unknown() -> None:
    """A launch that nobody watched, and a second GPU whose driver is silent on throttling."""
    seen, unseen = factories.record(0, alone=None), factories.record(1, watch=None, alone=None)
    assert evidence.conditions(factories.result(launches=(seen, unseen))) == (
        "2 launches, SM 1965 MHz, throttling unknown, other processes unknown, warmup proven"
    )
    other = dataclasses.replace(factories.gpu_series("GPU-2"), reasons=(None,) * 10)
    half = factories.record(0, watch=Watch(gpus=(factories.gpu_series(), other)), alone=None)
    assert evidence.conditions(factories.result(launches=(half,))) == (
        "1 launch, SM 1965 MHz, throttling unknown, no other processes, warmup proven"
    )


def test_what_one_launch_shows_is_said_whatever_the_others_do_not_tell() -> None:
    silent = Watch(gpus=(), unknown=("reasons", "processes"))
    bad = Watch(gpus=(factories.gpu_series(reasons=0x20),), foreign=(factories.foreign_process(),))
    launches = (factories.record(0, watch=bad, alone=None), factories.record(1, watch=silent, alone=None))
    assert evidence.conditions(factories.result(launches=launches)) == (
        "2 launches, SM 1965 MHz, THROTTLED, 1 other process on the GPUs, warmup proven"
    )


def test_another_power_limit_clock_or_driver_than_the_baselines_is_told_with_both_values() -> None:
    launch = factories.record(0)
    changed = dataclasses.replace(
        launch.environment, power_limit_w=400.0, sm_clock_max_mhz=1755, driver="580.159.04", host="another"
    )
    result = factories.regressed(launches=(dataclasses.replace(launch, environment=changed),))
    conditions, apart = text.message(result).splitlines()[-4:-2]
    assert conditions == "  1 launch, SM 1965 MHz, no throttling, no other processes, warmup proven"
    assert apart == (
        "  differs from the baseline: power limit 400 W now, 700 W then; highest SM clock 1755 MHz now, 1980 MHz then;"
        " driver 580.159.04 now, 580.82.07 then"
    )


def test_what_was_inherited_otherwise_stands_beside_a_verdict() -> None:
    changed = (Changed(name="NCCL_DEBUG", then="INFO"), Changed(name="SGLANG_A", now="1", recorded=False))
    message = text.message(factories.regressed(changed=changed))
    for line in warning_text.inherited_otherwise(changed):
        assert f"  {line}" in message.splitlines()


def test_settings_that_are_unknown_or_known_to_the_baseline_are_no_difference() -> None:
    launch = factories.record(0)
    here = launch.environment
    silent = dataclasses.replace(here, power_limit_w=None, sm_clock_max_mhz=None, driver=None)
    newer = dataclasses.replace(here, driver="590.1")
    sides = [(here, [here]), (silent, [here]), (here, [silent]), (newer, [here, newer])]
    for now, then in sides:
        result = factories.result(
            launches=(dataclasses.replace(launch, environment=now),),
            baseline_records=tuple(dataclasses.replace(launch, environment=one) for one in then),
        )
        assert evidence.differences(result) == ""
    mixed = factories.result(
        launches=tuple(dataclasses.replace(launch, environment=one) for one in (here, newer)),
        baseline_records=(launch,),
    )
    assert evidence.differences(mixed) == "driver 580.82.07 or 590.1 now, 580.82.07 then"


def test_the_closing_table_ends_with_the_worst_case_and_lists_warnings() -> None:
    worse = factories.regressed(
        case="wan22_ti2v_5b", node_id="cases/wan22.yaml::wan22_ti2v_5b", verdicts=(factories.verdict(now=99000.0),)
    )
    worse = dataclasses.replace(worse, verdicts=(dataclasses.replace(worse.verdicts[0], outcome="regressed"),))
    warned = factories.result(verdicts=(factories.verdict(now=81505.0),), warnings=(factories.warned("no seed"),))
    assert text.closing(factories.run(worse, warned, factories.regressed())).splitlines() == [
        "case                                   GPUs            launches  primary  outcome",
        "cases/wan22.yaml::wan22_t2v_a14b_720p  GPUs 0,1,2,3    1 launch  81.50 s  PASS       denoise -0.3 %",
        "cases/wan22.yaml::wan22_t2v_a14b_720p  GPUs 0,1,2,3  5 launches  86.08 s  REGRESSED  denoise +5.3 %",
        "cases/wan22.yaml::wan22_ti2v_5b        GPUs 0,1,2,3  5 launches  99.00 s  REGRESSED  denoise +21.1 %",
        "cases/wan22.yaml:12: warning: no seed [slug]",
    ]


def test_the_summary_counts_outcomes_and_time() -> None:
    assert text.summary(factories.run()) == (
        "measured 4 of 5 · 1 pass · 1 regressed · 1 inconclusive · 1 no-baseline · 1 invalid"
        " · 1 h 12 min, GPUs busy 96 %"
    )


def test_the_summary_counts_what_was_recorded_apart_from_what_passed() -> None:
    run = factories.run(factories.result(), factories.result(recorded=True), factories.undecided())
    assert text.summary(run).startswith("measured 3 of 3 · 1 recorded · 1 pass · 1 inconclusive · ")


def test_the_summary_of_a_run_that_measured_nothing_says_so() -> None:
    empty = factories.run(factories.fallback(), gpu_busy=None, elapsed_s=61.0, selected=9)
    assert text.summary(empty) == "measured 0 of 9 · 1 invalid · 1 min 1 s"


def test_the_text_report_tells_every_case_worst_first() -> None:
    report = text.TextReport().render(factories.run())
    heads = [line for line in report.splitlines() if line.startswith("cases/") and ".yaml:" in line]
    places = [line.split(": ")[0] for line in heads if "::" not in line.split(" ")[0]]
    assert places == [
        "cases/wan22.yaml:12",
        "cases/firered.yaml:31",
        "cases/ltx2.yaml:7",
        "cases/hunyuan3d.yaml:5",
        "cases/wan22.yaml:12",
    ]


def test_the_text_report_lists_what_was_not_measured_above_its_summary() -> None:
    gone = (Unmeasured(node_id="cases/a.yaml::b", why="skipped: no GPU"),)
    report = text.TextReport().render(factories.run(factories.result(), unmeasured=gone, selected=2))
    assert report.splitlines()[-3:-1] == ["not measured: cases/a.yaml::b (skipped: no GPU)", ""]


def test_what_was_not_measured_is_named_by_reason_in_one_line() -> None:
    gone = tuple(
        Unmeasured(node_id=f"cases/a.yaml::{name}", why="", gap=gap)
        for name, gap in (("a", "skipped"), ("b[x]", "engine-version"), ("c", "engine-version"), ("d", "gpus"))
    )
    assert text.gaps(factories.run(unmeasured=gone, selected=5)) == (
        "4 of 5 selected cases not measured: 2 need another engine version (b[x], c), 1 needs other GPUs (d), "
        "1 was skipped (a)"
    )
    assert set(case_text.GAPS) == set(get_args(Gap))


def test_a_pass_says_how_far_it_is_from_the_best_ever_recorded() -> None:
    slow = factories.result(verdicts=(factories.verdict(excluded=0.019, best_ratio=1.028),))
    assert text.case_line(slow).endswith(", +2.8 % against best")
    assert "best" not in text.case_line(
        factories.result(verdicts=(factories.verdict(excluded=0.019, best_ratio=1.004),))
    )


def ungated(*, now: dict[str, float], judged: str = "denoise_steps", **changes: Any) -> list[str]:
    """The rows below what was judged, of a case that gates one metric."""
    then = {name: value / 1.05 for name, value in now.items() if name != "stage:Hunyuan3DShapeSaveStage"}
    result = factories.result(
        verdicts=(factories.verdict(judged, primary=True),),
        launches=(
            factories.record(0, metrics=now),
            factories.record(1, metrics={}, disturbances=(factories.foreign(),)),
        ),
        baseline_records=tuple(factories.record(i, metrics=then) for i in range(3)),
        **changes,
    )
    return [" ".join(line.split()) for line in text.stage_table(result)[2:]]


def test_stages_of_a_two_stage_pipeline_are_told_one_by_one_though_their_sum_is_judged() -> None:
    stages = {
        "stage:LTX2AVDenoisingStage": 9000.0,
        "stage:LTX2RefinementStage": 3000.0,
        "stage:LTX2UpsampleStage": 21.0,
    }
    rows = ungated(now={"e2e": 12600.0, "denoise": 12000.0, "denoise_steps": 11900.0, "denoise_gap": 100.0, **stages})
    assert rows == [
        "e2e 12.00 s 12.60 s +5.0 % informational",
        "LTX2AVDenoisingStage 8.571 s 9.000 s +5.0 % informational",
        "LTX2RefinementStage 2.857 s 3.000 s +5.0 % informational",
        "LTX2UpsampleStage 20.0 ms 21.0 ms +5.0 % informational",
    ]


def test_what_a_case_does_not_gate_is_told_beside_its_one_gated_stage() -> None:
    judged = "stage:Hunyuan3DShapeDenoisingStage"
    stages = {
        "stage:Hunyuan3DShapeBeforeDenoisingStage": 210.0,
        judged: 4200.0,
        "stage:Hunyuan3DShapeExportStage": 105.0,
    }
    now = {"denoise": 4200.0, "e2e": 4600.0, **stages, "stage:Hunyuan3DShapeSaveStage": 31.5, "peak_memory": 2048.0}
    assert ungated(now=now, judged=judged) == [
        "e2e 4.381 s 4.600 s +5.0 % informational",
        "Hunyuan3DShapeBeforeDenoisingStage 200 ms 210 ms +5.0 % informational",
        "Hunyuan3DShapeExportStage 100 ms 105 ms +5.0 % informational",
        "Hunyuan3DShapeSaveStage - 31.5 ms informational",
        "peak memory 1.90 GiB 2.00 GiB +5.0 % informational",
    ]


def test_the_one_denoising_stage_is_not_told_again_where_its_steps_are_judged() -> None:
    rows = ungated(now={"denoise": 1050.0, "denoise_steps": 1045.0, "stage:DenoisingStage": 1050.0})
    assert rows == []
    assert ungated(now={"denoise": 1050.0, "denoise_steps": 1045.0}, judged="e2e") == [
        "denoise 1.000 s 1.050 s +5.0 % informational"
    ]


def test_a_metric_of_a_hook_is_told_without_a_unit_that_nobody_knows() -> None:
    rows = ungated(now={"denoise": 1050.0, "denoise_steps": 1045.0, "stage:DenoisingStage": 1050.0, "frames": 16.8})
    assert rows == ["frames 16.00 16.80 +5.0 % informational"]


def test_a_faster_case_tells_in_full_how_to_hold_the_gain() -> None:
    faster = factories.result(outcome="improved", next_step=factories.stated("do this: pytest x"))
    assert "  next        do this: pytest x" in text.TextReport().render(factories.run(faster))


def test_a_renewed_baseline_is_shown_old_against_new() -> None:
    renewed = factories.result(recorded=True, reason=Reason(code="recorded", launches=5, replaces=True))
    first, old, blank, *table = text.renewal(renewed).splitlines()
    assert first == "cases/wan22.yaml:12: 5 launches replace the baseline"
    assert old == "  old: the baseline of 2026-11-02 (10 launches, sglang 0.5.16)"
    assert blank == ""
    assert table[0].split()[-3:] == ["verdict", "now", "detects"]
    assert [line.split("  ")[1].strip() for line in table[1:-1]] == [
        "denoise",
        "peak memory",
        "e2e",
        "TextEncodingStage",
        "DecodingStage",
    ]
    assert text.renewal(factories.result()) == ""


def test_a_renewal_names_the_engine_and_the_settings_that_changed_with_it() -> None:
    then = factories.record().environment
    old = replace(then, engine_version="0.5.16", torch_version="2.10.0", gpu_uuids=("GPU-old",))
    records = (replace(factories.record(), environment=old),)
    renewed = factories.result(
        recorded=True, reason=Reason(code="recorded", launches=5, replaces=True), baseline_records=records
    )
    assert text.renewal(renewed).splitlines()[2] == (
        "  changed: sglang 0.5.17 now, 0.5.16 then; torch 2.11.0 now, 2.10.0 then; "
        "GPU GPU-5d1e8f00-0000-0000-0000-000000000000 now, GPU-old then"
    )


NOT_COMPARABLE = Finding(code="not-comparable")


def test_figures_beside_a_baseline_of_other_work_have_no_verdict() -> None:
    shown = factories.verdict(
        outcome="no-baseline", finding=NOT_COMPARABLE, now=86080.0, low=1.046, high=1.06, detectable=0.048
    )
    beside = factories.result(recorded=True, verdicts=(shown,), launches=(), baseline_records=())
    lines = text.renewal(beside).splitlines()
    assert lines[-4:-2] == [
        "  metric              baseline        now  change  95 % interval   verdict         now detects",
        "  denoise  (primary)   81.75 s    86.08 s  +5.3 %  +4.6 .. +6.0 %  not comparable        4.8 %",
    ]
    assert metric_text.remark(shown) == ""
    assert metric_text.remark(factories.verdict("pause", outcome="no-baseline", finding=NOT_COMPARABLE)) == ""


def test_a_first_recording_shows_each_metric_and_what_it_finds() -> None:
    found = Finding(code="first-recording")
    first = {"outcome": "no-baseline", "finding": found, "baseline": None, "spread": 0.004}
    verdicts = (
        factories.verdict("e2e", detectable=0.047, **first),
        factories.verdict(detectable=0.048, **first),
        factories.verdict("pause", **first),
    )
    recorded = factories.result(
        recorded=True, reason=Reason(code="recorded", launches=5), verdicts=verdicts, baseline_recorded=None
    )
    assert text.renewal(recorded).splitlines() == [
        "cases/wan22.yaml:12: 5 launches recorded",
        "",
        "  metric              recorded          detects",
        "  denoise  (primary)   81.75 s  ±0.4 %    4.8 %",
        "  e2e                  83.30 s  ±0.4 %    4.7 %",
        "  pause                12.0 ms",
        "  detects: 19 of 20 runs find a slowdown (of memory a growth) of this size",
        "  the figures are geometric means over the launches, high outliers pulled in; medians for pause",
    ]
    # The closing table leaves it at that.
    assert "minimum detectable slowdown" not in text.closing(factories.run(recorded))


def test_a_reference_is_told_by_its_source_and_needs_no_date() -> None:
    published = factories.regressed(
        baseline_recorded=Recorded(at="", command="sgdiff import"),
        baseline_source="SGLang Diffusion performance guide",
        baseline_launches=1,
        baseline_engine=None,
    )
    assert case_text.baseline_name(published) == "the published reference (SGLang Diffusion performance guide)"
    dated = replace(published, baseline_recorded=Recorded(at="2026-08-01", command=""), baseline_engine="0.5.23")
    assert case_text.baseline_name(dated) == (
        "the published reference of 2026-08-01 (SGLang Diffusion performance guide, sglang 0.5.23)"
    )
    unsaid = factories.regressed(baseline_recorded=Recorded(at="", command="x"), baseline_engine=None)
    assert case_text.baseline_name(unsaid) == "the baseline (10 launches)"


def test_an_ab_run_is_told_against_the_base_engine_and_asks_for_no_baseline() -> None:
    step = "do this: sgdiff compare out/against/wan out/wan"
    result = factories.regressed(baseline_path=None, baseline_launches=5, next_step=factories.stated(step))
    lines = text.message(result).splitlines()
    assert lines[0] == "cases/wan22.yaml:12: denoising is 5.3 % slower than the base engine (sglang 0.5.16, 5 launches)"
    assert lines[2] == "  metric              base engine                now  change  95 % interval   verdict"
    assert dict(case_text.actions(result))["next"] == step
    assert [word for word, _ in case_text.actions(result)] == ["reproduce", "next", "files"]
    assert from_plain(CaseResult, to_plain(result)).paired
    assert not factories.regressed().paired
    assert not factories.without_baseline().paired


FOUND = (
    factories.verdict("denoise", detectable=0.049),
    factories.verdict("stage:DecodingStage", detectable=0.25),
    factories.verdict("peak_memory", detectable=0.04),
)


NOISE = (NoisePrior(metric_class="primary", cv=0.008, fitted=False, weight=8.0, session_cv=0.003),)


def test_what_the_baseline_can_detect_is_told_of_every_case_and_metric() -> None:
    result = factories.result(verdicts=FOUND, noise=NOISE)
    noise = f"noise between launches: {noise_text.words(NOISE)}"
    words = "minimum detectable slowdown: denoise 4.9 %, DecodingStage 25 % (196 ms), peak memory 4 %"
    assert f"  {words}" in text.message(result).splitlines()
    assert text.closing(factories.run(result, factories.fallback())).splitlines()[-2:] == [
        noise,
        "minimum detectable slowdown (primary metric): wan22_t2v_a14b_720p 4.9 %",
    ]
    page = MarkdownReport().render(factories.run(result))
    assert words in page.splitlines()
    assert noise in page.splitlines()
    page = HtmlReport().render(factories.run(result))
    assert f'<p class="note">{words}</p>' in page
    assert f'<p class="note">{noise}</p>' in page
    assert "minimum detectable slowdown" not in HtmlReport().render(factories.run(factories.regressed()))


def test_a_warning_that_cases_share_is_said_once_with_their_names() -> None:
    cases = [
        factories.result(f"case_{n}", warnings=(factories.warned("shared"), factories.warned(f"own {n}")))
        for n in range(3)
    ]
    told = [line for line in text.closing(factories.run(*cases)).splitlines() if "warning" in line]
    assert told == [
        "cases/wan22.yaml:12: warning: shared [slug] (also of case_1, case_0)",
        "cases/wan22.yaml:12: warning: own 2 [slug]",
        "cases/wan22.yaml:12: warning: own 1 [slug]",
        "cases/wan22.yaml:12: warning: own 0 [slug]",
    ]
    report = MarkdownReport().render(factories.run(*cases))
    assert "<details><summary>4 warnings</summary>" in report
    assert report.count("shared") == 1


def test_of_several_gpus_it_is_told_which_is_at_its_power_cap() -> None:
    watch = Watch(gpus=(factories.gpu_series("GPU-a"), factories.gpu_series("GPU-b")))
    assert launch_notes.notes(watch) == (
        "GPU-a: at its power cap in 7 of 7 samples, normal at full load",
        "GPU-b: at its power cap in 7 of 7 samples, normal at full load",
    )


def test_why_a_case_is_undecided_is_not_said_again_below_the_table() -> None:
    result = factories.undecided()
    why = finding_text.why(result.verdicts[0])
    assert text.message(result).count(why) == 1
    headed = dataclasses.replace(result, decided_by=("denoise",))
    assert text.message(headed).count(why) == 1


def test_evidence_is_quoted_once() -> None:
    problems = (
        Problem(kind="invalid", message="ran on another backend", evidence=("falling back", "loaded")),
        Problem(kind="invalid", message="ran another pipeline", evidence=("loaded", "as Other")),
    )
    lines = text.message(factories.fallback(problems=problems)).splitlines()
    assert [line for line in lines if line.startswith("    | ")] == [
        "    | falling back",
        "    | loaded",
        "    | as Other",
    ]
    assert "  invalid: ran another pipeline" in lines


def test_the_summary_line_of_a_failed_case_begins_with_the_figure_or_the_reason() -> None:
    worse = factories.regressed()
    words = text.message(worse).splitlines()[0].partition(": ")[2]
    assert text.reason_first(worse) == f"+5.3 % denoise: {words}"
    broken = factories.fallback()
    assert text.reason_first(broken) == text.message(broken).splitlines()[0].partition(": ")[2]
